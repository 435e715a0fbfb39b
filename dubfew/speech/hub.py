"""Speech models on the Hugging Face Hub: the folder that is pushed, and its model card."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from dubfew.speech.model import SpeechModel
from dubfew.speech.model_info import MODEL_CARD_NAME, SpeechInfo, read_speech_info
from dubfew.utils.files import atomic_path, write_atomic
from dubfew.utils.hub import (
    HUB_PREFIX,
    fetch_hub_folder,
    format_card_header,
    is_hub_address,
    push_hub_folder,
)

# Names of the files in a repository.
SPEECH_FILE, HUB_CARD_FILE = "speech.safetensors", "README.md"
TAGS = ("visual-dubbing", "lip-sync", "speech-to-motion")


def from_pretrained(name: str | Path) -> SpeechModel:
    """Load a speech model from a folder or from the Hugging Face Hub.

    Args:
        name: a folder that exists, or "owner/name" on the Hub.

    Raises:
        ArtefactError: The model does not exist, is damaged, or was written by a newer dubfew.
        MissingDependencyError: huggingface_hub, or a package of the model's encoder, is missing.
    """
    folder = Path(name)
    if not folder.is_dir():
        address = str(name) if is_hub_address(name) else f"{HUB_PREFIX}{name}"
        folder = fetch_hub_folder(address, (SPEECH_FILE, MODEL_CARD_NAME))
    return SpeechModel.load(folder / SPEECH_FILE)


def save_pretrained(
    folder: Path | str, model: Path | None = None, *, license: str = "other"
) -> Path:
    """Copy a speech model into a folder as it is pushed to the Hub, with a model card.

    Args:
        folder: folder to write; files of the same names are replaced.
        model: file of the model; None stands for the one that ships.
        license: license of the weights, by its name on the Hub.

    Returns:
        The folder, which `from_pretrained` loads.

    Raises:
        ArtefactError: The file is no speech model.
        OSError: The folder cannot be written.
    """
    info, folder = read_speech_info(model), Path(folder)
    card = make_speech_card(info, license)
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / SPEECH_FILE) as temporary:
        shutil.copyfile(info.path, temporary)
    if info.card:
        write_atomic(folder / MODEL_CARD_NAME, info.card.encode())
    write_atomic(folder / HUB_CARD_FILE, card.encode())
    return folder


def push_to_hub(
    repository: str, model: Path | None = None, *, license: str = "other", private: bool = True
) -> str:
    """Push a speech model to the Hub, with a model card.

    Args:
        repository: "owner/name"; made if it does not exist.
        model: file of the model; None stands for the one that ships.
        license: license of the weights, by its name on the Hub.
        private: whether a new repository can be seen by its owner alone.

    Returns:
        The URL of the commit.

    Raises:
        ArtefactError: The file is no speech model, or the Hub refuses.
        MissingDependencyError: huggingface_hub is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="dubfew-hub-") as folder:
        save_pretrained(folder, model, license=license)
        return push_hub_folder(Path(folder), repository, private=private)


def make_speech_card(info: SpeechInfo, license: str = "other") -> str:
    """Make the model card of a speech model from its header and its own card.

    Args:
        info: the model.
        license: license of the weights, by its name on the Hub.

    Returns:
        Markdown that begins with YAML.

    Raises:
        ArtefactError: The license is no name.
    """
    # The whole header: nothing that a reader may ask for is left out.
    facts = json.dumps(info.header, indent=2, ensure_ascii=False, default=str)
    text = f"""\
# Speech model

A speech model of [dubfew](https://github.com/dubfew/dubfew): sound to mouth motion.
`dubfew.speech.hub.from_pretrained("OWNER/NAME")` loads it.

- Weights: {info.weights}; SHA-256 of the file: `{info.sha256}`

```json
{facts}
```

{info.card or "The model has no card of its own."}
"""
    return format_card_header(license, TAGS, "audio-to-audio") + text
