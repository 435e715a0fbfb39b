"""The small network of phones that ships, and its training tool."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dubfew.data.sound_features import ctc29_espeak
from dubfew.data.sound_features._phone_network import (
    PhoneNetwork,
    load_phone_network,
    save_phone_network,
)
from dubfew.data.sound_features.ctc29_espeak import PHONE_NETWORK_FILE, phone_logits
from dubfew.errors import ArtefactError


def noise(count: int) -> np.ndarray:
    return (0.1 * np.random.default_rng(0).standard_normal(count)).astype(np.float32)


def test_shapes_and_rate() -> None:
    assert phone_logits(noise(16000)).shape == (26, 29)
    assert phone_logits(noise(10)).shape == (1, 29)


def test_a_long_recording_is_computed_in_parts(monkeypatch) -> None:
    samples = noise(2 * 16000)
    whole = phone_logits(samples)
    monkeypatch.setattr(ctc29_espeak, "_STEPS_PER_PASS", 20)
    np.testing.assert_allclose(phone_logits(samples), whole, atol=1e-4)


def test_it_hears_which_phone_is_spoken_when() -> None:
    """Vowels, closed lips and hissing of a sentence that it has not learned from."""
    espeak = pytest.importorskip("espeakng_loader") and __import__(
        "dubfew.speech.espeak", fromlist=["get_synthesizer"]
    )
    spoken = espeak.get_synthesizer().synthesize(
        "Bob must pass the mossy map to Sam.", "en-us", variant="m2"
    )
    found = phone_logits(spoken.samples).argmax(1)
    symbols = load_phone_network(PHONE_NETWORK_FILE)[1]["symbols"]
    right = count = 0
    for phone in spoken.phones:
        if phone.symbol in {"s", "m", "a", "æ"} and phone.end - phone.start > 0.04:
            heard = found[round((phone.start + phone.end) / 2 * 25)]
            count += 1
            right += heard > 0 and phone.symbol in symbols[heard - 1]
    assert count >= 6
    assert right / count > 0.6


def test_the_file_is_small_and_says_how_well_it_hears() -> None:
    network, header = load_phone_network(PHONE_NETWORK_FILE)
    assert PHONE_NETWORK_FILE.stat().st_size < 1e6
    assert len(header["symbols"]) == 28
    assert header["training"]["held_out"]["frame_accuracy"] > 0.7
    assert not network.training


def test_a_stored_network_is_the_same_to_half_precision(tmp_path) -> None:
    torch.manual_seed(0)
    network = PhoneNetwork().eval()
    path = tmp_path / "network.safetensors"
    save_phone_network(network, path, ["a"] * 28, {})
    mel = torch.rand(1, 40, 80)
    torch.testing.assert_close(load_phone_network(path)[0](mel), network(mel), atol=5e-3, rtol=0)
    path.write_bytes(b"\x10\0\0\0\0\0\0\0something else")
    with pytest.raises(ArtefactError, match="not a phone network"):
        load_phone_network(path)
