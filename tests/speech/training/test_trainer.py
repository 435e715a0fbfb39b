"""Training at toy size: repeatable, and on the clips that fit."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("espeakng_loader")

from dubfew.data.array_cache import ArrayCache
from dubfew.errors import ArtefactError
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.progress import Progress
from dubfew.speech.encoders import load_encoder
from dubfew.speech.espeak import get_synthesizer
from dubfew.speech.training import trainer
from dubfew.speech.training.config import SpeechTrainConfig
from dubfew.speech.training.speech_clip import SpeechClip, store_clip
from dubfew.speech.training.trainer import fit_speech_model
from tests.speech.clips import TOY_SIZES, spoken_clip

pytestmark = pytest.mark.slow

TOY = SpeechTrainConfig(steps=5, **TOY_SIZES)


def test_training_is_deterministic_and_uses_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    # espeak-ng's voices vary from call to call, so the utterances are fixed here.
    clip = spoken_clip()
    texts = ("Mamma mia.", "La pappa.")
    utterances = [get_synthesizer().synthesize(text, "it") for text in texts]
    monkeypatch.setattr(trainer, "synthesize_sentences", lambda *_, **__: utterances)
    reports: list[Progress] = []
    config = SpeechTrainConfig(
        steps=3,
        scout_steps=2,
        num_linear_batches=2,
        batch_size=2,
        num_utterances=4,
        num_synthetic_passages=3,
        num_silent_passages=2,
        num_filmed_versions=2,
        num_projection_passages=4,
        num_detector_recordings=2,
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


def test_a_second_training_encodes_only_what_is_new(tmp_path: Path) -> None:
    one, two = spoken_clip("one"), spoken_clip("two", delay=0.08)
    quieter = SpeechClip("two", two.samples * np.float32(0.5), two.motion)
    config = replace(TOY, min_correlation=-1.0)

    def train(clips: list[SpeechClip], *, in_memory: bool = False) -> tuple[int, bytes]:
        cache = ArrayCache(tmp_path)
        given = clips if in_memory else [store_clip(clip, cache) for clip in clips]
        model = fit_speech_model(given, config, encoder=load_encoder("mel"), cache=cache).model
        return cache.num_computed, model.to_bytes()

    num_first, first = train([one])
    assert num_first > 10
    # Nothing is computed again, and clips in memory give the same bits.
    assert train([one], in_memory=True) == (0, first)
    # Of another clip: itself, targets at two lags at most, one version, the features of what is
    # predicted for it, and its sound for the detector. The space of motion, but nothing of the
    # first one.
    num_second, second = train([one, quieter])
    assert second != first
    assert 5 <= num_second <= 9


def test_a_clip_whose_mouth_does_not_follow_is_left_out() -> None:
    clip = spoken_clip()
    still = SpeechClip("still", clip.samples, clip.motion.resample(np.arange(50) * 1e-9))
    trained = fit_speech_model([still], TOY)
    assert trained.used_clips == ()
    assert set(trained.lag_estimates) == {"still"}


class StopAt:
    """A progress callback that sends a signal once, as Ctrl-C does, at a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def __call__(self, progress: Progress) -> None:
        if progress.stage == "train" and progress.done == self.step:
            signal.raise_signal(signal.SIGINT)


def test_an_interrupted_training_goes_on_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "REPORT_EVERY_STEPS", 1)
    # Features of a width that is projected, so that random noise is drawn, too.
    cache, encoder = ArrayCache(tmp_path / "cache"), load_encoder()
    clips = [spoken_clip("one"), SpeechClip("still", *_still_film())]
    config = replace(TOY, steps=3, scout_steps=2)
    whole = fit_speech_model(clips, config, encoder=encoder, cache=cache)
    folder = tmp_path / "run"

    def go_on(stop: int = 0) -> trainer.TrainedSpeechModel:
        return fit_speech_model(
            clips,
            config,
            encoder=encoder,
            cache=cache,
            state_folder=folder,
            progress=StopAt(stop),
        )

    # In the scout, at its last step, in the first network and in the second.
    for stop in (1, 2, 4, 7):
        with pytest.raises(KeyboardInterrupt):
            go_on(stop)
        assert (folder / "latest").read_text() == str(stop)
    with pytest.raises(ArtefactError, match=r"seed was 0, is 1.*--work"):
        fit_speech_model(
            clips, replace(config, seed=1), encoder=encoder, cache=cache, state_folder=folder
        )
    resumed = go_on()
    assert resumed.lag_estimates == whole.lag_estimates
    assert resumed.model.to_bytes() == whole.model.to_bytes()
    assert (folder / "latest").read_text() == "11"


def _still_film() -> tuple[np.ndarray, MouthMotion]:
    clip = spoken_clip()
    return clip.samples * np.float32(0.5), clip.motion.resample(np.arange(50) * 1e-9)
