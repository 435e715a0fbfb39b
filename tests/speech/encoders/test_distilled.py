"""The distilled encoder: its clock, chunks, files, and the weights that ship."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from dubfew.errors import ArtefactError
from dubfew.media.mel import estimate_channel
from dubfew.speech.encoders import (
    ROW_SAMPLES,
    check_stored_encoder,
    distilled,
    load_encoder,
    load_stored_encoder,
)
from dubfew.speech.encoders._distilled_network import (
    DistilledConfig,
    DistilledNetwork,
    load_distilled_network,
    save_distilled_network,
)
from dubfew.speech.encoders.distilled import EncodedRows, shipped_encoder_path
from dubfew.utils.files import sha256_file

TOY = DistilledConfig(features=6, channels=8, stem_channels=4, kernel=3, dilations=(1, 2))


def toy_network(seed: int = 0) -> DistilledNetwork:
    torch.manual_seed(seed)
    return DistilledNetwork(TOY)


def noise(seconds: float, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    sound = rng.standard_normal(int(seconds * 16000)) * (
        1 + np.sin(np.arange(seconds * 16000) / 2e3)
    )
    return (0.05 * sound).astype(np.float32)


def rows_of(
    network: DistilledNetwork, samples: NDArray[np.float32], start: int, stop: int
) -> NDArray[np.float32]:
    return EncodedRows(network, samples, estimate_channel(samples)).frames(start, stop)


def test_context_covers_the_receptive_field() -> None:
    # 3 rows of blocks are 6 frames, and the stem adds 3.
    assert TOY.context_frames == 9
    network = toy_network()
    mel = torch.rand(1, 2 * 19 + 1 + 2 * 9, 80)
    plain = network(mel)
    assert plain.shape == (1, 20, 6)
    # The frame at each end of the context moves its own row and no other.
    for frame, row in ((0, 0), (-1, 19)):
        moved = mel.clone()
        moved[:, frame] += 1
        assert torch.nonzero((network(moved) - plain).abs().sum(2))[:, 1].tolist() == [row]


def test_padded_rows_equal_others_away_from_the_ends() -> None:
    network = toy_network()
    mel = torch.rand(2, 60, 80)
    padded = network(mel, padded=True)
    assert padded.shape == (2, 30, 6)
    inner = network(mel[:, 10 - 9 : 48 + 10])
    torch.testing.assert_close(padded[:, 5 : 5 + inner.shape[1]], inner)


def test_rows_lie_at_their_time_to_2_ms() -> None:
    """Rows of the sound backwards are the rows backwards, if kernels are turned around as well."""
    network = toy_network()
    mirrored = toy_network()
    with torch.no_grad():
        for name, weight in mirrored.named_parameters():
            if weight.ndim == 3:
                weight.copy_(dict(network.named_parameters())[name].flip(2))
    sound = noise(1.6)
    rows = rows_of(network, sound, 0, 81)
    errors = []
    shifts = np.arange(-96, 97, 16)  # ms / 1000 * 16 samples
    for shift in shifts:
        # Sample n of the backward sound is sample len - n, so row r becomes row 80 - r.
        backwards = np.roll(np.concatenate([sound, [0.0]]).astype(np.float32)[::-1], shift)
        found = rows_of(mirrored, backwards, 0, 81)[::-1]
        errors.append(np.abs(found - rows)[10:-10].mean())
    assert len(sound) == 80 * ROW_SAMPLES
    assert abs(shifts[int(np.argmin(errors))]) <= 32  # 2 ms
    assert min(errors) < 0.5 * errors[0]


def test_rows_do_not_depend_on_the_requested_ranges(monkeypatch) -> None:
    network, sound = toy_network(), noise(1.5)
    whole = rows_of(network, sound, -20, 100)
    pieces = [rows_of(network, sound, first, first + 30) for first in range(-20, 100, 30)]
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-5)
    monkeypatch.setattr(distilled, "_ROWS_PER_PASS", 7)
    np.testing.assert_allclose(rows_of(network, sound, -20, 100), whole, atol=1e-5)
    # Far outside of the recording every row hears silence.
    np.testing.assert_allclose(whole[:10], np.broadcast_to(whole[0], (10, 6)), atol=1e-6)
    np.testing.assert_allclose(whole[-10:], np.broadcast_to(whole[0], (10, 6)), atol=1e-6)


def test_storage(tmp_path: Path) -> None:
    path = tmp_path / "encoder.safetensors"
    save_distilled_network(toy_network(), path, {"seconds": 3})
    network = load_distilled_network(path)
    assert network.config == TOY
    for name, weight in toy_network().state_dict().items():
        torch.testing.assert_close(network.state_dict()[name], weight.half().float())
    encoder = load_encoder(f"distilled:{path}")
    stored = encoder.metadata()
    assert stored == {"name": f"distilled:{path}", "width": 6, "sha256": sha256_file(path)}
    assert load_stored_encoder(stored).feature_dim == 6
    assert check_stored_encoder(stored).ok
    # Another network in its place is noticed.
    save_distilled_network(toy_network(1), path, {})
    assert "not the file" in check_stored_encoder(stored).found
    with pytest.raises(ArtefactError, match="not the one"):
        load_stored_encoder(stored)
    path.unlink()
    assert not check_stored_encoder(stored).ok


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "encoder.safetensors"
    with pytest.raises(ArtefactError, match="encoder"):
        load_encoder(f"distilled:{path}")
    with pytest.raises(ArtefactError, match="layer 2"):
        load_encoder("distilled", 2)
    save_distilled_network(toy_network(), path, {})
    tensors = load_file(str(path))
    header = {"format_version": 1, "network": {"features": 6}, "training": {}}
    save_file(tensors, str(path), {"dubfew.encoder": json.dumps(header)})
    with pytest.raises(ArtefactError, match="distill_encoder"):
        load_distilled_network(path)
    save_file(tensors, str(path), {"dubfew.encoder": json.dumps(header | {"format_version": 9})})
    with pytest.raises(ArtefactError, match="newer"):
        load_distilled_network(path)


def test_the_weights_that_ship() -> None:
    encoder = load_encoder("distilled")
    assert (encoder.stride, encoder.is_mel_spectrogram) == (1, False)
    # The card tells which weights it speaks of.
    card = (shipped_encoder_path().parent / "ENCODER_CARD.md").read_text("utf-8")
    assert sha256_file(shipped_encoder_path()) in card
    sound = noise(2.0)
    rows = encoder.encode(sound, estimate_channel(sound)).frames(0, 100)
    assert np.isfinite(rows).all()
    # Features were scaled to a variance of 1 over speech.
    assert 0.05 < rows.var(axis=0).mean() < 5
