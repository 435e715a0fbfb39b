"""The file of the speech recognizer that DINet's and IPTalker's sound comes from."""

from __future__ import annotations

from pathlib import Path

from dubfew.assets import AssetKind
from dubfew.errors import AssetError

DEEPSPEECH_PAGE_URL = "https://github.com/mozilla/DeepSpeech/releases/tag/v0.1.0"
# Names of nodes that the frozen graph has.
_NODE_NAMES = (b"input_node", b"input_lengths", b"logits")


def _check_graph(path: Path) -> None:
    # TensorFlow, which reads the graph, takes seconds to import and may not be installed yet.
    content = path.read_bytes()
    if any(name not in content for name in _NODE_NAMES):
        raise AssetError(f"{path} is not DeepSpeech 0.1's output_graph.pb")


ASSET_KINDS = {
    "deepspeech": AssetKind(
        "frozen graph of DeepSpeech 0.1, for the sound of DINet and IPTalker, usually "
        "output_graph.pb",
        DEEPSPEECH_PAGE_URL,
        _check_graph,
    )
}
