"""A small prior, and actors that are adapted to toy footage on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from dubfew.adapt.artefact import ActorAdapter
from dubfew.adapt.learning_on import AdapterStart
from dubfew.adapt.methods import METHODS, AdaptationMethod
from dubfew.adapt.replay import ReplaySampler
from dubfew.adapt.trainer import AdapterTraining, train_adapter
from dubfew.data.samples import TrainingSample, collate_samples, make_sample
from dubfew.prior.checkpoint import Prior, create_untrained_prior
from dubfew.progress import ProgressCallback, no_progress
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.references.footage import Footage
from dubfew.references.selection import farthest_point_sampling
from dubfew.speech.style import SpeakingStyle
from dubfew.textures import sample_texture
from tests.data.people import TOY, toy_track


def toy_prior(seed: int = 0) -> Prior:
    """A network that does something: an untrained one would show the bare warp whatever it has."""
    prior = create_untrained_prior(seed, TOY)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in prior.renderer.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=generator)
    return replace(prior, sha256=f"{seed:064x}", name="toy")


def train_toy_adapter(
    prior: Prior,
    footage: Footage,
    method: str | AdaptationMethod,
    steps: int,
    seed: int = 0,
    progress: ProgressCallback = no_progress,
    replay: ReplaySampler | None = None,
    start: AdapterStart | None = None,
) -> AdapterTraining:
    chosen = METHODS.load(method) if isinstance(method, str) else method
    return train_adapter(
        prior,
        footage,
        load_head_model(),
        chosen,
        chosen.default_options,
        steps=steps,
        device="cpu",
        seed=seed,
        replay=replay,
        start=start,
        progress=progress,
    )


def make_toy_adapter(
    prior: Prior, footage: Footage, method: str, result: AdapterTraining
) -> ActorAdapter:
    return ActorAdapter(
        config={
            "prior": {"name": prior.name, "sha256": prior.sha256},
            "method": method,
            "options": METHODS.load(method).default_options,
            "head": "lite",
            "source": {"path": "toy.mp4", "sha256": "0" * 64, "frames": 24, "complete": True},
            "consent": None,
            "training": {"steps": result.best_step, "seed": 0, "psnr_heldout": result.psnr_heldout},
        },
        weights=result.weights,
        texture=result.texture,
        references=footage.select_frames(farthest_point_sampling(footage.key, 6)),
        style=SpeakingStyle.neutral(),
        track_bytes=toy_track(4).to_bytes(),
    )


def make_batch(footage: Footage, rows: np.ndarray, bank: np.ndarray) -> TrainingSample:
    return collate_samples(
        [make_sample(footage, int(row), bank, load_head_model(), TOY.references) for row in rows]
    )


@torch.no_grad()
def render_pixels(renderer: nn.Module, texture: Tensor, sample: TrainingSample) -> Tensor:
    """What a renderer shows with an actor's texture. [B, 3, S, S]"""
    inputs = sample.inputs
    many = texture[None].expand(len(inputs.scene), -1, -1, -1)
    return renderer(inputs, sample_texture(many, inputs.uv, inputs.mesh_mask[:, 0] > 0))


def copy_prior_state(prior: Prior) -> dict[str, Tensor]:
    return {
        **{name: value.clone() for name, value in prior.renderer.state_dict().items()},
        "texture": prior.texture.clone(),
    }


def assert_equal_tensors(before: dict[str, Tensor], after: dict[str, Tensor]) -> None:
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert torch.equal(value, after[name]), name
