"""From prepared footage to a model file, with what it foresees of each clip."""

from __future__ import annotations

import math
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dubfew.data.clip_index import read_exclude
from dubfew.errors import DubfewError
from dubfew.media.mel import RATE
from dubfew.progress import Progress, ProgressCallback, silent
from dubfew.speech.corpus import Clip, find_lag
from dubfew.speech.encoders.encoder import MEL, find_encoder
from dubfew.speech.model import SpeechModel
from dubfew.speech.training.config import TrainConfig
from dubfew.speech.training.motion_basis import Recording
from dubfew.speech.training.shard_clips import Filmed, filmed_speakers
from dubfew.speech.training.trainer import train
from dubfew.speech.viseme_basis import save_fields
from dubfew.utils.files import check_output

FIELDS = "fields.safetensors"


@dataclass(frozen=True)
class ClipScore:
    """How well a model foresees one clip.

    Attributes:
        clip: file of the clip.
        identity: whose it is.
        part: "held out" (the person is in no training), "trained", or "unfit": passed over by
            the training itself, because the mouth did not follow the sound.
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
class SpeechTraining:
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


def train_model(
    out: Path,
    *,
    data: Path | None = None,
    steps: int | None = None,
    seed: int = 0,
    exclude: Path | None = None,
    leave_out: Collection[str] = (),
    encoder: str = MEL,
    progress: ProgressCallback = silent,
) -> SpeechTraining:
    """Train the speech model on synthetic and filmed speech, and measure it.

    Nothing is written before the training is over.

    Args:
        out: the model's file, which ends in .safetensors; `FIELDS` is written beside it.
        data: shards of `dubfew prior prepare`; None trains on synthetic speech alone.
        steps: of the optimiser; None takes the usual number.
        seed: of everything random.
        exclude: list of people not to be touched, see `read_exclude`.
        leave_out: identities to measure on instead of training on them.
        encoder: what the network hears, see `find_encoder`.
        progress: see `train`.

    Raises:
        DubfewError: nothing to train on, or ``out`` cannot be written to.
        ArtefactError: there is no such encoder.
        MissingDependencyError: espeak-ng, or transformers for an encoder, is not installed.
    """
    started = time.perf_counter()
    if out.suffix != ".safetensors" or out.name == FIELDS:
        raise DubfewError(
            f"{out.name!r} is no name for a model: give one that ends in .safetensors, other than "
            f"{FIELDS}, which is written beside it"
        )
    if data is None and (leave_out or exclude):
        raise DubfewError("nobody can be left out where nobody was filmed: give prepared footage")
    fields = out.with_name(FIELDS)
    for path in (out, fields):
        check_output(path)
    names = frozenset() if exclude is None else read_exclude(exclude)
    filmed = Filmed([], [], {})
    if data is not None:
        filmed = filmed_speakers(data, exclude=names, leave_out=leave_out)
    hears = find_encoder(encoder)
    config = TrainConfig(seed=seed)
    config = config if steps is None else config.with_steps(steps)
    trained = train(filmed.train, config, encoder=hears, progress=progress)
    scores = [score(trained.model, clip, "held out") for clip in filmed.held_out]
    for number, clip in enumerate(filmed.train):
        progress(Progress("measure", number, len(filmed.train)))
        part = "trained" if clip.name in trained.used else "unfit"
        scores.append(score(trained.model, clip, part))
    means = {part: _mean(scores, part) for part in ("trained", "held out")}
    facts = {
        "steps": config.steps,
        "seed": seed,
        "r": {part: None if math.isnan(r) else round(r, 3) for part, r in means.items()},
        "clips": {each.clip: each.part for each in scores},
    }
    model = SpeechModel(trained.model.network, trained.model.space, hears, facts)
    save_fields(trained.fields, fields)
    model.save(out)
    return SpeechTraining(
        output=out,
        fields=fields,
        steps=config.steps,
        seed=seed,
        seconds=time.perf_counter() - started,
        r_trained=means["trained"],
        r_held_out=means["held out"],
        clips=tuple(scores),
        passed=filmed.passed,
    )


def score(model: SpeechModel, clip: Clip, part: str) -> ClipScore:
    """Measure a model on one clip."""
    seconds = len(clip.samples) / RATE
    grid = np.arange(0, seconds, 0.01)
    sync = find_lag(model.predict(Recording(clip.samples), grid), clip.motion)
    return ClipScore(clip.name, clip.identity, part, seconds, sync.r_zero, sync.r, sync.lag * 1000)


def _mean(scores: list[ClipScore], part: str) -> float:
    chosen = [each.r for each in scores if each.part == part]
    return float(np.mean(chosen)) if chosen else float("nan")
