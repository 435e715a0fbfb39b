"""The adaptation loop: train a copy of the prior on one actor's footage for some hundred steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor, nn

from dubfew.adapt.judges import Judges
from dubfew.adapt.learning_on import AdapterStart
from dubfew.adapt.methods import AdaptationMethod, MethodOptions
from dubfew.adapt.replay import ReplaySampler
from dubfew.data.samples import TrainingSample, collate_samples, make_sample, unwrap_footage_texture
from dubfew.data.sampling import ADAPT_SAMPLING, draw_sample
from dubfew.prior.checkpoint import Prior
from dubfew.prior.losses.objective import mouth_psnr
from dubfew.prior.recipes import RECIPES, TrainingRecipe
from dubfew.prior.renderers import Renderer, make_renderer
from dubfew.progress import Progress, ProgressCallback
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.references.footage import Footage
from dubfew.references.selection import spread_rows
from dubfew.textures import NeuralTexture
from dubfew.training import MAX_GRADIENT_NORM
from dubfew.training.early_stopping import EarlyStopping
from dubfew.training.schedules import LearningRateSchedule, warmup_cosine
from dubfew.utils.prefetch import prefetch

# Frames of the actor in every batch. More make a step slower without making it much better: the
# frames of a few seconds resemble each other (docs/findings.md, "Frames of a batch").
ACTOR_BATCH_SIZE = 2
# Steps from one validation to the next. A validation costs as much as a step. Closer ones would
# cost a tenth of the time and more; at 25, the best step of a quick learner was missed by 0.14 dB.
VALIDATE_EVERY_STEPS = 10
# Held-out frames that are painted together, as many as a training batch has with other people's.
VALIDATION_FRAMES = 2 * ACTOR_BATCH_SIZE
# Validations in a row without a gain after which training stops, and the least gain, dB. Less
# patience stops at the noise of a few held-out frames; more, or counting smaller gains, trains on
# for what nobody sees (docs/findings.md, "When to stop").
PATIENCE_VALIDATIONS, MIN_GAIN_DB = 3, 0.02
# Part of the footage, at its end, that is held out for validation, and the most frames of it that
# are rendered. A larger part leaves less to learn from; more frames make validations slower.
HELD_OUT_FRACTION, MAX_HELD_OUT_FRAMES = 0.15, 12
# Fewest frames of footage of which some are held out: 15 % of fewer are no measure.
MIN_FRAMES_TO_HOLD_OUT = 16
# Peak learning rate (Adam) of the neural texture. Higher than that of any network weight: each
# texel is seen by few pixels.
TEXTURE_LEARNING_RATE = 1e-3
# Momentum and second moment of Adam. 0.99 follows the gradient's size within a hundred steps, as
# many as an adaptation has.
ADAM_BETAS = (0.9, 0.99)
# Steps during which the learning rates rise, so that Adam's first steps, whose moments are
# guesses, move little; and the factor that the rates end with, so that the last steps only settle.
WARMUP_STEPS, FINAL_RATE_FACTOR = 5, 0.1
# Share of replayed people in a mixed batch: as many of their frames as of the actor's.
# Source: Saunders and Namboodiri 2024 (arXiv 2401.06126), section 3.5, ratio 1:1.
REPLAY_FRACTION = 0.5

# Called with the steps done, the renderer and the texture.
StepCallback = Callable[[int, nn.Module, nn.Module], None]


@dataclass(frozen=True)
class AdapterTraining:
    """Result of an adaptation.

    Attributes:
        weights: delta against the prior's weights, as the method extracts it.
        texture: the actor's neural texture. [C, H, W]
        best_step: step that weights and texture are from.
        steps_done: steps that were trained, with those after the best one.
        psnr_heldout: mean PSNR of the mouths of the held-out frames at that step, dB; None if no
            frames were held out.
        curve: step, seconds since the start and held-out PSNR of every validation.
    """

    weights: dict[str, Tensor]
    texture: Tensor
    best_step: int
    steps_done: int
    psnr_heldout: float | None
    curve: list[tuple[int, float, float]]


class _Validation:
    """Measures the held-out frames during a training and keeps the best step.

    Attributes:
        stopping: weights of the best step.
        curve: step, seconds since the start and PSNR of every validation.
        steps_done: steps that were trained.
    """

    def __init__(self, renderer: nn.Module, texture: nn.Module, task: AdaptationTask) -> None:
        self.renderer, self.texture, self.task = renderer, texture, task
        self.stopping = EarlyStopping(
            (renderer, texture),
            patience_steps=task.validate_every * task.patience,
            min_gain=MIN_GAIN_DB,
        )
        self.curve: list[tuple[int, float, float]] = []
        self.steps_done = 0
        self._began = time.monotonic()

    def measure(self, step: int) -> float | None:
        """Measure a step, keep it if it is the best, and return its PSNR in dB.

        Without held-out frames the newest step is kept, and None returned.
        """
        if self.task.measure is None:
            self.stopping.keep(step)
            return None
        psnr = self.task.measure(self.renderer, self.texture)
        self.curve.append((step, time.monotonic() - self._began, psnr))
        self.stopping.update(step, psnr)
        return psnr

    def should_stop(self, step: int) -> bool:
        """Return whether the held-out frames stopped gaining."""
        return self.task.measure is not None and self.stopping.is_exhausted(step)


def train_adapter(
    prior: Prior,
    footage: Footage,
    head: HeadModel,
    method: AdaptationMethod,
    options: MethodOptions,
    *,
    steps: int,
    device: str,
    seed: int,
    replay: ReplaySampler | None = None,
    replay_fraction: float = REPLAY_FRACTION,
    recipe: TrainingRecipe | None = None,
    random_texture: bool = False,
    fresh: bool = False,
    networks: Mapping[str, nn.Module] | None = None,
    start: AdapterStart | None = None,
    progress: ProgressCallback,
    on_step: StepCallback | None = None,
) -> AdapterTraining:
    """Adapt a blending prior to footage; keep the step that renders the held-out frames best.

    Step 0 competes, too, so the result renders these frames at least as well as the prior.

    Args:
        prior: prior to start from; does not change.
        footage: windows of the actor, of the size that the prior's renderer takes.
        head: head model of the footage.
        method: says which weights of the renderer are trained.
        options: options of the method, all of them.
        steps: largest number of steps; 0 measures the prior alone.
        device: "cpu" or "cuda", as torch names it.
        seed: seed of the batches and of new weights.
        replay: other people in every batch, so that the renderer keeps what it knows of them; None
            for the actor alone.
        replay_fraction: share of these people in a batch, from 0 to below 1.
        recipe: computes the loss; that of blending renderers with the preset ``dubfew`` by default.
        random_texture: start the texture from random features instead of the footage's colors.
        fresh: start from fresh weights instead of the prior's, as a baseline.
        networks: networks of the losses that are not trained along; loaded by default.
        start: weights and texture that training goes on from, in place of the prior's and the
            footage's.
        progress: function that is called after every step and every validation.
        on_step: function that is called before the first step and after every step, to measure; it
            must not change anything.

    Returns:
        The actor's weights and texture, and how they were measured.
    """
    accelerator = Accelerator(cpu=device == "cpu")
    generator = np.random.default_rng(seed)
    torch.manual_seed(seed)
    train_rows, held_out_rows = split_held_out(len(footage))

    # What is trained: a copy of the renderer as the method allows, and the actor's texture.
    prior_weights = {name: value.clone() for name, value in prior.renderer.state_dict().items()}
    renderer = deepcopy(prior.renderer)
    if fresh:
        new = make_renderer(prior.renderer_name, vars(prior.renderer.config))
        renderer.load_state_dict(new.state_dict())
    model = method.make_trainable(renderer, options)
    if random_texture or start is not None:
        texture = NeuralTexture(1, len(prior.texture))
    else:
        texture = make_actor_texture(prior, footage.select_frames(train_rows), head)
    if start is not None:
        start.restore(model, texture, method)
    num_references = prior.renderer.config.references
    held_out = [
        make_sample(footage, row, train_rows, head, num_references) for row in held_out_rows
    ]
    # A few at once: all frames' features would take more memory than training itself.
    validated = [
        collate_samples(held_out[start : start + VALIDATION_FRAMES]).to(accelerator.device)
        for start in range(0, len(held_out), VALIDATION_FRAMES)
    ]
    # Replayed people come on top of the actor's frames, so a mixed step takes longer.
    num_replayed = round(ACTOR_BATCH_SIZE * replay_fraction / (1 - replay_fraction))
    judges = Judges(recipe or RECIPES.load("fields")(), prior, accelerator, networks)

    def draw_batches() -> Iterator[tuple[TrainingSample, tuple[TrainingSample, Tensor] | None]]:
        """Draw frames of the actor, and those of other people that go with them, without end."""
        channels = texture.features.shape[1]
        while True:
            sample = sample_actor_batch(footage, train_rows, head, num_references, generator)
            others = None
            if replay is not None and num_replayed:
                others = replay.sample_replay_batch(
                    num_replayed, num_references, channels, generator
                )
            yield sample, others

    def compute_loss(renderer: nn.Module, texture: nn.Module) -> Tensor:
        sample, others = next(batches)
        sample = sample.to(accelerator.device)
        inputs = sample.inputs
        features = texture(inputs.actor_index, inputs.uv, inputs.mesh_mask[:, 0] > 0)
        if others is not None:
            # Other people come with features of their own, which are not trained.
            sample = collate_samples([sample, others[0].to(accelerator.device)])
            features = torch.cat([features, others[1].to(accelerator.device)])
        return judges.compute_loss(renderer, sample, features)

    def measure(renderer: nn.Module, texture: nn.Module) -> float:
        return mean_mouth_psnr(cast("Renderer", renderer), texture, validated)

    # The next batch is made while this one is learned from.
    with closing(prefetch(draw_batches(), 1)) as batches:
        best = run_adaptation(
            AdaptationTask(
                compute_loss=compute_loss,
                measure=measure if validated else None,
                texture_rate=TEXTURE_LEARNING_RATE,
                betas=ADAM_BETAS,
                max_gradient_norm=MAX_GRADIENT_NORM,
                rate_factor=lambda step: warmup_cosine(
                    step, steps, warmup_steps=WARMUP_STEPS, floor=FINAL_RATE_FACTOR
                ),
                train_critics=judges.train_critics,
                validate_every=VALIDATE_EVERY_STEPS,
                patience=PATIENCE_VALIDATIONS,
            ),
            renderer,
            texture,
            model,
            method.learning_rate,
            accelerator,
            steps=steps,
            progress=progress,
            on_step=on_step,
        )
    # From the trained module to what the method stores.
    return AdapterTraining(
        weights=method.extract_delta(renderer.cpu(), prior_weights),
        texture=texture.features[0].detach().cpu(),
        best_step=best.stopping.best_step or 0,
        steps_done=best.steps_done,
        psnr_heldout=best.stopping.best_score,
        curve=best.curve,
    )


@dataclass(frozen=True)
class AdaptationTask:
    """What the loop trains on and measures by.

    Attributes:
        compute_loss: draws a batch and computes the loss of the renderer and the texture. []
        measure: measures the held-out frames, dB; None if there are none.
        texture_rate: peak learning rate of the texture.
        betas: momentum and second moment of Adam.
        max_gradient_norm: gradients of the renderer are clipped to it; None clips nothing.
        rate_factor: factor of all rates at a step.
        train_critics: takes a step of what judges the renderer, after the renderer's own step.
        validate_every: steps from one validation to the next.
        patience: validations in a row without a gain after which training stops.
    """

    compute_loss: Callable[[Any, Any], Tensor]
    measure: Callable[[Any, Any], float] | None
    texture_rate: float
    betas: tuple[float, float]
    max_gradient_norm: float | None
    rate_factor: Callable[[int], float]
    train_critics: Callable[[], None]
    validate_every: int
    patience: int


def run_adaptation(
    task: AdaptationTask,
    renderer: nn.Module,
    texture: nn.Module,
    model: nn.Module,
    renderer_rate: float,
    accelerator: Accelerator,
    *,
    steps: int,
    progress: ProgressCallback,
    on_step: StepCallback | None = None,
) -> _Validation:
    """Train a renderer and a texture in place, and leave them at the best step.

    Args:
        task: says what to train on.
        renderer: network, on the CPU.
        texture: textures, which have their parameters under ``features``.
        model: the renderer as the method made it trainable.
        renderer_rate: peak learning rate of its trainable parameters.
        accelerator: has the device.
        steps: largest number of steps; 0 measures the start alone.
        progress: function that is called after every step and every validation.
        on_step: function that is called before the first step and after every step.

    Returns:
        The measurements, with the best step.
    """
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": parameters, "lr": rate}
        for parameters, rate in (
            (list(texture.parameters()), task.texture_rate),
            (trainable, renderer_rate),
        )
        if parameters
    ]
    renderer, texture = accelerator.prepare(renderer, texture)
    if steps:
        # The first optimizer of a process imports torch's compiler, which takes two seconds.
        optimizer = accelerator.prepare(torch.optim.Adam(groups, betas=task.betas))
        schedule = LearningRateSchedule(optimizer, task.rate_factor)
    validation = _Validation(renderer, texture, task)

    def report(step: int, psnr: float) -> None:
        progress(Progress("train", step, steps, {"psnr_heldout": psnr}))

    # The prior itself is measured first, as step 0.
    psnr = validation.measure(0)
    if psnr is not None:
        report(0, psnr)
    if on_step is not None:
        on_step(0, renderer, texture)
    for step in range(1, steps + 1):
        schedule.set_step(step)
        loss = task.compute_loss(renderer, texture)
        accelerator.backward(loss)
        if trainable and task.max_gradient_norm is not None:
            accelerator.clip_grad_norm_(trainable, task.max_gradient_norm)
        optimizer.step()
        optimizer.zero_grad()
        task.train_critics()
        validation.steps_done = step
        if on_step is not None:
            on_step(step, renderer, texture)
        # The last step is always measured, or its work could not be kept.
        if step % task.validate_every == 0 or step == steps:
            psnr = validation.measure(step)
            if psnr is not None:
                report(step, psnr)
            if validation.should_stop(step):
                break
        report(step, max(validation.stopping.best_score or 0.0, 0.0))
    validation.stopping.restore()
    return validation


def make_actor_texture(prior: Prior, footage: Footage, head: HeadModel) -> NeuralTexture:
    """Make a new actor's texture: the prior's mean, its colors unwrapped from the footage.

    Args:
        prior: prior with the mean of its people's textures.
        footage: windows of the actor.
        head: head model of the footage.
    """
    texture = NeuralTexture(1, len(prior.texture))
    with torch.no_grad():
        texture.features[0] = prior.texture
    rgb = unwrap_footage_texture(footage, head)
    texture.initialize_from_image(0, torch.from_numpy(rgb).permute(2, 0, 1))
    return texture


def split_held_out(
    num_frames: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:  # [M], [V]
    """Split footage into rows for training and, from its end, rows for validation.

    Args:
        num_frames: frames of the footage; all of fewer than 16 are trained on.

    Returns:
        Training rows and validation rows, ascending. [M] and [V]

    Example:
        >>> train_rows, held_out_rows = split_held_out(20)
        >>> len(train_rows), held_out_rows.tolist()
        (17, [17, 18, 19])
    """
    rows = np.arange(num_frames)
    if num_frames < MIN_FRAMES_TO_HOLD_OUT:
        return rows, rows[:0]
    num_held_out = int(num_frames * HELD_OUT_FRACTION)
    tail = rows[num_frames - num_held_out :]
    spread = spread_rows(0, num_held_out - 1, min(num_held_out, MAX_HELD_OUT_FRAMES))
    return rows[: num_frames - num_held_out], tail[spread]


def sample_actor_batch(
    footage: Footage,
    rows: NDArray,
    head: HeadModel,
    num_references: int,
    generator: np.random.Generator,
    *,
    augment: bool = True,
) -> TrainingSample:
    """Draw a batch of the actor's frames, each with references from the other rows.

    Faces are mirrored and colors changed as in the prior's training: a few seconds show one light,
    which the network would otherwise learn by heart.

    Args:
        footage: windows of the actor.
        rows: rows to draw targets and references from. [M]
        head: head model of the footage.
        num_references: references of each sample.
        generator: random numbers; advanced.
        augment: False for frames as filmed, for tests.
    """
    samples = []
    # Without repetition, unless the footage has fewer frames than a batch.
    for row in generator.choice(rows, ACTOR_BATCH_SIZE, replace=len(rows) < ACTOR_BATCH_SIZE):
        samples.append(
            draw_sample(
                footage,
                head,
                num_references,
                ADAPT_SAMPLING,
                generator,
                row=int(row),
                rows=rows,
                augment=augment,
            )
        )
    return collate_samples(samples)


@torch.no_grad()
def mean_mouth_psnr(
    renderer: Renderer, texture: nn.Module, samples: Sequence[TrainingSample]
) -> float:
    """Measure the mean PSNR of the mouths of some batches, dB.

    Args:
        renderer: network to measure.
        texture: neural texture of the batches' actors.
        samples: batches with their targets, at least one.
    """
    found = []
    for sample in samples:
        inputs = sample.inputs
        sampled = texture(inputs.actor_index, inputs.uv, inputs.mesh_mask[:, 0] > 0)
        found.append(mouth_psnr(renderer(inputs, sampled), sample))
    return float(torch.cat(found).mean())
