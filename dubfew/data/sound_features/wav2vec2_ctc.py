"""Letters' logits of wav2vec 2.0, a stand-in for DeepSpeech's where its file cannot be had.

Of the recognizer's 32 logits those are taken that DeepSpeech has as well: blank, separator of
words, apostrophe and 26 letters, in this order. Networks that learned from
DeepSpeech's do not fit them.

Source: Baevski et al. 2020, "wav2vec 2.0: A Framework for Self-Supervised Learning of Speech
Representations" (arXiv 2006.11477).
"""

from __future__ import annotations

import os
import string
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from dubfew.data.sound_features._ctc import (
    CTC_LOGIT_RATE,
    halve_logit_rate,
    make_ctc_feature,
)
from dubfew.errors import ArtefactError
from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ, slice_padded
from dubfew.utils.arrays import FloatArray
from dubfew.utils.import_utils import import_optional

# Weights that are read, and the environment variable with a folder or name of them instead.
WAV2VEC2_CTC_NAME = "facebook/wav2vec2-base-960h"
WAV2VEC2_CTC_VARIABLE = "DUBFEW_WAV2VEC2_CTC"
# Tokens of its vocabulary, in the order of our channels.
LETTER_TOKENS = ("<pad>", "|", "'", *string.ascii_uppercase)
# Logits per pass, 20 s, and those on either side that are computed and dropped, 1 s: attention over
# a whole film would not fit into memory.
_ROWS_PER_PASS, _CONTEXT_ROWS = 1000, 50
# Samples between two logits.
_HOP_SAMPLES = SPEECH_SAMPLE_RATE_HZ // CTC_LOGIT_RATE


@dataclass(frozen=True)
class LetterRecognizer:
    """wav2vec 2.0 with its layer of letters.

    Attributes:
        model: ``transformers.Wav2Vec2ForCTC``, in evaluation mode.
        token_ids: rows of its vocabulary, in the order of `LETTER_TOKENS`. 29 of them
    """

    model: Any
    token_ids: tuple[int, ...]

    def compute_logits(
        self,
        samples: FloatArray,  # [n]
    ) -> FloatArray:  # [K, 29]
        """Compute logits of a recording, 25 rows a second.

        Args:
            samples: mono at 16 kHz, in [-1, 1]. [n]
        """
        num_rows = max(1, -(-len(samples) // _HOP_SAMPLES))
        samples = np.asarray(samples, np.float32)
        if len(samples):
            # The recognizer was trained on recordings of mean 0 and deviation 1.
            samples = (samples - samples.mean()) / np.sqrt(samples.var() + np.float32(1e-7))
        rows = [
            self._compute_rows(samples, first, min(num_rows, first + _ROWS_PER_PASS))
            for first in range(0, num_rows, _ROWS_PER_PASS)
        ]
        return halve_logit_rate(np.concatenate(rows))

    def _compute_rows(self, samples: FloatArray, start: int, stop: int) -> FloatArray:
        """Compute logits [start, stop) at 50 Hz. [stop - start, 29]"""
        config = self.model.config
        receptive_field, hop = 1, 1
        for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
            receptive_field += (kernel - 1) * hop
            hop *= stride
        before = min(start, _CONTEXT_ROWS)
        # The middle of a receptive field lies on its row's time.
        low = (start - before) * _HOP_SAMPLES - receptive_field // 2
        count = stop - start + before + _CONTEXT_ROWS
        piece = slice_padded(samples, low, low + (count - 1) * _HOP_SAMPLES + receptive_field)
        with torch.inference_mode():
            logits = self.model(torch.from_numpy(piece)[None]).logits[0]
        return logits[before : before + stop - start, list(self.token_ids)].numpy()


@lru_cache(maxsize=1)
def load_letter_recognizer(name: str) -> LetterRecognizer:
    """Load the weights.

    Args:
        name: folder or Hugging Face name.

    Raises:
        ArtefactError: They cannot be loaded, or their vocabulary has other letters.
        MissingDependencyError: The package transformers is not installed.
    """
    transformers = import_optional("transformers")
    try:
        model = transformers.Wav2Vec2ForCTC.from_pretrained(name).float().eval()
        tokenizer = transformers.Wav2Vec2CTCTokenizer.from_pretrained(name)
    except (OSError, ValueError, TypeError) as error:
        raise ArtefactError(
            f"no recognizer of letters at {name}: name a folder of {WAV2VEC2_CTC_NAME} in "
            f"{WAV2VEC2_CTC_VARIABLE}"
        ) from error
    vocabulary = tokenizer.get_vocab()
    # The letters have fixed places in the sound feature, whatever order the vocabulary has.
    missing = [token for token in LETTER_TOKENS if token not in vocabulary]
    if missing or np.prod(model.config.conv_stride) != _HOP_SAMPLES:
        raise ArtefactError(
            f"{name} has other letters or another rate than {WAV2VEC2_CTC_NAME} (no "
            f"{', '.join(missing) or 'step of 20 ms'}): name another"
        )
    return LetterRecognizer(model, tuple(vocabulary[token] for token in LETTER_TOKENS))


def wav2vec2_logits(
    samples: FloatArray,  # [n]
) -> FloatArray:  # [K, 29]
    """Compute the letters' logits of a recording, see `LetterRecognizer.compute_logits`.

    Raises:
        ArtefactError: The weights cannot be loaded.
        MissingDependencyError: The package transformers is not installed.
    """
    name = os.environ.get(WAV2VEC2_CTC_VARIABLE) or WAV2VEC2_CTC_NAME
    return load_letter_recognizer(name).compute_logits(samples)


SOUND_FEATURE = make_ctc_feature(wav2vec2_logits)
