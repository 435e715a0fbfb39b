"""From prepared footage to a model file, with what it foresees of each clip."""

from __future__ import annotations

import math
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dubfew.data.clip_index import read_exclude_list
from dubfew.errors import DubfewError
from dubfew.media import Audio
from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.speech.encoders import DEFAULT_ENCODER_NAME, load_encoder
from dubfew.speech.model import SpeechModel
from dubfew.speech.motion_lag import estimate_lag
from dubfew.speech.training.config import SpeechTrainConfig
from dubfew.speech.training.shard_clips import FilmedClips, load_filmed_clips
from dubfew.speech.training.speech_clip import SpeechClip
from dubfew.speech.training.trainer import fit_speech_model
from dubfew.speech.viseme_basis import save_viseme_basis
from dubfew.utils.files import check_output_path

VISEME_BASIS_FILENAME = "fields.safetensors"


@dataclass(frozen=True)
class ClipScore:
    """How well a model foresees one clip.

    Attributes:
        clip: file of the clip.
        identity: whose it is.
        part: "held out" (the person is in no training), "trained", or "unfit": passed over by the
            training itself, because the mouth did not follow the sound.
        seconds: of sound.
        r: correlation of predicted and tracked lip gap at the file's own timing.
        r_best: the same at the best lag within 0.4 s.
        lag_ms: that lag, positive where the picture is late.
    """

    clip: str
    identity: str
    part: str
    seconds: float
    r: float
    r_best: float
    lag_ms: float


@dataclass(frozen=True)
class SpeechTrainingResult:
    """What a training of the speech model made.

    Attributes:
        output: the model.
        fields: what its synthetic targets were made with, of use to later trainings only.
        steps: of the optimiser.
        seed: of everything random.
        seconds: that it took.
        r_trained: mean of ``r`` over the clips trained on; NaN without any.
        r_held_out: the same over people held out.
        clips: every clip, those held out first.
        passed: clips that could not be used, and why.
    """

    output: Path
    fields: Path
    steps: int
    seed: int
    seconds: float
    r_trained: float
    r_held_out: float
    clips: tuple[ClipScore, ...]
    passed: dict[str, str]


def train_speech_model(
    out: Path,
    *,
    data: Path | None = None,
    steps: int | None = None,
    seed: int = 0,
    exclude: Path | None = None,
    leave_out: Collection[str] = (),
    encoder: str = DEFAULT_ENCODER_NAME,
    progress: ProgressCallback = no_progress,
) -> SpeechTrainingResult:
    """Train the speech model on synthetic and filmed speech, and measure it.

    Nothing is written before the training is over.

    Args:
        out: the model's file, which ends in .safetensors; `VISEME_BASIS_FILENAME` is written beside
            it.
        data: shards of `dubfew prior prepare`; None trains on synthetic speech alone.
        steps: of the optimiser; None takes the usual number.
        seed: of everything random.
        exclude: list of people not to be touched, see `read_exclude_list`.
        leave_out: identities to measure on instead of training on them.
        encoder: what the network hears, see `load_encoder`.
        progress: see `fit_speech_model`.

    Raises:
        DubfewError: nothing to train on, or ``out`` cannot be written to.
        ArtefactError: there is no such encoder.
        MissingDependencyError: espeak-ng, or transformers for an encoder, is not installed.
    """
    started = time.perf_counter()
    if out.suffix != ".safetensors" or out.name == VISEME_BASIS_FILENAME:
        raise DubfewError(
            f"{out.name!r} is no name for a model: give one that ends in .safetensors, other than "
            f"{VISEME_BASIS_FILENAME}, which is written beside it"
        )
    if data is None and (leave_out or exclude):
        raise DubfewError("nobody can be left out where nobody was filmed: give prepared footage")
    fields = out.with_name(VISEME_BASIS_FILENAME)
    for path in (out, fields):
        check_output_path(path)
    names = frozenset() if exclude is None else read_exclude_list(exclude)
    filmed = FilmedClips([], [], {})
    if data is not None:
        filmed = load_filmed_clips(data, excluded_people=names, held_out_people=leave_out)
    hears = load_encoder(encoder)
    config = SpeechTrainConfig(seed=seed)
    config = config if steps is None else config.with_steps(steps)
    trained = fit_speech_model(filmed.train, config, encoder=hears, progress=progress)
    scores = [score_clip(trained.model, clip, "held out") for clip in filmed.held_out]
    for number, clip in enumerate(filmed.train):
        progress(Progress("measure", number, len(filmed.train)))
        part = "trained" if clip.name in trained.used_clips else "unfit"
        scores.append(score_clip(trained.model, clip, part))
    means = {part: _mean_correlation(scores, part) for part in ("trained", "held out")}
    facts = {
        "steps": config.steps,
        "seed": seed,
        "r": {part: None if math.isnan(r) else round(r, 3) for part, r in means.items()},
        "clips": {each.clip: each.part for each in scores},
    }
    model = SpeechModel(trained.model.network, trained.model.space, hears, facts)
    save_viseme_basis(trained.viseme_basis, fields)
    model.save(out)
    return SpeechTrainingResult(
        output=out,
        fields=fields,
        steps=config.steps,
        seed=seed,
        seconds=time.perf_counter() - started,
        r_trained=means["trained"],
        r_held_out=means["held out"],
        clips=tuple(scores),
        passed=filmed.skipped,
    )


def score_clip(model: SpeechModel, clip: SpeechClip, part: str) -> ClipScore:
    """Measure a model on one clip."""
    seconds = len(clip.samples) / SPEECH_SAMPLE_RATE_HZ
    grid = np.arange(0, seconds, 0.01)
    sync = estimate_lag(
        model.predict(Audio(clip.samples, SPEECH_SAMPLE_RATE_HZ), grid), clip.motion
    )
    return ClipScore(
        clip.name, clip.identity, part, seconds, sync.r_zero, sync.r_best, sync.lag_seconds * 1000
    )


def _mean_correlation(scores: list[ClipScore], part: str) -> float:
    chosen = [each.r for each in scores if each.part == part]
    return float(np.mean(chosen)) if chosen else float("nan")
