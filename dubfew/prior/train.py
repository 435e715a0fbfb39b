"""The prior's training: one loop in the Accelerate idiom.

    accelerate launch -m dubfew.prior.train CONFIG.json

or ``dubfew prior train``. CONFIG holds any of `TrainConfig`'s fields.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor, nn
from torch.utils.data import DataLoader

from dubfew.errors import ArtefactError, DubfewError
from dubfew.prior.checkpoint import Prior
from dubfew.prior.footage import Footage
from dubfew.prior.objective import LossWeights, mouth_psnr, objective
from dubfew.prior.people import PeopleDataset
from dubfew.prior.renderers import Renderer, make_renderer
from dubfew.prior.samples import Sample, collate, footage_texture, make_sample
from dubfew.prior.stored import load_footage
from dubfew.progress import Progress, ProgressCallback, silent
from dubfew.reconstruction.head import load_head
from dubfew.textures import TEXTURE_SIZE, sample_texture
from dubfew.textures.neural import INITIAL_SPREAD


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a training.

    Attributes:
        data: folder of prepared footage of the people to learn from.
        held_out: folder of prepared footage of other people to judge by, or empty.
        out: folder for checkpoints, log and the finished prior.
        renderer: entry of `RENDERERS`.
        renderer_config: its sizes.
        steps: optimiser steps.
        batch: samples per process and step.
        accumulate: batches per step.
        learning_rate: of the network (Adam); falls to a tenth along a cosine.
        texture_rate: of the textures.
        ema: decay of the average that is kept as the result.
        seed: of everything.
        checkpoint: steps between resume states.
        loss: weights of the terms.
    """

    data: str
    out: str
    held_out: str = ""
    renderer: str = "lite"
    renderer_config: dict[str, Any] = dataclasses.field(default_factory=dict)
    steps: int = 4000
    batch: int = 8
    accumulate: int = 1
    learning_rate: float = 4e-4
    texture_rate: float = 2e-3
    ema: float = 0.998
    seed: int = 0
    checkpoint: int = 250
    loss: dict[str, float] = dataclasses.field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> TrainConfig:
        """Read a JSON file.

        Raises:
            ArtefactError: not JSON, or a key that is no field.
        """
        try:
            return cls(**json.loads(path.read_text()))
        except OSError as error:
            raise ArtefactError(f"no training configuration at {path}") from error
        except (ValueError, TypeError) as error:
            raise ArtefactError(f"{path} is not a training configuration: {error}") from error


class PriorModel(nn.Module):
    """The renderer and one texture per person; a forward pass is the loss of a batch."""

    def __init__(self, config: TrainConfig, people: int) -> None:
        super().__init__()
        self.renderer = make_renderer(config.renderer, config.renderer_config)
        channels = self.renderer.config.texture_channels
        # One parameter each: people who are not in a batch cost nothing in that step.
        self.textures = nn.ParameterList(
            torch.randn(channels, TEXTURE_SIZE, TEXTURE_SIZE) * INITIAL_SPREAD
            for _ in range(people)
        )
        self.weights = LossWeights(**config.loss)
        self.colours: Tensor
        self.register_buffer("colours", torch.zeros(people, 3, TEXTURE_SIZE, TEXTURE_SIZE))

    def bare(self, person: int) -> Tensor:
        """A person's texture before any learning. [C, H, W]"""
        colours = self.colours[person]
        return torch.cat(
            [colours, colours.new_zeros(len(self.textures[person]) - 3, *colours.shape[1:])]
        )

    def forward(self, sample: Sample) -> tuple[Tensor, dict[str, Tensor]]:
        inputs = sample.inputs
        texture = torch.stack(
            [
                self.bare(int(a)) if fresh else self.textures[int(a)]
                for a, fresh in zip(inputs.actor, sample.fresh, strict=True)
            ]
        )
        sampled = sample_texture(texture, inputs.uv, inputs.covered[:, 0] > 0)
        return objective(self.renderer, sample, sampled, self.weights)


def load_people(folder: Path) -> list[tuple[Footage, dict[str, Any]]]:
    """Prepared footage of a folder, in a fixed order.

    Raises:
        DubfewError: there is none.
    """
    paths = sorted(folder.glob("*.safetensors"))
    if not paths:
        raise DubfewError(f"no prepared footage in {folder}: make it with `dubfew prior prepare`")
    return [load_footage(path) for path in paths]


def train(config: TrainConfig, progress: ProgressCallback = silent) -> Path:
    """Train a prior; resumes where a killed run with the same ``out`` stopped.

    Returns:
        The folder of the finished prior.

    Raises:
        DubfewError: there is no data.
    """
    accelerator = Accelerator(gradient_accumulation_steps=config.accumulate)
    set_seed(config.seed)
    loaded = load_people(Path(config.data))
    people = [footage for footage, _ in loaded]
    model = PriorModel(config, len(people))
    start_textures(model, people)
    optimizer = torch.optim.Adam(
        [
            {"params": model.renderer.parameters(), "lr": config.learning_rate},
            {"params": model.textures.parameters(), "lr": config.texture_rate},
        ],
        betas=(0.9, 0.99),
    )
    average = deepcopy(model.renderer)
    model, optimizer = accelerator.prepare(model, optimizer)
    out = Path(config.out)
    done = resume(accelerator, out, average)
    judge = Judge(config, accelerator)
    log = (out / "log.jsonl").open("a") if accelerator.is_main_process else None
    loader = make_loader(config, people, done, accelerator)
    for sample in loader:
        for group, rate in zip(
            optimizer.param_groups, (config.learning_rate, config.texture_rate), strict=True
        ):
            group["lr"] = rate * _rate(done / config.steps)
        with accelerator.accumulate(model):
            loss, terms = model(sample)
            accelerator.backward(loss)
            if accelerator.sync_gradients:
                accelerator.clip_grad_norm_(
                    accelerator.unwrap_model(model).renderer.parameters(), 1.0
                )
            optimizer.step()
            optimizer.zero_grad()
        if not accelerator.sync_gradients:
            continue
        done += 1
        follow(
            average, accelerator.unwrap_model(model).renderer, min(config.ema, done / (done + 9))
        )
        values = {"loss": float(loss.detach())}
        if done % config.checkpoint == 0 or done == config.steps:
            values |= judge(average)
            save_state(accelerator, out, average, done)
        if log is not None:
            line = {"step": done, **{k: float(v.detach()) for k, v in terms.items()}, **values}
            log.write(json.dumps(line) + "\n")
            log.flush()
        progress(Progress("train", done, config.steps, values))
    if accelerator.is_main_process:
        bare = accelerator.unwrap_model(model)
        # A new actor starts with zeros beside the unwrapped colours, as in `PriorModel.bare`.
        texture = torch.zeros_like(bare.textures[0])
        texture[:3] = torch.stack(list(bare.textures)).mean(0)[:3]
        prior = Prior(average.eval(), config.renderer, texture, load_head().name)
        record = {
            "training": {
                k: v
                for k, v in dataclasses.asdict(config).items()
                if k not in ("data", "out", "held_out")
            },
            "people": [
                {k: header.get(k) for k in ("file", "source", "license", "sha256")}
                for _, header in loaded
            ],
        }
        prior.save(out / "prior", record, card="")
    accelerator.wait_for_everyone()
    return out / "prior"


def _rate(share: float) -> float:
    """Warm-up over 2 % of the steps, then a cosine to a tenth."""
    return min(1.0, share / 0.02 + 0.01) * (0.55 + 0.45 * float(np.cos(np.pi * min(share, 1.0))))


def start_textures(model: PriorModel, people: list[Footage]) -> None:
    """Give every person's texture its unwrapped colours."""
    head = load_head()
    for person, footage in enumerate(people):
        rgb = torch.from_numpy(footage_texture(footage, head)).permute(2, 0, 1)
        model.colours[person] = rgb
        with torch.no_grad():
            model.textures[person][:3] = rgb


def make_loader(
    config: TrainConfig, people: list[Footage], done: int, accelerator: Accelerator
) -> Iterator[Sample]:
    """Batches from step ``done`` on, the same ones whether or not the run was interrupted."""
    ranks, rank = accelerator.num_processes, accelerator.process_index
    per_step = config.batch * config.accumulate
    dataset = PeopleDataset(
        people,
        config.steps * per_step * ranks,
        references=make_renderer(config.renderer, config.renderer_config).config.references,
        seed=config.seed,
        start=done * per_step * ranks,
    )
    mine = range(rank, len(dataset), ranks)
    loader = DataLoader(dataset, batch_size=config.batch, sampler=mine, collate_fn=collate)
    for sample in loader:
        yield sample.to(accelerator.device)


@torch.no_grad()
def follow(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move the average towards the model."""
    for a, b in zip(average.parameters(), model.parameters(), strict=True):
        a.lerp_(b.detach().to(a.device), 1 - decay)


class Judge:
    """Renders people whom the training does not see, without adapting to them."""

    def __init__(self, config: TrainConfig, accelerator: Accelerator) -> None:
        self.device = accelerator.device
        self.samples = []
        if not config.held_out or not accelerator.is_main_process:
            return
        head = load_head()
        for footage, _ in load_people(Path(config.held_out)):
            half = min(100, len(footage) // 2)
            bank = np.unique(np.linspace(0, half - 1, 48).astype(int))
            rows = np.unique(np.linspace(half + 4, len(footage) - 1, 6).astype(int))
            texture = torch.from_numpy(footage_texture(footage.select(bank), head)).permute(2, 0, 1)
            references = make_renderer(config.renderer, config.renderer_config).config.references
            batch = collate([make_sample(footage, r, bank, head, references) for r in rows])
            self.samples.append((batch, texture))

    @torch.no_grad()
    def __call__(self, renderer: Renderer) -> dict[str, float]:
        """Mean PSNR in the mouth boxes of held-out people, dB."""
        scores = []
        for sample, rgb in self.samples:
            texture = torch.zeros(1, renderer.config.texture_channels, TEXTURE_SIZE, TEXTURE_SIZE)
            texture[0, :3] = rgb
            inputs = sample.inputs
            many = texture.expand(len(inputs.uv), -1, -1, -1)
            sampled = sample_texture(many, inputs.uv, inputs.covered[:, 0] > 0)
            picture = renderer.to("cpu")(inputs, sampled)
            scores.append(mouth_psnr(picture, sample).mean())
        renderer.to(self.device)
        return {"psnr_heldout": float(torch.stack(scores).mean())} if scores else {}


def save_state(accelerator: Accelerator, out: Path, average: nn.Module, done: int) -> None:
    """Write everything that resuming needs, then point to it."""
    folder = out / f"state-{done}"
    accelerator.save_state(str(folder))
    if accelerator.is_main_process:
        torch.save(average.state_dict(), folder / "average.pt")
        (out / "latest.tmp").write_text(str(done))
        (out / "latest.tmp").replace(out / "latest")
        for old in out.glob("state-*"):
            if old != folder:
                for file in sorted(old.rglob("*"), reverse=True):
                    file.unlink() if file.is_file() else file.rmdir()
                old.rmdir()
    accelerator.wait_for_everyone()


def resume(accelerator: Accelerator, out: Path, average: nn.Module) -> int:
    """Load the latest state; how many steps it has done, 0 without one."""
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "latest").exists():
        return 0
    done = int((out / "latest").read_text())
    folder = out / f"state-{done}"
    accelerator.load_state(str(folder))
    average.load_state_dict(torch.load(folder / "average.pt", weights_only=True))
    return done


def main() -> None:
    """Entry point of ``accelerate launch -m dubfew.prior.train``."""
    parser = argparse.ArgumentParser(description="Train a prior.")
    parser.add_argument("config", type=Path)
    random.seed(0)
    train(TrainConfig.load(parser.parse_args().config))


if __name__ == "__main__":
    main()
