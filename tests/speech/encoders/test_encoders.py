"""The table of audio encoders: names, loading by name, encoders from outside."""

from __future__ import annotations

import numpy as np
import pytest

from dubfew.errors import ArtefactError
from dubfew.media.mel import estimate_channel, log_mel
from dubfew.speech.encoders import (
    AUDIO_ENCODERS,
    DEFAULT_ENCODER_NAME,
    ROW_SECONDS,
    load_encoder,
    load_stored_encoder,
)


def test_names() -> None:
    assert {"distilled", "mel", "transformers", "whisper"} <= set(AUDIO_ENCODERS.names)
    assert DEFAULT_ENCODER_NAME in AUDIO_ENCODERS


def test_mel_features_are_the_log_mel_spectrogram() -> None:
    samples = 0.1 * np.random.default_rng(0).standard_normal(8000).astype(np.float32)
    encoder, channel = load_encoder("mel"), estimate_channel(samples)
    assert (encoder.feature_dim, encoder.stride, encoder.is_mel_spectrogram) == (80, 2, True)
    frames = encoder.encode(samples, channel).frames(-3, 20)
    np.testing.assert_array_equal(frames, log_mel(samples, channel=channel, start=-3, stop=20))


def test_rows_last_20_ms() -> None:
    assert ROW_SECONDS == 0.02


def test_stored_metadata_of_released_models_is_read() -> None:
    assert load_stored_encoder({"name": "mel"}).metadata() == {"name": "mel"}
    with pytest.raises(ArtefactError, match="mel"):
        load_stored_encoder({"name": "mel", "width": 16})
    with pytest.raises(ArtefactError, match="mel bands have no layers"):
        load_encoder("mel", 2)


def test_an_encoder_from_outside_is_found_by_its_name() -> None:
    AUDIO_ENCODERS.register("half", lambda name, layer: load_encoder("mel"))
    try:
        assert load_encoder("half").feature_dim == 80
        assert load_encoder("half:of something", 3).feature_dim == 80
    finally:
        AUDIO_ENCODERS.unregister("half")
