"""The training of Imitator's network on filmed people: ``dubfew speech train --network imitator``.

Targets are jaw and expression that make each clip's mouth motion on the mean face of a head model,
in step with the sound. The loss is that of the mouth's points which the parameters make.

Source: Thambiraja et al. 2023, "Imitator: Personalized Speech-driven 3D Facial Animation" (arXiv
2301.00023), section 3, for network and losses; Saunders and Namboodiri 2024, "Dubbing for
Everyone" (arXiv 2401.06126), section 3.6, for jaw and expression as its output.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from numpy.typing import NDArray
from torch import Tensor, nn

from dubfew.data.array_cache import ArrayCache
from dubfew.errors import DubfewError
from dubfew.media.mel import estimate_channel
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.motion.retargeting import pose_mouth
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.reconstruction.heads.head_model import HeadModel, load_head_model
from dubfew.speech.encoders import ROW_SECONDS, AudioEncoder
from dubfew.speech.imitator import ROWS_PER_STEP, ImitatorConfig, ImitatorNetwork
from dubfew.speech.model import MotionSpace, SpeechModel
from dubfew.speech.parameter_style import NUM_JAW_PARAMETERS, solve_parameters
from dubfew.speech.training.cached_encoder import CachedEncoder
from dubfew.speech.training.clip_sync import file_of_clip, measure_picture_lags
from dubfew.speech.training.config import RandomStream, SpeechTrainConfig
from dubfew.speech.training.examples import WINDOW_ROWS, store_recording
from dubfew.speech.training.speech_clip import FilmedSpeech
from dubfew.speech.training.trainer import (
    CHECKPOINT_STEPS,
    REPORT_EVERY_STEPS,
    TrainedSpeechModel,
)
from dubfew.speech.viseme_basis import load_viseme_basis
from dubfew.training.interruption import Interruption, deferred_interrupts
from dubfew.training.resume_state import RunState, resume_run, save_run_state
from dubfew.utils.arrays import FloatArray
from dubfew.utils.signal import LagEstimate

# Rate of Adam, and weights of frames with closed lips and of velocities against the rest.
# Source: Imitator's published settings.
LEARNING_RATE, CLOSED_LIPS_WEIGHT, VELOCITY_WEIGHT = 1e-4, 5.0, 10.0
# Gap below which lips count as closed while somebody speaks, inter-ocular distances. Imitator takes
# /m/, /b/ and /p/ of a transcript, which film does not have.
CLOSED_GAP = 0.02
# Time of a step, s, and steps of a window of 3 s.
STEP_SECONDS = ROWS_PER_STEP * ROW_SECONDS
WINDOW_STEPS = WINDOW_ROWS // ROWS_PER_STEP
# Turn of the jaw at which the motion of its parameters is measured, rad: about half of what a mouth
# opens in speech, where a turn that counts as straight errs least.
JAW_PROBE_RADIANS = 0.15


@dataclass(frozen=True)
class ImitatorClip:
    """What one clip teaches, a step every 40 ms.

    Attributes:
        features: features of the encoder. [S * 2 * stride, F]
        parameters: jaw and expression. [S, P]
        closed: 1 where lips are closed in speech, else 0. [S]
        person: number of the person's style.
    """

    features: FloatArray
    parameters: FloatArray
    closed: FloatArray
    person: int


def measure_parameter_motion(head: HeadModel) -> NDArray[np.float64]:
    """Measure the motion of the mouth's points that a unit of each parameter makes.

    Args:
        head: head model; its mean face is posed.

    Returns:
        Displacements, inter-ocular distances: three parameters of the jaw, then the expressions of
        the mouth. [P, 3 * points]
    """
    count, expressions = NUM_JAW_PARAMETERS + head.mouth_expressions, len(head.expression_basis)
    jaw, expression = np.zeros((count + 1, NUM_JAW_PARAMETERS)), np.zeros((count + 1, expressions))
    size = np.ones(count)
    size[:NUM_JAW_PARAMETERS] = JAW_PROBE_RADIANS
    for row in range(count):
        if row < NUM_JAW_PARAMETERS:
            jaw[row, row] = size[row]
        else:
            expression[row, row - NUM_JAW_PARAMETERS] = 1
    posed = pose_mouth(head, np.zeros(len(head.shape_basis)), jaw, expression)
    moved = (posed[:-1] - posed[-1]).reshape(count, -1)
    return moved.astype(np.float64) / size[:, None]


def compute_imitator_loss(predicted: Tensor, target: Tensor, closed: Tensor) -> Tensor:
    """Compute the loss of motion. []

    Args:
        predicted: predicted motion coefficients. [B, S, K]
        target: true ones. [B, S, K]
        closed: 1 where lips are closed in speech, else 0. [B, S]
    """
    error = (predicted - target).square().sum(-1)
    velocity = (predicted.diff(dim=1) - target.diff(dim=1)).square().sum(-1)
    weighted = error * (1 + (CLOSED_LIPS_WEIGHT - 1) * closed)
    return weighted.mean() + VELOCITY_WEIGHT * velocity.mean()


def fit_imitator(
    clips: Sequence[FilmedSpeech],
    config: SpeechTrainConfig,
    *,
    encoder: AudioEncoder,
    cache: ArrayCache,
    accelerator: Accelerator,
    state_folder: Path | None = None,
    head_name: str = "lite",
    progress: ProgressCallback = no_progress,
) -> TrainedSpeechModel:
    """Train Imitator's network from scratch, or go on from a stored state.

    Args:
        clips: filmed speakers.
        config: steps, batch and seed; the rest is Imitator's own.
        encoder: audio encoder; the papers' is wav2vec 2.0.
        cache: holds what is encoded.
        accelerator: processes that share the training.
        state_folder: folder for states; None keeps none.
        head_name: head model whose jaw and expression are predicted.
        progress: called every 10th step and at the last one.

    Raises:
        ArtefactError: The state belongs to another training, or is damaged.
        DubfewError: There is no clip.
        KeyboardInterrupt: A signal asked for the end; the state is stored.
    """
    if not clips:
        raise DubfewError("all clips are held out: leave somebody to learn from")
    head = load_head_model(head_name)
    with accelerator.main_process_first():
        lags = measure_picture_lags(SpeechModel.load_default(), clips)
        people = sorted({clip.identity for clip in clips})
        taught = [
            _prepare_clip(
                clip,
                people.index(clip.identity),
                lags[file_of_clip(clip)].correction_seconds,
                head,
                encoder,
                cache,
            )
            for clip in clips
        ]
    taught = [clip for clip in taught if len(clip.parameters) >= WINDOW_STEPS]
    if not taught:
        raise DubfewError(f"no clip is {WINDOW_ROWS * ROW_SECONDS:g} s long: prepare longer ones")
    # Not before: what was loaded until here may have drawn numbers.
    torch.manual_seed(config.seed)
    network, space = _make_network(taught, len(people), head, encoder)
    optimizer = torch.optim.Adam(network.parameters(), LEARNING_RATE)
    wrapped, optimizer = accelerator.prepare(network, optimizer)
    film = json.dumps([[clip.name, clip.sound_hash, clip.motion_hash] for clip in clips])
    fingerprint = {
        "network": "imitator",
        "head": head_name,
        "film": hashlib.sha256(film.encode()).hexdigest()[:12],
        "config": asdict(config),
        "encoder": encoder.metadata(),
        "processes": accelerator.num_processes,
    }
    fingerprint = json.loads(json.dumps(fingerprint))
    state = RunState()
    if state_folder is not None:
        state = resume_run(accelerator, state_folder, fingerprint, folder_option="--work")
    context = nullcontext(Interruption()) if state_folder is None else deferred_interrupts()
    with context as interruption:
        for step in range(state.step, config.steps):
            loss = _train_step(wrapped, optimizer, accelerator, taught, config, step)
            done = step + 1
            if done % REPORT_EVERY_STEPS == 0 or done == config.steps:
                progress(Progress("train", done, config.steps, {"loss": loss}))
            if state_folder is None:
                continue
            if interruption.requested:
                accelerator.set_trigger()
            stopped = accelerator.check_trigger()
            if stopped or done % CHECKPOINT_STEPS == 0 or done == config.steps:
                save_run_state(accelerator, state_folder, RunState(done), fingerprint)
            if stopped:
                raise KeyboardInterrupt
    model = SpeechModel(network.cpu().eval(), space, CachedEncoder(encoder, cache))
    estimates = {}
    for clip in clips:
        lag = lags[file_of_clip(clip)]
        estimates[clip.name] = LagEstimate(lag.lag_seconds, lag.r, lag.r_zero)
    return TrainedSpeechModel(model, load_viseme_basis(), estimates, tuple(estimates))


def _prepare_clip(
    clip: FilmedSpeech,
    person: int,
    lag_seconds: float,
    head: HeadModel,
    encoder: AudioEncoder,
    cache: ArrayCache,
) -> ImitatorClip:
    """Solve for the parameters of a clip in step with its sound, and encode the sound."""
    recording = store_recording(clip, lag_seconds, cache)
    step_rows = slice(0, None, ROWS_PER_STEP)

    def compute() -> dict[str, FloatArray]:
        displacement = recording.displacement[step_rows]
        motion = MouthMotion(displacement, np.arange(len(displacement)) * STEP_SECONDS)
        shape = np.zeros(len(head.shape_basis), np.float32)
        rest = pose_mouth(
            head, shape, np.zeros((1, NUM_JAW_PARAMETERS)), np.zeros((1, head.mouth_expressions))
        )[0]
        parameters = solve_parameters(head, shape, rest, motion).astype(np.float32)
        gap = motion.aperture().astype(np.float32)
        return {"parameters": parameters, "gap": gap}

    key = {"parameters": [clip.sound_hash, clip.motion_hash], "lag": lag_seconds, "head": head.name}
    solved = cache.fetch(key, compute)
    parameters = solved.read("parameters")
    speaks = recording.voice_activity[step_rows] > 0
    closed = (solved.read("gap") < CLOSED_GAP) & speaks
    samples = recording.samples
    encoded = CachedEncoder(encoder, cache).encode(samples, estimate_channel(samples))
    features = encoded.frames(0, len(parameters) * ROWS_PER_STEP * encoder.stride)
    return ImitatorClip(features, parameters, closed.astype(np.float32), person)


def _make_network(
    taught: Sequence[ImitatorClip], people: int, head: HeadModel, encoder: AudioEncoder
) -> tuple[ImitatorNetwork, MotionSpace]:
    """Make an untrained network, and the space of the motion that its parameters make."""
    motion = measure_parameter_motion(head)
    parameters = np.concatenate([clip.parameters for clip in taught]).astype(np.float64)
    config = ImitatorConfig(
        inputs=encoder.feature_dim,
        stride=encoder.stride,
        parameters=parameters.shape[1],
        people=people,
    )
    # Directions of motion in the film, strongest first.
    moved = parameters @ motion
    _, vectors = np.linalg.eigh(moved.T @ moved)
    basis = vectors.T[::-1][: config.components]
    coefficients = moved @ basis.T
    network = ImitatorNetwork(config)
    network.pose.copy_(torch.from_numpy(motion @ basis.T))
    # Parameters that the film never moves stay at rest.
    network.scale.copy_(torch.from_numpy(np.sqrt((parameters**2).mean(0))))
    basis = np.ascontiguousarray(basis.reshape(config.components, -1, 3), np.float32)
    coefficient_rms = np.sqrt((coefficients**2).mean(0)).astype(np.float32)
    space = MotionSpace(basis, coefficient_rms, 1.0)
    gap = space.reconstruct(coefficients, np.arange(len(coefficients)) * STEP_SECONDS).aperture()
    return network, MotionSpace(basis, coefficient_rms, float(np.quantile(gap, 0.95)))


def _train_step(
    wrapped: nn.Module,
    optimizer: AcceleratedOptimizer,
    accelerator: Accelerator,
    taught: Sequence[ImitatorClip],
    config: SpeechTrainConfig,
    step: int,
) -> float:
    """Do one step on windows of 3 s; returns the loss, in parts of the motion's variance."""
    network = accelerator.unwrap_model(wrapped)
    rng = RandomStream.TRAINING_BATCH.start(config.seed, 0, step, accelerator.process_index)
    lengths = np.array([len(clip.parameters) for clip in taught], np.float64)
    rows: list[tuple[FloatArray, FloatArray, FloatArray, int]] = []
    frames_per_step = ROWS_PER_STEP * network.config.stride
    for number in rng.choice(len(taught), config.batch_size, p=lengths / lengths.sum()):
        clip = taught[number]
        first = int(rng.integers(len(clip.parameters) - WINDOW_STEPS + 1))
        window = slice(first, first + WINDOW_STEPS)
        heard = slice(window.start * frames_per_step, window.stop * frames_per_step)
        rows.append(
            (clip.features[heard], clip.parameters[window], clip.closed[window], clip.person)
        )
    frames, parameters, closed, person = (
        torch.from_numpy(np.stack(column)).to(accelerator.device)
        for column in zip(*rows, strict=True)
    )
    predicted = wrapped(frames.float(), person).coefficients[:, ::ROWS_PER_STEP]
    target = parameters.float() @ network.pose
    loss = compute_imitator_loss(predicted, target, closed) / target.square().sum(-1).mean()
    optimizer.zero_grad()
    accelerator.backward(loss)
    optimizer.step()
    return float(loss.detach())
