"""The few steps that make a prior into one actor."""

from __future__ import annotations

import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor, nn

from dubfew.adapt.methods import AdaptationMethod, MethodOptions
from dubfew.adapt.replay import ReplaySampler
from dubfew.data.samples import TrainingSample, collate_samples, make_sample, unwrap_footage_texture
from dubfew.data.sampling import ADAPT_SAMPLING, draw_sample
from dubfew.prior.checkpoint import Prior
from dubfew.prior.losses.objective import LossWeights, mouth_psnr, render_and_compute_loss
from dubfew.prior.renderers import Renderer
from dubfew.progress import Progress, ProgressCallback
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.references.footage import Footage
from dubfew.references.selection import spread_rows
from dubfew.textures import NeuralTexture

ACTOR_BATCH_SIZE = 4
# Held-out frames are looked at this often; training stops after this many looks in a row
# without a gain.
VALIDATE_EVERY_STEPS, PATIENCE_VALIDATIONS = 25, 5
HELD_OUT_FRACTION, MAX_HELD_OUT_FRAMES = 0.15, 12
TEXTURE_LEARNING_RATE = 1e-3
# Share of the replay set in every batch: one to one, as in paper 003, sec. 3.5.
REPLAY_FRACTION = 0.5

# Step, renderer and texture while learning.
StepCallback = Callable[[int, nn.Module, nn.Module], None]


@dataclass(frozen=True)
class AdapterTraining:
    """What the steps gave.

    Attributes:
        weights: delta of the method.
        texture: neural texture. [C, H, W]
        best_step: the step that the result is from.
        psnr_heldout: of the held-out frames' mouths at that step, dB; None without such frames.
        curve: step, seconds and held-out PSNR of every look.
    """

    weights: dict[str, Tensor]
    texture: Tensor
    best_step: int
    psnr_heldout: float | None
    curve: list[tuple[int, float, float]]


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
    progress: ProgressCallback,
    on_step: StepCallback | None = None,
) -> AdapterTraining:
    """Adapt a prior to footage; keeps the step that renders the held-out frames best.

    Step 0 competes too, so the result is never worse on those frames than the prior.

    Args:
        prior: where to start; left unchanged.
        footage: windows of the actor, of the renderer's own size.
        head: head model of the footage.
        method: what may change.
        options: of the method.
        steps: at most so many.
        device: "cpu" or "cuda".
        seed: of the order of frames.
        replay: other people to go on seeing; none by default.
        replay_fraction: their share of every batch, 0.5 for as many as of the actor.
        progress: told after every step.
        on_step: shown step 0 and every step after it, for measuring; it must change nothing.
    """
    accelerator = Accelerator(cpu=device == "cpu")
    generator = np.random.default_rng(seed)
    torch.manual_seed(seed)
    train, held = split_held_out(len(footage))
    start = {name: value.clone() for name, value in prior.renderer.state_dict().items()}
    renderer = deepcopy(prior.renderer)
    model = method.make_trainable(renderer, options)
    texture = NeuralTexture(1, len(prior.texture))
    with torch.no_grad():
        texture.features[0] = prior.texture
    rgb = unwrap_footage_texture(footage.select_frames(train), head)
    texture.initialize_from_image(0, torch.from_numpy(rgb).permute(2, 0, 1))
    groups = [{"params": texture.parameters(), "lr": TEXTURE_LEARNING_RATE}]
    moving = [p for p in model.parameters() if p.requires_grad]
    if moving:
        groups.append({"params": moving, "lr": method.learning_rate})
    optimizer = torch.optim.Adam(groups, betas=(0.9, 0.99))
    renderer, texture, optimizer = accelerator.prepare(renderer, texture, optimizer)

    count = prior.renderer.config.references
    judged = [make_sample(footage, row, train, head, count) for row in held]
    test = collate_samples(judged).to(accelerator.device) if judged else None
    others = round(ACTOR_BATCH_SIZE * replay_fraction / (1 - replay_fraction))
    weights = LossWeights()
    began = time.monotonic()
    curve: list[tuple[int, float, float]] = []
    best = (-1.0, 0, _copy_state(renderer, texture))

    def validate(step: int) -> bool:
        """Judge the held-out frames; True when there is no hope for more."""
        nonlocal best
        if test is None:
            best = (-1.0, step, _copy_state(renderer, texture))
            return False
        psnr = mean_mouth_psnr(renderer, texture, test)
        curve.append((step, time.monotonic() - began, psnr))
        if psnr > best[0] or step == 0:
            best = (psnr, step, _copy_state(renderer, texture))
        progress(Progress("train", step, steps, {"psnr_heldout": psnr}))
        return step - best[1] >= VALIDATE_EVERY_STEPS * PATIENCE_VALIDATIONS

    validate(0)
    if on_step is not None:
        on_step(0, renderer, texture)
    for step in range(1, steps + 1):
        # Warm up, then fall along a cosine: the last steps only settle.
        share = min(1.0, step / 20) * (0.55 + 0.45 * float(np.cos(np.pi * step / steps)))
        for group, rate in zip(
            optimizer.param_groups, (TEXTURE_LEARNING_RATE, method.learning_rate), strict=False
        ):
            group["lr"] = rate * share
        sample = sample_actor_batch(footage, train, head, count, generator).to(accelerator.device)
        inputs = sample.inputs
        sampled = texture(inputs.actor_index, inputs.uv, inputs.mesh_mask[:, 0] > 0)
        if replay is not None and others:
            more, seen = replay.sample_replay_batch(others, count, sampled.shape[1], generator)
            sample = collate_samples([sample, more.to(accelerator.device)])
            sampled = torch.cat([sampled, seen.to(accelerator.device)])
        loss, _ = render_and_compute_loss(renderer, sample, sampled, weights)
        accelerator.backward(loss)
        if moving:
            accelerator.clip_grad_norm_(moving, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if on_step is not None:
            on_step(step, renderer, texture)
        if (step % VALIDATE_EVERY_STEPS == 0 or step == steps) and validate(step):
            break
        progress(Progress("train", step, steps, {"psnr_heldout": max(best[0], 0.0)}))

    psnr, kept, (renderer_state, texture_state) = best
    accelerator.unwrap_model(renderer).load_state_dict(renderer_state)
    return AdapterTraining(
        weights=method.extract_delta(accelerator.unwrap_model(renderer).cpu(), start),
        texture=texture_state["features"][0].cpu(),
        best_step=kept,
        psnr_heldout=psnr if test is not None else None,
        curve=curve,
    )


def split_held_out(count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows to learn from and rows to judge by, the latter from the end of the footage.

    Very short footage (under 16 frames) is all learnt from.
    """
    held = int(count * HELD_OUT_FRACTION) if count >= 16 else 0
    rows = np.arange(count)
    if not held:
        return rows, rows[:0]
    tail = rows[count - held :]
    return rows[: count - held], tail[spread_rows(0, held - 1, min(held, MAX_HELD_OUT_FRAMES))]


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

    Faces are mirrored and colors changed as in the prior's training, unless ``augment`` is False:
    a few seconds show one light, which the network would otherwise learn by heart.
    """
    samples = []
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
def mean_mouth_psnr(renderer: Renderer, texture: nn.Module, sample: TrainingSample) -> float:
    """Mean PSNR of the mouths of a sample, dB."""
    inputs = sample.inputs
    sampled = texture(inputs.actor_index, inputs.uv, inputs.mesh_mask[:, 0] > 0)
    return float(mouth_psnr(renderer(inputs, sampled), sample).mean())


def _copy_state(
    renderer: nn.Module, texture: nn.Module
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    return (
        {name: value.detach().clone() for name, value in renderer.state_dict().items()},
        {name: value.detach().clone() for name, value in texture.state_dict().items()},
    )
