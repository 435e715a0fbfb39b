"""Sizes of the painting renderers, and how fast tiny ones learn four windows by heart.

    python -m benchmarks.painting_overfit [RENDERER ...] [--size tiny|full] [--gain 6]

The person is synthetic (`dubfew.synthetic`). A tiny renderer is trained until the mouths' PSNR has
risen by ``--gain``, 300 steps at most. ``--size full`` measures the paper's size instead, on one
window: parameters, what is painted, whether a gradient reaches every parameter and every update
of LoRA, processor seconds forward and backward, and the memory of the whole process.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import torch

from benchmarks.common import machine_line, markdown_table
from dubfew.adapt.methods import METHODS
from dubfew.data.clip_footage import cut_clip_footage
from dubfew.data.clip_inputs import ClipSample, collate_clip_samples
from dubfew.data.clip_samples import (
    SoundFeatureCache,
    draw_references,
    make_clip_sample,
    window_rows,
)
from dubfew.media import Frame
from dubfew.prior.recipes import RECIPES, RecipeNetworks
from dubfew.prior.renderers import RENDERERS, PaintingRenderer, make_renderer
from dubfew.prior.training.painting_data import clip_mouth_psnr, make_sample_form
from dubfew.prior.training.textures import RandomTextures
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.render.pipeline import measure_peak_rss_mb
from dubfew.synthetic import SyntheticPerson, render_clip

# First frames of the windows, and the person who speaks.
WINDOW_STARTS, PERSON_SEED, CLIP_SECONDS = (2, 9, 16, 23), 3, 1.2
# Steps from one measurement to the next, and the rank of LoRA's updates.
MEASURED_EVERY, LORA_RANK = 10, 2


def make_windows(renderer: PaintingRenderer) -> ClipSample:
    """Film a synthetic person and cut four windows."""
    clip = render_clip(SyntheticPerson(PERSON_SEED), seconds=CLIP_SECONDS, size=256)
    head, config = load_head_model(), renderer.config
    frames = (Frame.from_rgb(rgb, number, 25) for number, rgb in enumerate(clip.frames))
    footage = cut_clip_footage(frames, clip.track, head, config.layout, samples=clip.audio.samples)
    form, features = make_sample_form(config), SoundFeatureCache(config.sound)
    rng = np.random.default_rng(0)
    samples = []
    for start in WINDOW_STARTS:
        rows = window_rows(footage.frames, start, form.frames)
        references = draw_references(footage.frames, rows, form.references, rng)
        samples.append(make_clip_sample(footage, rows, references, head, form, features))
    return collate_clip_samples(samples)


def overfit(name: str, options: argparse.Namespace) -> list[object]:
    """Train a tiny renderer on four windows until it has gained enough.

    Args:
        name: entry of ``RENDERERS``.
        options: steps at most, gain in dB, learning rate and loss.

    Returns:
        A row of the table, see `HEADS`.
    """
    torch.manual_seed(0)
    renderer = make_renderer(name, RENDERERS[name].tiny)
    recipe_class = RECIPES.load(RENDERERS[name].recipe)
    recipe = recipe_class(recipe_class.resolve_settings(options.loss))
    sample = make_windows(renderer)
    textures = RandomTextures(["person"], renderer.config.texture_channels)
    parameters = [*renderer.parameters(), *textures.parameters()]
    optimizer = torch.optim.Adam(parameters, options.rate, betas=recipe.betas)
    curve: list[float] = []
    began = time.process_time()
    for step in range(options.steps + 1):
        if step % MEASURED_EVERY == 0:
            painted = renderer(sample.inputs.with_texture(textures(sample))).detach()
            curve.append(float(clip_mouth_psnr(painted, sample).mean()))
            if curve[-1] >= curve[0] + options.gain:
                break
        rendered = recipe.compute_generator_loss(
            renderer, sample, textures(sample), RecipeNetworks(), recipe.list_stages()[-1]
        )
        optimizer.zero_grad()
        rendered.loss.backward()
        optimizer.step()
    frames = sample.target.shape[0] * sample.target.shape[1]
    return [name, frames, curve[0], curve[-1], step, time.process_time() - began]


def measure_full_size(name: str, options: argparse.Namespace) -> list[object]:
    """Measure the paper's size on inputs cut from a synthetic person.

    Returns:
        A row of the table, see `HEADS`.
    """
    torch.manual_seed(0)
    # A sound of the same size that needs no file of the user's.
    entry = RENDERERS.load(name)
    sound = {"sound": entry.tiny.get("sound", entry.config.sound)}
    # With the running statistics of batch normalization: one frame has none of its own.
    renderer = make_renderer(name, sound).eval()
    count = sum(p.numel() for p in renderer.parameters())
    sample = make_windows(renderer)
    first = ClipSample(
        type(sample.inputs)(*(value[:1] for value in vars(sample.inputs).values())),
        sample.target[:1],
        sample.landmarks[:1],
    )
    texture = RandomTextures(["person"], renderer.config.texture_channels)(first)
    lora = METHODS.load("lora")
    trained = lora.make_trainable(renderer, lora.complete_options({"rank": LORA_RANK}))
    # Weights and updates in one pass. The updates' second matrices start at zero, behind which the
    # first ones have no gradient.
    trained.requires_grad_(True)
    updates = {n: p for n, p in trained.named_parameters() if "lora_" in n}
    for parameter in (p for n, p in updates.items() if "lora_B" in n):
        torch.nn.init.normal_(parameter, std=0.01)
    began = time.process_time()
    painted = trained(first.inputs.with_texture(texture))
    forward = time.process_time() - began
    painted.square().sum().backward()
    backward = time.process_time() - began - forward
    untouched = [n for n, p in trained.named_parameters() if p.grad is None or not p.grad.any()]
    without = sum(n in updates for n in untouched)
    return [
        *(name, count / 1e6, " x ".join(map(str, painted.shape[1:]))),
        *(len(untouched) - without, f"{without} of {len(updates)}"),
        *(forward, backward, measure_peak_rss_mb() / 1e3),
    ]


# What the tables of the two sizes have, and how a row of each is measured.
HEADS = {
    "tiny": ["renderer", "frames", "before, dB", "after, dB", "steps", "processor s"],
    "full": [
        *("renderer", "M parameters", "painted", "without a gradient", "of LoRA's"),
        *("forward, processor s", "backward", "memory, GB"),
    ],
}
MEASURED = {"tiny": overfit, "full": measure_full_size}


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("renderers", nargs="*", help="default: all of the papers")
    parser.add_argument("--steps", type=int, default=300, help="at most")
    parser.add_argument("--gain", type=float, default=6.0, help="PSNR to gain, dB")
    parser.add_argument("--loss", default="pixels", help="preset of the renderer's recipe")
    parser.add_argument("--rate", type=float, default=2e-3, help="learning rate (Adam)")
    parser.add_argument("--size", choices=tuple(MEASURED), default="tiny")
    options = parser.parse_args(argv)
    names = options.renderers or [name for name in RENDERERS if RENDERERS[name].tiny]
    # A process for each: the memory that is measured is the process's largest.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as pool:
        rows = [pool.submit(MEASURED[options.size], name, options).result() for name in names]
    print(machine_line() + "\n\n" + markdown_table(HEADS[options.size], rows))


if __name__ == "__main__":
    main()
