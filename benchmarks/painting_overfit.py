"""Sizes of a painting renderer, and how fast a tiny one learns four windows by heart.

    python -m benchmarks.painting_overfit [RENDERER] [--steps 300] [--size tiny|full]

The person is synthetic (`dubfew.synthetic`). ``--size full`` measures the paper's size instead:
parameters, and processor seconds of one window forward and backward, from inputs of noise.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np
import torch

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


def overfit(name: str, loss: str, steps: int, rate: float) -> list[tuple[int, float]]:
    """Train a tiny renderer on four windows; gives the mouths' PSNR (dB) at some steps."""
    torch.manual_seed(0)
    renderer = make_renderer(name, RENDERERS[name].tiny)
    recipe_class = RECIPES.load(RENDERERS[name].recipe)
    recipe = recipe_class(recipe_class.resolve_settings(loss))
    sample = make_windows(renderer)
    textures = RandomTextures(["person"], renderer.config.texture_channels)
    parameters = [*renderer.parameters(), *textures.parameters()]
    optimizer = torch.optim.Adam(parameters, rate, betas=recipe.betas)
    curve = []
    for step in range(steps + 1):
        rendered = recipe.compute_generator_loss(
            renderer, sample, textures(sample), RecipeNetworks(), recipe.list_stages()[-1]
        )
        if step % 50 == 0 or step == steps:
            painted = renderer(sample.inputs.with_texture(textures(sample))).detach()
            curve.append((step, float(clip_mouth_psnr(painted, sample).mean())))
        optimizer.zero_grad()
        rendered.loss.backward()
        optimizer.step()
    return curve


def measure_full_size(name: str) -> dict[str, float]:
    """Measure the paper's size on inputs cut from a synthetic person."""
    renderer = make_renderer(name, {})
    sample = make_windows(renderer)
    channels = renderer.config.texture_channels
    first = ClipSample(
        type(sample.inputs)(*(value[:1] for value in vars(sample.inputs).values())),
        sample.target[:1],
        sample.landmarks[:1],
    )
    inputs = first.inputs.with_texture(RandomTextures(["person"], channels)(first))
    began = time.process_time()
    painted = renderer(inputs)
    forward = time.process_time() - began
    painted.square().sum().backward()
    untouched = [n for n, p in renderer.named_parameters() if p.grad is None or not p.grad.any()]
    return {
        "million parameters": sum(p.numel() for p in renderer.parameters()) / 1e6,
        "forward, processor s": forward,
        "backward, processor s": time.process_time() - began - forward,
        "parameters without a gradient": float(len(untouched)),
        "peak memory of the process, GB": measure_peak_rss_mb() / 1e3,
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line and print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("renderer", nargs="?", default="stylesync")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--loss", default="pixels", help="preset of the renderer's recipe")
    parser.add_argument("--rate", type=float, default=2e-3, help="learning rate (Adam)")
    parser.add_argument("--size", choices=("tiny", "full"), default="tiny")
    arguments = parser.parse_args(argv)
    if arguments.size == "full":
        for label, value in measure_full_size(arguments.renderer).items():
            print(f"{label}: {value:.2f}")
        return
    for step, psnr in overfit(arguments.renderer, arguments.loss, arguments.steps, arguments.rate):
        print(f"step {step}: {psnr:.2f} dB")


if __name__ == "__main__":
    main()
