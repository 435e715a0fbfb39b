"""Training at toy size, lags of pictures against their sound."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("espeakng_loader")

from dubfew.media.mel import RATE
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.progress import Progress
from dubfew.reconstruction.heads.landmark_indices import MOUTH_POINTS
from dubfew.speech.corpus import (
    Clip,
    Sync,
    correlation,
    find_lag,
    trusted_lag,
)
from dubfew.speech.encoders.encoder import MelEncoder
from dubfew.speech.espeak import espeak
from dubfew.speech.network import LinearReader, NetworkConfig, Predicted, SpeechEnsemble
from dubfew.speech.training import trainer as train_module
from dubfew.speech.training.augmentation import breath, coloured_noise, disturb, music, warp_bands
from dubfew.speech.training.batches import Batch
from dubfew.speech.training.config import TrainConfig
from dubfew.speech.training.examples import (
    ROWS,
    example_of,
    silent_take,
    take_of_clip,
    take_of_utterance,
)
from dubfew.speech.training.loss import LARGEST_SHIFT, MotionLoss
from dubfew.speech.training.ridge_regression import solve_linear
from dubfew.speech.training.trainer import train
from dubfew.speech.viseme_basis import default_fields
from dubfew.speech.visemes import motion_of_phones

TOY = TrainConfig(steps=5, scout=3, linear=2, batch=3, utterances=4)


def _clip(name: str = "one", delay: float = 0.0) -> Clip:
    """A speaker filmed at 25 fps whose picture is late by ``delay`` s."""
    said = espeak().say("Mama papa, Bob may move a bamboo boat over the bay.", "en-us")
    times = np.arange(int(len(said.samples) / RATE * 25)) / 25
    motion = motion_of_phones(said.phones, times - delay, default_fields())
    return Clip(name, said.samples, type(motion)(motion.displacement, times))


def test_training_is_deterministic_and_uses_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    # espeak-ng's voices waver from call to call; what it says is fixed here.
    clip, said = _clip(), [espeak().say(text, "it") for text in ("Mamma mia.", "La pappa.")]
    monkeypatch.setattr(train_module, "synthesise", lambda *_, **__: said)
    reports: list[Progress] = []
    config = TrainConfig(steps=3, scout=2, linear=2, batch=2, utterances=4, least_r=-1.0)
    first = train([clip], config, progress=reports.append)
    done = [(report.done, report.total) for report in reports if report.stage == "train"]
    assert done == [(2, 11), (5, 11), (8, 11), (11, 11)]
    assert first.used == ("one",)
    second = train([clip], config)
    assert first.model.to_bytes() == second.model.to_bytes()
    other = train([clip], TrainConfig(**{**vars(config), "seed": 1}))
    assert first.model.to_bytes() != other.model.to_bytes()


def test_a_clip_whose_mouth_does_not_follow_is_left_out() -> None:
    clip = _clip()
    still = Clip("still", clip.samples, clip.motion.at(np.arange(50) * 1e-9))
    trained = train([still], TOY)
    assert trained.used == ()
    assert set(trained.syncs) == {"still"}


@pytest.mark.parametrize("delay", [-0.12, 0.0, 0.16])
def test_the_lag_of_a_picture_is_found(delay: float) -> None:
    sync = find_lag(_clip().motion, _clip(delay=delay).motion)
    assert sync.lag == pytest.approx(delay, abs=0.011)
    assert trusted_lag(sync) == pytest.approx(sync.lag if delay else 0.0)


def test_a_doubtful_lag_is_not_corrected() -> None:
    assert trusted_lag(Sync(lag=0.2, r=0.5, r_zero=0.4)) == 0.0


def test_the_end_of_the_range_is_no_peak() -> None:
    times = np.arange(50) / 25
    early, late = (np.exp(-(((times - centre) / 0.3) ** 2)) for centre in (0.8, 1.1))
    opening = default_fields()[1] * -1
    motions = [
        MouthMotion((bump[:, None, None] * opening).astype(np.float32), times)
        for bump in (early, late)
    ]
    sync = find_lag(*motions, largest=0.1)
    assert sync.lag == 0.0
    assert sync.r == sync.r_zero


def test_correlation_of_nothing_is_zero() -> None:
    assert correlation(np.ones(5), np.arange(5.0)) == 0.0
    assert correlation(np.arange(5.0), -np.arange(5.0)) == pytest.approx(-1)


def test_windows_have_the_promised_shape() -> None:
    rng = np.random.default_rng(0)
    fields = default_fields()
    said = take_of_utterance(espeak().say("Ja, ja.", "de"), fields)
    for takes in ([said, said], [silent_take(rng)], [take_of_clip(_clip(), 0.0)]):
        for _ in range(4):
            example = example_of(takes, rng, len(MOUTH_POINTS), MelEncoder())
            assert example.frames.shape == (2 * ROWS, 80)
            assert example.displacement.shape == (ROWS, len(MOUTH_POINTS), 3)
            assert example.voice.shape == (ROWS,)
            assert np.isfinite(example.frames).all()
    silent = example_of([silent_take(rng)], rng, len(MOUTH_POINTS), MelEncoder())
    assert silent.voice.max() == 0
    assert np.abs(silent.displacement).max() == 0


def test_a_filmed_window_is_moved_to_where_it_agrees() -> None:
    rows = torch.arange(ROWS) * 0.02
    gap = 0.1 + 0.05 * torch.sin(9 * rows) + 0.05 * torch.sin(14 * rows + 1)
    basis = default_fields()[1:2] / np.linalg.norm(default_fields()[1])
    loss = MotionLoss(basis)
    predicted = Predicted(-gap[None, :, None].repeat(3, 1, 1), torch.zeros(3, ROWS))
    true = torch.einsum("brk,kpc->brpc", predicted.motion, torch.from_numpy(basis))
    late = torch.stack([torch.roll(each, 2, 0) for each in true])
    moved = loss.synchronised(predicted, late, torch.tensor([True, True, False]))
    torch.testing.assert_close(moved[:2], true[:2])
    torch.testing.assert_close(moved[2], late[2])
    very_late = torch.roll(true, 20, 1)
    shifts = loss.synchronised(predicted, very_late, torch.tensor([True] * 3))
    assert any(
        torch.equal(shifts[0], torch.roll(very_late[0], k, 0))
        for k in range(-LARGEST_SHIFT, LARGEST_SHIFT + 1)
    )


class Foreseen(nn.Module):
    """Stands for a network: foresees these gaps whatever it hears."""

    def __init__(self, gaps: torch.Tensor, opening: torch.Tensor, sideways: torch.Tensor) -> None:
        super().__init__()
        towards = opening / (opening @ opening)
        self.predicted = Predicted(gaps[None, :, None] * towards + sideways, torch.zeros(1, 60))

    def forward(self, frames: torch.Tensor) -> Predicted:
        return self.predicted


@pytest.mark.parametrize("shut", [0.0, 0.02])
def test_lips_that_the_networks_close_stay_closed(shut: float) -> None:
    """Whatever the linear reader says; and nothing but the gap is changed."""
    opening = torch.tensor([0.5, -0.2, 0.0])
    ensemble = SpeechEnsemble(NetworkConfig(components=3, members=2), opening).eval()
    towards = opening / (opening @ opening)
    sideways = torch.tensor([0.02, 0.05, 0.3])
    gaps = torch.full((60,), 0.09)
    gaps[20:24] = shut  # a moment, as for /p/
    ensemble.networks = nn.ModuleList([Foreseen(gaps, opening, sideways) for _ in range(2)])
    with torch.no_grad():
        ensemble.linear.map.weight.zero_()
        ensemble.linear.map.bias[:] = 0.11 * towards + sideways
        found = ensemble(torch.rand(1, 120, 80)).motion[0]
    expected = torch.full((60,), 0.1)
    expected[20:24] = 0.0
    torch.testing.assert_close(found @ opening, expected, atol=1e-6, rtol=0)
    along = opening / opening.norm()
    across = found - (found @ along)[:, None] * along
    flat = sideways - (sideways @ along) * along
    torch.testing.assert_close(across, flat.expand(60, 3), atol=1e-6, rtol=0)


def test_lips_that_are_low_throughout_are_not_held_shut() -> None:
    opening = torch.tensor([0.5, -0.2, 0.0])
    ensemble = SpeechEnsemble(NetworkConfig(components=3, members=1), opening).eval()
    gaps = torch.full((60,), 0.04)
    ensemble.networks = nn.ModuleList([Foreseen(gaps, opening, torch.zeros(3))])
    with torch.no_grad():
        ensemble.linear.map.weight.zero_()
        ensemble.linear.map.bias[:] = 0.06 * opening / (opening @ opening)
        gap = ensemble(torch.rand(1, 120, 80)).motion[0] @ opening
    torch.testing.assert_close(gap, torch.full((60,), 0.05), atol=1e-6, rtol=0)


@pytest.mark.parametrize("inputs", [80, 768, 3000])
def test_the_linear_reader_finds_a_linear_law(inputs: int) -> None:
    config = NetworkConfig(inputs=inputs, stride=1, components=2)
    torch.manual_seed(0)
    truth, reader = LinearReader(config), LinearReader(config)
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((9, 2)))[0].T.reshape(2, 3, 3)
    basis = basis.astype(np.float32)

    def batches():
        for _ in range(10):
            frames = torch.randn(8, 60, inputs)
            wanted = torch.einsum("brk,kpc->brpc", truth(frames), torch.from_numpy(basis))
            yield Batch(frames, wanted, torch.ones(8, 60), torch.ones(8, dtype=torch.bool))

    solve_linear(reader, batches(), basis)
    frames = torch.randn(1, 200, inputs)
    r = np.corrcoef(truth(frames).detach().ravel(), reader(frames).detach().ravel())[0, 1]
    assert r > 0.9


@pytest.mark.parametrize("make", [coloured_noise, music, breath])
def test_sounds_without_speech_are_sounds(make) -> None:
    sound = make(RATE, np.random.default_rng(1))
    assert sound.shape == (RATE,)
    assert np.isfinite(sound).all()
    assert 0.05 < np.abs(sound).max() < 8


def test_augmentation_keeps_length_and_silence() -> None:
    rng = np.random.default_rng(2)
    samples = _clip().samples
    for _ in range(10):
        assert disturb(samples, rng).shape == samples.shape
    assert warp_bands(np.zeros((7, 80), np.float32), rng).max() == 0
