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

from dubfew.adapt.methods import Method, Options
from dubfew.adapt.replay import Replay, varied
from dubfew.data.samples import Sample, collate, footage_texture, make_sample
from dubfew.prior.checkpoint import Prior
from dubfew.prior.losses.objective import LossWeights, mouth_psnr, objective
from dubfew.prior.renderers import Renderer
from dubfew.progress import Progress, ProgressCallback
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.references.footage import Footage
from dubfew.textures import NeuralTexture

BATCH = 4
# Held-out frames are looked at this often; training stops after this many looks in a row
# without a gain.
LOOK_EVERY, PATIENCE = 25, 5
HELD_OUT_SHARE, HELD_OUT_MOST = 0.15, 12
# References this near in time would show the target itself.
NEIGHBOURS = 3
TEXTURE_RATE = 1e-3
# Share of the replay set in every batch: one to one, as in paper 003, sec. 3.5.
MIXED = 0.5

# Step, renderer and texture while learning.
Watch = Callable[[int, nn.Module, nn.Module], None]


@dataclass(frozen=True)
class Learned:
    """What the steps gave.

    Attributes:
        weights: delta of the method.
        texture: neural texture. [C, H, W]
        steps: the step that the result is from.
        psnr: of the held-out frames' mouths at that step, dB; None without such frames.
        curve: step, seconds and held-out PSNR of every look.
    """

    weights: dict[str, Tensor]
    texture: Tensor
    steps: int
    psnr: float | None
    curve: list[tuple[int, float, float]]


def learn(
    prior: Prior,
    footage: Footage,
    head: HeadModel,
    method: Method,
    options: Options,
    *,
    steps: int,
    device: str,
    seed: int,
    replay: Replay | None = None,
    mixed: float = MIXED,
    progress: ProgressCallback,
    watch: Watch | None = None,
) -> Learned:
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
        mixed: their share of every batch, 0.5 for as many as of the actor.
        progress: told after every step.
        watch: shown step 0 and every step after it, for measuring; it must change nothing.
    """
    accelerator = Accelerator(cpu=device == "cpu")
    generator = np.random.default_rng(seed)
    torch.manual_seed(seed)
    train, held = split(len(footage))
    start = {name: value.clone() for name, value in prior.renderer.state_dict().items()}
    renderer = deepcopy(prior.renderer)
    model = method.prepare(renderer, options)
    texture = NeuralTexture(1, len(prior.texture))
    with torch.no_grad():
        texture.features[0] = prior.texture
    rgb = footage_texture(footage.select(train), head)
    texture.start_from(0, torch.from_numpy(rgb).permute(2, 0, 1))
    groups = [{"params": texture.parameters(), "lr": TEXTURE_RATE}]
    moving = [p for p in model.parameters() if p.requires_grad]
    if moving:
        groups.append({"params": moving, "lr": method.learning_rate})
    optimizer = torch.optim.Adam(groups, betas=(0.9, 0.99))
    renderer, texture, optimizer = accelerator.prepare(renderer, texture, optimizer)

    count = prior.renderer.config.references
    judged = [make_sample(footage, row, train, head, count) for row in held]
    test = collate(judged).to(accelerator.device) if judged else None
    others = round(BATCH * mixed / (1 - mixed))
    weights = LossWeights()
    began = time.monotonic()
    curve: list[tuple[int, float, float]] = []
    best = (-1.0, 0, _state(renderer, texture))

    def look(step: int) -> bool:
        """Judge the held-out frames; True when there is no hope for more."""
        nonlocal best
        if test is None:
            best = (-1.0, step, _state(renderer, texture))
            return False
        psnr = heldout_psnr(renderer, texture, test)
        curve.append((step, time.monotonic() - began, psnr))
        if psnr > best[0] or step == 0:
            best = (psnr, step, _state(renderer, texture))
        progress(Progress("train", step, steps, {"psnr_heldout": psnr}))
        return step - best[1] >= LOOK_EVERY * PATIENCE

    look(0)
    if watch is not None:
        watch(0, renderer, texture)
    for step in range(1, steps + 1):
        # Warm up, then fall along a cosine: the last steps only settle.
        share = min(1.0, step / 20) * (0.55 + 0.45 * float(np.cos(np.pi * step / steps)))
        for group, rate in zip(
            optimizer.param_groups, (TEXTURE_RATE, method.learning_rate), strict=False
        ):
            group["lr"] = rate * share
        sample = draw(footage, train, head, count, generator).to(accelerator.device)
        inputs = sample.inputs
        sampled = texture(inputs.actor, inputs.uv, inputs.covered[:, 0] > 0)
        if replay is not None and others:
            more, seen = replay.draw(others, count, sampled.shape[1], generator)
            sample = collate([sample, more.to(accelerator.device)])
            sampled = torch.cat([sampled, seen.to(accelerator.device)])
        loss, _ = objective(renderer, sample, sampled, weights)
        accelerator.backward(loss)
        if moving:
            accelerator.clip_grad_norm_(moving, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if watch is not None:
            watch(step, renderer, texture)
        if (step % LOOK_EVERY == 0 or step == steps) and look(step):
            break
        progress(Progress("train", step, steps, {"psnr_heldout": max(best[0], 0.0)}))

    psnr, kept, (renderer_state, texture_state) = best
    accelerator.unwrap_model(renderer).load_state_dict(renderer_state)
    return Learned(
        weights=method.weights(accelerator.unwrap_model(renderer).cpu(), start),
        texture=texture_state["features"][0].cpu(),
        steps=kept,
        psnr=psnr if test is not None else None,
        curve=curve,
    )


def split(count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows to learn from and rows to judge by, the latter from the end of the footage.

    Very short footage (under 16 frames) is all learnt from.
    """
    held = int(count * HELD_OUT_SHARE) if count >= 16 else 0
    rows = np.arange(count)
    if not held:
        return rows, rows[:0]
    tail = rows[count - held :]
    spread = np.unique(np.linspace(0, held - 1, min(held, HELD_OUT_MOST)).astype(int))
    return rows[: count - held], tail[spread]


def draw(
    footage: Footage,
    rows: NDArray,
    head: HeadModel,
    count: int,
    generator: np.random.Generator,
    *,
    vary: bool = True,
) -> Sample:
    """A random batch, references from the other rows.

    Faces are mirrored and colours changed as in the prior's training, unless ``vary`` is False: a
    few seconds show one light, which the network would otherwise learn by heart.

    Every mesh is aligned anew with the references that were drawn: without that, which would save a
    fifth of the time, an actor who moves far was rendered 0.5 dB worse after 100 steps than before.
    """
    samples = []
    for row in generator.choice(rows, BATCH, replace=len(rows) < BATCH):
        bank = rows[np.abs(footage.frames[rows] - footage.frames[row]) > NEIGHBOURS]
        # Fewer references than there are, at random: rendering meets mouths that are not among
        # them.
        if len(bank) > 8:
            bank = generator.permutation(bank)[: int(generator.integers(8, len(bank) + 1))]
        bank = bank if len(bank) else rows
        sample = make_sample(footage, row, bank, head, count)
        samples.append(varied(sample, generator) if vary else sample)
    return collate(samples)


@torch.no_grad()
def heldout_psnr(renderer: Renderer, texture: nn.Module, sample: Sample) -> float:
    """Mean PSNR of the mouths of a sample, dB."""
    inputs = sample.inputs
    sampled = texture(inputs.actor, inputs.uv, inputs.covered[:, 0] > 0)
    return float(mouth_psnr(renderer(inputs, sampled), sample).mean())


def _state(renderer: nn.Module, texture: nn.Module) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    return (
        {name: value.detach().clone() for name, value in renderer.state_dict().items()},
        {name: value.detach().clone() for name, value in texture.state_dict().items()},
    )
