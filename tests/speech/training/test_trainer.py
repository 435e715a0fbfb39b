"""Training at toy size, lags of pictures against their sound."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("espeakng_loader")

from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ
from dubfew.progress import Progress
from dubfew.reconstruction.heads.landmark_indices import MOUTH_POINTS
from dubfew.speech.encoders import load_encoder
from dubfew.speech.espeak import get_synthesizer
from dubfew.speech.motion_lag import estimate_lag, reliable_lag
from dubfew.speech.network import (
    LinearPredictor,
    SpeechEnsemble,
    SpeechNetworkConfig,
    SpeechPrediction,
)
from dubfew.speech.training import trainer as train_module
from dubfew.speech.training.augmentation import (
    augment_audio,
    augment_mel,
    breath_noise,
    colored_noise,
    music_noise,
)
from dubfew.speech.training.batches import SpeechBatch
from dubfew.speech.training.config import SpeechTrainConfig
from dubfew.speech.training.examples import (
    WINDOW_ROWS,
    recording_from_clip,
    recording_from_utterance,
    sample_window,
    silent_recording,
)
from dubfew.speech.training.loss import MAX_SHIFT_ROWS, MotionLoss
from dubfew.speech.training.ridge_regression import solve_linear_predictor
from dubfew.speech.training.speech_clip import SpeechClip
from dubfew.speech.training.trainer import fit_speech_model
from dubfew.speech.viseme_basis import load_viseme_basis
from dubfew.speech.visemes import motion_from_phones
from dubfew.utils.signal import LagEstimate

TOY = SpeechTrainConfig(
    steps=5, scout_steps=3, num_linear_batches=2, batch_size=3, num_utterances=4
)


def _clip(name: str = "one", delay: float = 0.0) -> SpeechClip:
    """A speaker filmed at 25 fps whose picture is late by ``delay`` s."""
    said = get_synthesizer().synthesize(
        "Mama papa, Bob may move a bamboo boat over the bay.", "en-us"
    )
    times = np.arange(int(len(said.samples) / SPEECH_SAMPLE_RATE_HZ * 25)) / 25
    motion = motion_from_phones(said.phones, times - delay, load_viseme_basis())
    return SpeechClip(name, said.samples, type(motion)(motion.displacement, times))


def test_training_is_deterministic_and_uses_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    # espeak-ng's voices waver from call to call; what it says is fixed here.
    clip, said = (
        _clip(),
        [get_synthesizer().synthesize(text, "it") for text in ("Mamma mia.", "La pappa.")],
    )
    monkeypatch.setattr(train_module, "synthesize_sentences", lambda *_, **__: said)
    reports: list[Progress] = []
    config = SpeechTrainConfig(
        steps=3,
        scout_steps=2,
        num_linear_batches=2,
        batch_size=2,
        num_utterances=4,
        min_correlation=-1.0,
    )
    first = fit_speech_model([clip], config, progress=reports.append)
    done = [(report.done, report.total) for report in reports if report.stage == "train"]
    assert done == [(2, 11), (5, 11), (8, 11), (11, 11)]
    assert first.used_clips == ("one",)
    second = fit_speech_model([clip], config)
    assert first.model.to_bytes() == second.model.to_bytes()
    other = fit_speech_model([clip], SpeechTrainConfig(**{**vars(config), "seed": 1}))
    assert first.model.to_bytes() != other.model.to_bytes()


def test_a_clip_whose_mouth_does_not_follow_is_left_out() -> None:
    clip = _clip()
    still = SpeechClip("still", clip.samples, clip.motion.resample(np.arange(50) * 1e-9))
    trained = fit_speech_model([still], TOY)
    assert trained.used_clips == ()
    assert set(trained.lag_estimates) == {"still"}


@pytest.mark.parametrize("delay", [-0.12, 0.0, 0.16])
def test_the_lag_of_a_picture_is_found(delay: float) -> None:
    sync = estimate_lag(_clip().motion, _clip(delay=delay).motion)
    assert sync.lag_seconds == pytest.approx(delay, abs=0.011)
    assert reliable_lag(sync) == pytest.approx(sync.lag_seconds if delay else 0.0)


def test_a_doubtful_lag_is_not_corrected() -> None:
    assert reliable_lag(LagEstimate(lag_seconds=0.2, r_best=0.5, r_zero=0.4)) == 0.0


def test_windows_have_the_promised_shape() -> None:
    rng = np.random.default_rng(0)
    fields = load_viseme_basis()
    said = recording_from_utterance(get_synthesizer().synthesize("Ja, ja.", "de"), fields)
    for takes in ([said, said], [silent_recording(rng)], [recording_from_clip(_clip(), 0.0)]):
        for _ in range(4):
            example = sample_window(takes, rng, len(MOUTH_POINTS), load_encoder())
            assert example.features.shape == (2 * WINDOW_ROWS, 80)
            assert example.displacement.shape == (WINDOW_ROWS, len(MOUTH_POINTS), 3)
            assert example.voice_activity.shape == (WINDOW_ROWS,)
            assert np.isfinite(example.features).all()
    silent = sample_window([silent_recording(rng)], rng, len(MOUTH_POINTS), load_encoder())
    assert silent.voice_activity.max() == 0
    assert np.abs(silent.displacement).max() == 0


def test_a_filmed_window_is_moved_to_where_it_agrees() -> None:
    rows = torch.arange(WINDOW_ROWS) * 0.02
    gap = 0.1 + 0.05 * torch.sin(9 * rows) + 0.05 * torch.sin(14 * rows + 1)
    basis = load_viseme_basis()[1:2] / np.linalg.norm(load_viseme_basis()[1])
    loss = MotionLoss(basis)
    predicted = SpeechPrediction(-gap[None, :, None].repeat(3, 1, 1), torch.zeros(3, WINDOW_ROWS))
    true = torch.einsum("brk,kpc->brpc", predicted.coefficients, torch.from_numpy(basis))
    late = torch.stack([torch.roll(each, 2, 0) for each in true])
    moved = loss.align_target(predicted, late, torch.tensor([True, True, False]))
    torch.testing.assert_close(moved[:2], true[:2])
    torch.testing.assert_close(moved[2], late[2])
    very_late = torch.roll(true, 20, 1)
    shifts = loss.align_target(predicted, very_late, torch.tensor([True] * 3))
    assert any(
        torch.equal(shifts[0], torch.roll(very_late[0], k, 0))
        for k in range(-MAX_SHIFT_ROWS, MAX_SHIFT_ROWS + 1)
    )


class Foreseen(nn.Module):
    """Stands for a network: foresees these gaps whatever it hears."""

    def __init__(self, gaps: torch.Tensor, opening: torch.Tensor, sideways: torch.Tensor) -> None:
        super().__init__()
        towards = opening / (opening @ opening)
        self.predicted = SpeechPrediction(
            gaps[None, :, None] * towards + sideways, torch.zeros(1, 60)
        )

    def forward(self, frames: torch.Tensor) -> SpeechPrediction:
        return self.predicted


@pytest.mark.parametrize("shut", [0.0, 0.02])
def test_lips_that_the_networks_close_stay_closed(shut: float) -> None:
    """Whatever the linear reader says; and nothing but the gap is changed."""
    opening = torch.tensor([0.5, -0.2, 0.0])
    ensemble = SpeechEnsemble(SpeechNetworkConfig(components=3, members=2), opening).eval()
    towards = opening / (opening @ opening)
    sideways = torch.tensor([0.02, 0.05, 0.3])
    gaps = torch.full((60,), 0.09)
    gaps[20:24] = shut  # a moment, as for /p/
    ensemble.networks = nn.ModuleList([Foreseen(gaps, opening, sideways) for _ in range(2)])
    with torch.no_grad():
        ensemble.linear.map.weight.zero_()
        ensemble.linear.map.bias[:] = 0.11 * towards + sideways
        found = ensemble(torch.rand(1, 120, 80)).coefficients[0]
    expected = torch.full((60,), 0.1)
    expected[20:24] = 0.0
    torch.testing.assert_close(found @ opening, expected, atol=1e-6, rtol=0)
    along = opening / opening.norm()
    across = found - (found @ along)[:, None] * along
    flat = sideways - (sideways @ along) * along
    torch.testing.assert_close(across, flat.expand(60, 3), atol=1e-6, rtol=0)


def test_lips_that_are_low_throughout_are_not_held_shut() -> None:
    opening = torch.tensor([0.5, -0.2, 0.0])
    ensemble = SpeechEnsemble(SpeechNetworkConfig(components=3, members=1), opening).eval()
    gaps = torch.full((60,), 0.04)
    ensemble.networks = nn.ModuleList([Foreseen(gaps, opening, torch.zeros(3))])
    with torch.no_grad():
        ensemble.linear.map.weight.zero_()
        ensemble.linear.map.bias[:] = 0.06 * opening / (opening @ opening)
        gap = ensemble(torch.rand(1, 120, 80)).coefficients[0] @ opening
    torch.testing.assert_close(gap, torch.full((60,), 0.05), atol=1e-6, rtol=0)


@pytest.mark.parametrize("inputs", [80, 768, 3000])
def test_the_linear_reader_finds_a_linear_law(inputs: int) -> None:
    config = SpeechNetworkConfig(inputs=inputs, stride=1, components=2)
    torch.manual_seed(0)
    truth, reader = LinearPredictor(config), LinearPredictor(config)
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((9, 2)))[0].T.reshape(2, 3, 3)
    basis = basis.astype(np.float32)

    def batches():
        for _ in range(10):
            frames = torch.randn(8, 60, inputs)
            wanted = torch.einsum("brk,kpc->brpc", truth(frames), torch.from_numpy(basis))
            yield SpeechBatch(frames, wanted, torch.ones(8, 60), torch.ones(8, dtype=torch.bool))

    solve_linear_predictor(reader, batches(), basis)
    frames = torch.randn(1, 200, inputs)
    r = np.corrcoef(truth(frames).detach().ravel(), reader(frames).detach().ravel())[0, 1]
    assert r > 0.9


@pytest.mark.parametrize("make", [colored_noise, music_noise, breath_noise])
def test_sounds_without_speech_are_sounds(make) -> None:
    sound = make(SPEECH_SAMPLE_RATE_HZ, np.random.default_rng(1))
    assert sound.shape == (SPEECH_SAMPLE_RATE_HZ,)
    assert np.isfinite(sound).all()
    assert 0.05 < np.abs(sound).max() < 8


def test_augmentation_keeps_length_and_silence() -> None:
    rng = np.random.default_rng(2)
    samples = _clip().samples
    for _ in range(10):
        assert augment_audio(samples, rng).shape == samples.shape
    assert augment_mel(np.zeros((7, 80), np.float32), rng).max() == 0
