"""Logits of DeepSpeech 0.1, which DINet and IPTalker read; its file is the user's.

The file is the frozen graph of Mozilla's release 0.1 (``output_graph.pb``), added once with
``dubfew assets add deepspeech FILE``. TensorFlow runs it (``pip install 'dubfew[deepspeech]'``).

Source: Zhang et al. 2023, "DINet: Deformation Inpainting Network for Realistic Face Visually
Dubbing on High Resolution Video" (arXiv 2303.03988), "Implementation Details", and the published
code for the input.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from dubfew.assets import require_asset
from dubfew.data.sound_features._ctc import NUM_CTC_LOGITS, make_ctc_feature
from dubfew.errors import AssetError
from dubfew.media.mfcc import mfcc
from dubfew.utils.arrays import FloatArray
from dubfew.utils.import_utils import import_optional

# Cepstra of a column of the input, and columns of context on either side.
DEEPSPEECH_CEPSTRA, DEEPSPEECH_CONTEXT = 26, 9
# Tensors of the released graph: input [1, T, 494], its length [1], logits [T, 1, 29].
INPUT_TENSOR, LENGTH_TENSOR, LOGITS_TENSOR = "input_node:0", "input_lengths:0", "logits:0"
# Full scale of the 16-bit samples that the cepstra were trained on.
INT16_FULL_SCALE = 32767


def deepspeech_inputs(
    samples: FloatArray,  # [n]
) -> FloatArray:  # [T, 494]
    """Compute DeepSpeech's input, 50 rows a second.

    Args:
        samples: mono at 16 kHz, in [-1, 1]. [n]

    Returns:
        Every second row of the cepstra with nine more on either side, zero beyond the ends,
        standardized over the whole recording. [T, 494]
    """
    cepstra = mfcc(samples * INT16_FULL_SCALE, num_cepstra=DEEPSPEECH_CEPSTRA)[::2]
    if not len(cepstra):
        return np.zeros((0, (2 * DEEPSPEECH_CONTEXT + 1) * DEEPSPEECH_CEPSTRA), np.float32)
    padded = np.pad(cepstra, ((DEEPSPEECH_CONTEXT, DEEPSPEECH_CONTEXT), (0, 0)))
    rows = np.concatenate(
        [padded[k : k + len(cepstra)] for k in range(2 * DEEPSPEECH_CONTEXT + 1)], axis=1
    )
    # One mean and one deviation for all numbers, as in the published code.
    return ((rows - rows.mean()) / max(float(rows.std()), 1e-8)).astype(np.float32)


def deepspeech_logits(
    samples: FloatArray,  # [n]
) -> FloatArray:  # [K, 29]
    """Compute DeepSpeech's logits of a recording, 25 rows a second.

    Args:
        samples: mono at 16 kHz, in [-1, 1]. [n]

    Returns:
        Logits; a row of zeros for a recording that is shorter than 25 ms. [K, 29]

    Raises:
        AssetError: No file was added, or it is not DeepSpeech's.
        MissingDependencyError: TensorFlow is not installed.
    """
    session = _load_session(str(require_asset("deepspeech")))
    rows = deepspeech_inputs(samples)
    if not len(rows):
        return np.zeros((1, NUM_CTC_LOGITS), np.float32)
    logits = session.run(
        LOGITS_TENSOR,
        {INPUT_TENSOR: rows[None], LENGTH_TENSOR: np.array([len(rows)], np.int32)},
    )
    # Every second row, without an average, as the published code of DINet has it.
    return np.ascontiguousarray(np.asarray(logits, np.float32)[::2, 0])


@lru_cache(maxsize=1)
def _load_session(path: str) -> Any:
    """Keep the last graph: it is large, and clips are computed one after another."""
    return read_graph(Path(path))


def read_graph(path: Path) -> Any:
    """Read the frozen graph and make a session of it.

    Raises:
        AssetError: The file is not a graph, or not DeepSpeech's.
        MissingDependencyError: TensorFlow is not installed.
    """
    tensorflow = import_optional("tensorflow").compat.v1
    wrong = f"{path} is not DeepSpeech 0.1's output_graph.pb: add the file of that release"
    definition = tensorflow.GraphDef()
    try:
        definition.ParseFromString(path.read_bytes())
    except Exception as error:  # protobuf's class of errors differs between its versions
        raise AssetError(wrong) from error
    graph = tensorflow.Graph()
    with graph.as_default():
        tensorflow.import_graph_def(definition, name="")
    try:
        shape = graph.get_tensor_by_name(LOGITS_TENSOR).shape
        for name in (INPUT_TENSOR, LENGTH_TENSOR):
            graph.get_tensor_by_name(name)
    except KeyError as error:
        raise AssetError(wrong) from error
    if shape.rank is not None and shape[-1] not in (None, NUM_CTC_LOGITS):
        raise AssetError(wrong)
    return tensorflow.Session(graph=graph)


SOUND_FEATURE = make_ctc_feature(deepspeech_logits)
