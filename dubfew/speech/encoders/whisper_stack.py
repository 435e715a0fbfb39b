"""Outputs of Whisper's first blocks side by side, as an encoder.

Each block hears something else: the first the sound, the next ones phonemes. A linear predictor of
the lips makes more of three blocks than of the best one (docs/speech.md).
"""

from __future__ import annotations

from typing import Any

from dubfew.errors import ArtefactError
from dubfew.speech.encoders._base import WHOLE_ENCODER, EncoderState
from dubfew.speech.encoders.whisper import WhisperEncoder
from dubfew.speech.encoders.whisper import check_encoder as check_whisper

# Blocks where nobody has a wish. Of Whisper-tiny's four, the last knows words more than sounds.
_DEFAULT_LAYER = 3


class WhisperStackEncoder(WhisperEncoder):
    """Whisper's blocks 1 to ``layer`` side by side, see `WhisperEncoder`."""

    entry, is_stacked = "whisper_stack", True


def make_encoder(name: str, layer: int | None) -> WhisperStackEncoder:
    """Make the entry of `AUDIO_ENCODERS`.

    Args:
        name: "whisper_stack", or "whisper_stack:" and the path of weights.
        layer: number of blocks whose outputs are stacked; None for the default.

    Raises:
        ArtefactError: Layer 0 is asked for, which has no block; or see `WhisperEncoder`.
        MissingDependencyError: The package of weights is not installed.
    """
    layer = _DEFAULT_LAYER if layer in (None, WHOLE_ENCODER) else layer
    if layer == 0:
        raise ArtefactError("the encoder whisper_stack has no layer 0: name 1 or more")
    return WhisperStackEncoder(name, layer)


def check_encoder(metadata: dict[str, Any]) -> EncoderState:
    """Compare the file of weights with the stored hash, see `check_stored_encoder`."""
    return check_whisper(metadata)
