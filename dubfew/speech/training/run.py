"""From prepared footage to a model file: `dubfew speech train`."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from dubfew.data.array_cache import ArrayCache
from dubfew.data.clip_index import read_exclude_list
from dubfew.errors import DubfewError
from dubfew.media import Audio
from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.speech.encoders import DEFAULT_ENCODER_NAME, load_encoder
from dubfew.speech.model import SpeechModel
from dubfew.speech.motion_lag import estimate_lag
from dubfew.speech.training.cached_encoder import CachedEncoder
from dubfew.speech.training.config import SpeechTrainConfig
from dubfew.speech.training.imitator import fit_imitator
from dubfew.speech.training.shard_clips import FilmedClips, load_filmed_clips
from dubfew.speech.training.speech_clip import FilmedSpeech
from dubfew.speech.training.trainer import fit_speech_model
from dubfew.speech.viseme_basis import save_viseme_basis
from dubfew.training.accelerator import PlainSettings, configured_accelerator, share_work
from dubfew.training.resume_state import discard_run_state
from dubfew.utils.files import MAX_STEM_LENGTH, check_output_path

# File of the viseme basis, written beside the model. Only later trainings on synthetic speech alone
# need it.
VISEME_BASIS_FILENAME = "fields.safetensors"
# Folder of clips and encoded sound in the folder of a training.
FEATURES_FOLDER = "features"
# Networks that can be trained: dubfew's own, and that of Dubbing for Everyone, which learns from
# film alone and predicts jaw and expression.
SPEECH_NETWORKS = ("ensemble", "imitator")
# Step at which a prediction is sampled to be compared with the tracked motion, s.
_PREDICTION_STEP_SECONDS = 0.01


@dataclass(frozen=True)
class ClipScore:
    """Agreement of a model's prediction with one clip.

    Attributes:
        clip: file name of the clip.
        identity: identity of the speaker.
        part: "held out" (the person is in no training), "trained", or "unfit": left out by the
            training itself because the mouth does not follow the sound.
        seconds: length of the sound, s.
        r: correlation of predicted and tracked lip gap at the file's own timing.
        r_best: correlation at the best lag within 0.4 s.
        lag_ms: that lag, ms, positive if the picture is late.
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
    """Output of a training of the speech model.

    Attributes:
        output: file of the model.
        fields: file of the viseme basis that synthetic targets were made with.
        steps: optimizer steps of each network.
        seed: seed of all randomness.
        seconds: duration of the training, s.
        r_trained: mean of ``r`` over the clips trained on; NaN without any.
        r_held_out: mean of ``r`` over the clips of held-out people; NaN without any.
        clips: every clip, held-out ones first.
        passed: reason for each clip that could not be used, by file name.
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
    encoder: str | None = None,
    encoder_layer: int | None = None,
    network: str = "ensemble",
    head: str = "lite",
    work: Path | None = None,
    overwrite: bool = False,
    progress: ProgressCallback = no_progress,
) -> SpeechTrainingResult:
    """Train the speech model on synthetic and filmed speech, and measure it on every clip.

    The files are written when the training is over. Processes that a launcher has started share the
    training; the first one writes.

    Args:
        out: file of the model, ending in .safetensors; `VISEME_BASIS_FILENAME` is written beside
            it.
        data: shards of ``dubfew prior prepare``; None trains on synthetic speech alone.
        steps: optimizer steps of each network; None takes those of `SpeechTrainConfig`.
        seed: seed of all randomness.
        exclude: list of people whose data must not be used, see `read_exclude_list`.
        leave_out: identities to measure on instead of training on them.
        encoder: name of the audio encoder, see `load_encoder`; None is `DEFAULT_ENCODER_NAME`.
        encoder_layer: number of its blocks that are computed; None is its own choice.
        network: one of `SPEECH_NETWORKS`.
        head: head model whose jaw and expression "imitator" predicts.
        work: folder for clips, encoded sound and states. A training that was interrupted goes on
            from its state, and later trainings with the same folder encode only what is new. None
            keeps clips and sound beside ``out`` while the training lasts, and no state.
        overwrite: replace the model and the file beside it where they exist.
        progress: see `fit_speech_model`.

    Raises:
        OutputExistsError: The model or the file beside it exists and ``overwrite`` is False.
        DubfewError: There is nothing to train on, or ``out`` cannot be written to.
        ArtefactError: There is no such encoder or layer, the data is damaged, or ``work`` holds the
            state of another training.
        MissingDependencyError: espeak-ng is not installed, or what the encoder needs.
    """
    started = time.perf_counter()
    # Refuse what cannot work before anything is read.
    if out.suffix != ".safetensors" or out.name == VISEME_BASIS_FILENAME:
        raise DubfewError(
            f"a model cannot be named {out.name!r}: give a name that ends in .safetensors, other "
            f"than {VISEME_BASIS_FILENAME}, which is written beside it"
        )
    if network not in SPEECH_NETWORKS:
        raise DubfewError(f"no speech network {network!r}: there are {', '.join(SPEECH_NETWORKS)}")
    if network == "imitator" and data is None:
        raise DubfewError("'imitator' learns from film alone: name prepared footage with --data")
    if data is None and (leave_out or exclude):
        raise DubfewError("leaving people out needs prepared footage: name its folder with --data")
    # Find out now, not after minutes of training, whether the files can be written.
    fields = out.with_name(VISEME_BASIS_FILENAME)
    for path in (out, fields):
        check_output_path(path, overwrite=overwrite)
    excluded = frozenset() if exclude is None else read_exclude_list(exclude)
    audio_encoder = load_encoder(encoder or DEFAULT_ENCODER_NAME, encoder_layer)
    config = SpeechTrainConfig(seed=seed)
    config = config if steps is None else config.with_steps(steps)
    with ExitStack() as stack:
        accelerator = stack.enter_context(configured_accelerator(PlainSettings()))
        if not accelerator.is_main_process:
            progress = no_progress
        if accelerator.num_processes > 1 and work is None:
            raise DubfewError("several processes need a folder that all of them see: give --work")
        cache = stack.enter_context(_open_cache(work, out))
        filmed = FilmedClips([], [], {})
        if data is not None:
            with accelerator.main_process_first():
                filmed = load_filmed_clips(
                    data, excluded_people=excluded, held_out_people=leave_out, cache=cache
                )
        fit = fit_speech_model if network == "ensemble" else partial(fit_imitator, head_name=head)
        trained = fit(
            filmed.train,
            config,
            encoder=audio_encoder,
            cache=cache,
            accelerator=accelerator,
            state_folder=work,
            progress=progress,
        )
        # Measure every clip; people held out come first, for they are the figure that counts.
        cached_encoder = CachedEncoder(audio_encoder, cache)
        measured = SpeechModel(trained.model.network, trained.model.space, cached_encoder)
        parts = [(clip, "held out") for clip in filmed.held_out]
        for clip in filmed.train:
            parts.append((clip, "trained" if clip.name in trained.used_clips else "unfit"))

        def score(number: int) -> ClipScore:
            progress(Progress("measure", number, len(parts)))
            return score_clip(measured, *parts[number])

        scores = share_work(accelerator, range(len(parts)), score)
        is_main = accelerator.is_main_process
    means = {part: _mean_correlation(scores, part) for part in ("trained", "held out")}
    # Facts that the model's file keeps.
    facts = {
        "steps": config.steps,
        "seed": seed,
        "r": {part: None if math.isnan(r) else round(r, 3) for part, r in means.items()},
        "clips": {score.clip: score.part for score in scores},
    }
    # Write both files at the end, so that an interrupted training leaves nothing.
    model = SpeechModel(trained.model.network, trained.model.space, audio_encoder, facts)
    if is_main:
        save_viseme_basis(trained.viseme_basis, fields)
        model.save(out)
        if work is not None:
            discard_run_state(work)
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


@contextmanager
def _open_cache(work: Path | None, out: Path) -> Iterator[ArrayCache]:
    """Open the cache of a training: in its folder, or in a temporary one beside the model."""
    if work is not None:
        yield ArrayCache(work / FEATURES_FOLDER)
        return
    # Not in the system's folder, which often is memory; and where the model's folder is yet to be
    # made, in the one above it.
    parent = next(folder for folder in out.absolute().parents if folder.is_dir())
    with tempfile.TemporaryDirectory(
        prefix=f".{out.stem[:MAX_STEM_LENGTH]}-", dir=parent
    ) as folder:
        yield ArrayCache(Path(folder))


def score_clip(model: SpeechModel, clip: FilmedSpeech, part: str) -> ClipScore:
    """Measure how well a model's prediction follows one clip.

    Args:
        model: model to measure.
        clip: filmed speaker.
        part: value for `ClipScore.part`.
    """
    samples = clip.samples
    seconds = len(samples) / SPEECH_SAMPLE_RATE_HZ
    grid = np.arange(0, seconds, _PREDICTION_STEP_SECONDS)
    predicted = model.predict(Audio(samples, SPEECH_SAMPLE_RATE_HZ), grid)
    lag = estimate_lag(predicted, clip.motion)
    return ClipScore(
        clip.name, clip.identity, part, seconds, lag.r_zero, lag.r_best, lag.lag_seconds * 1000
    )


def _mean_correlation(scores: list[ClipScore], part: str) -> float:
    """Average ``r`` over one part; NaN if it is empty."""
    values = [score.r for score in scores if score.part == part]
    return float(np.mean(values)) if values else float("nan")
