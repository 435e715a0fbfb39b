"""The prior's training: one loop in the Accelerate idiom.

    accelerate launch -m dubfew.prior.train CONFIG.json

or ``dubfew prior train CONFIG.json``. CONFIG holds any of `PriorTrainConfig`'s fields, see
docs/training.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import GradientAccumulationPlugin, set_seed
from torch import Tensor
from torch.optim import Adam

from dubfew.data.shards import open_prepared_clips
from dubfew.errors import ArtefactError, DubfewError
from dubfew.prior.checkpoint import Prior, prior_info, renderer_config_to_dict
from dubfew.prior.discriminator import Discriminator, discriminator_loss
from dubfew.prior.losses import load_vgg19
from dubfew.prior.losses.objective import LossNetworks, LossTerms
from dubfew.prior.renderers import Renderer, make_renderer
from dubfew.prior.training.batches import (
    check_held_out_disjoint,
    check_window_sizes,
    iterate_batches,
)
from dubfew.prior.training.config import PriorTrainConfig
from dubfew.prior.training.logging import TrainingLog
from dubfew.prior.training.model import (
    PeopleTextures,
    RendererWithLoss,
    make_parameter_groups,
    update_ema,
)
from dubfew.prior.training.resume_state import (
    RunState,
    compute_run_fingerprint,
    resume_run,
    save_run_state,
)
from dubfew.prior.training.validation import HeldOutValidator
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.utils.import_utils import import_optional

ADAM_BETAS = (0.9, 0.99)
DISCRIMINATOR_ADAM_BETAS = (0.5, 0.999)  # Isola et al. 2017, pix2pix, sec. 3.3
MAX_GRADIENT_NORM = 1.0


def train_renderer(config: PriorTrainConfig, progress: ProgressCallback = no_progress) -> Path:
    """Train a prior; goes on where an interrupted run with the same ``out`` stopped.

    Returns:
        The folder of the finished prior. Beside it lie ``best``, the checkpoint that rendered
        the held-out people best, and ``log.jsonl``, one line for each step.

    Raises:
        DubfewError: there is no data, the configuration does not fit, ``out`` holds a training of
            another configuration, or the loss is no number any more.
    """
    with _configured_accelerator(config) as accelerator:
        out, weights = Path(config.out), config.loss_weights
        set_seed(config.seed)
        loaded = open_prepared_clips(Path(config.data), config.list_excluded_people())
        held_out = open_prepared_clips(Path(config.held_out)) if config.held_out else []
        check_held_out_disjoint(loaded, held_out)
        people = [footage for footage, _ in loaded]
        renderer, origin = make_initial_renderer(config)
        check_window_sizes([*loaded, *held_out], renderer.config.window)
        textures = PeopleTextures(people, renderer.config.texture_channels).to(accelerator.device)
        average = deepcopy(renderer).eval().to(accelerator.device)
        model, optimizer = accelerator.prepare(
            RendererWithLoss(renderer, weights),
            Adam(make_parameter_groups(renderer, textures, config), betas=ADAM_BETAS),
        )
        discriminator = Discriminator() if weights.needs_discriminator else None
        if discriminator is not None:
            opponent, opponent_optimizer = accelerator.prepare(
                discriminator, Adam(discriminator.parameters(), betas=DISCRIMINATOR_ADAM_BETAS)
            )
        vgg = load_vgg19(Path(config.vgg) if config.vgg else None) if weights.needs_vgg else None
        unopposed = LossNetworks(vgg.to(accelerator.device) if vgg is not None else None)
        critics = replace(unopposed, discriminator=discriminator)
        accelerator.register_for_checkpointing(textures, average)

        same = compute_run_fingerprint(config, renderer, loaded, origin, accelerator.num_processes)
        state = resume_run(accelerator, out, same)
        log = TrainingLog(accelerator, out, state.step)
        judge = HeldOutValidator(
            held_out if accelerator.is_main_process else [],
            renderer.config.references,
            accelerator.device,
        )
        seen: list[LossTerms] = []
        for sample in iterate_batches(
            config, people, renderer.config.references, state.step, accelerator
        ):
            step = state.step + 1
            rate = learning_rate_factor(state.step / config.steps)
            for group in optimizer.param_groups:
                group["lr"] = group["full_rate"] * rate
            opposed = discriminator is not None and step >= config.adversarial_from
            with accelerator.accumulate(model, *([opponent] if opposed else [])):
                loss, terms, picture = model(
                    sample, textures(sample), critics if opposed else unopposed
                )
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    textures.average_gradients(accelerator)
                    accelerator.clip_grad_norm_(renderer.parameters(), MAX_GRADIENT_NORM)
                optimizer.step()
                optimizer.zero_grad()
                if opposed:
                    for group in opponent_optimizer.param_groups:
                        group["lr"] = config.discriminator_rate * rate
                    terms["discriminator"] = discriminator_loss(opponent, sample, picture)
                    accelerator.backward(terms["discriminator"])
                    opponent_optimizer.step()
                    opponent_optimizer.zero_grad()
            seen.append({**terms, "loss": loss})
            if not accelerator.sync_gradients:
                continue
            values, seen = _average_terms(seen, accelerator), []
            if not np.isfinite(values["loss"]):
                raise DubfewError(
                    f"the loss is {values['loss']} at step {step}: lower the learning rates, or "
                    "train without mixed precision"
                )
            update_ema(average, renderer, min(config.ema, step / (step + 9)))
            state = replace(state, step=step)
            judgement = None
            if step % config.checkpoint == 0 or step == config.steps:
                judgement = judge(average)
                values |= judgement.metrics
                psnr = judgement.metrics.get("psnr_heldout")
                if psnr is not None and (state.best is None or psnr > state.best):
                    state = replace(state, best=psnr)
                    _save_prior(out / "best", average, textures, config, same, loaded, state)
            log.write_step(step, values, judgement)
            if judgement is not None:
                save_run_state(accelerator, out, state, same)
            if accelerator.is_main_process:
                progress(Progress("train", step, config.steps, values))
        if accelerator.is_main_process:
            _save_prior(out / "prior", average, textures, config, same, loaded, state)
        accelerator.wait_for_everyone()
        log.close()
        return out / "prior"


@contextmanager
def _configured_accelerator(config: PriorTrainConfig) -> Iterator[Accelerator]:
    """Accelerate, set up by the configuration alone.

    Its state outlives an `Accelerator`, and an earlier or later use in this process with other
    settings is none of this training's business.
    """
    if config.tensorboard:
        import_optional("tensorboard")
    if config.mixed_precision == "fp16" and not torch.cuda.is_available():
        raise ArtefactError("'mixed_precision' 'fp16' needs an NVIDIA GPU: use 'bf16' or 'no'")
    AcceleratorState._reset_state()
    try:
        yield Accelerator(
            # As a plugin: the other way a variable of the environment would change it.
            gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=config.accumulate),
            mixed_precision=config.mixed_precision,
            log_with="tensorboard" if config.tensorboard else None,
            project_dir=config.out,
        )
    finally:
        AcceleratorState._reset_state()


def make_initial_renderer(config: PriorTrainConfig) -> tuple[Renderer, dict[str, str]]:
    """The renderer before the first step, and the name and hash of the prior that it is from.

    Raises:
        ArtefactError: there is no such prior, or its renderer is another one.
    """
    if not config.start:
        return make_renderer(config.renderer, config.renderer_config), {}
    prior = Prior.load(config.start)
    own = renderer_config_to_dict(prior.renderer)
    wanted = own
    if config.renderer_config:
        wanted = renderer_config_to_dict(make_renderer(config.renderer, config.renderer_config))
    if (prior.renderer_name, own) != (config.renderer, wanted):
        raise ArtefactError(
            f"the prior {config.start!r} is a {prior.renderer_name!r} renderer of {own}, not "
            f"{config.renderer!r} of {wanted}: leave out 'renderer_config', or 'start'"
        )
    return prior.renderer.train(), {"name": prior_info(config.start).name, "sha256": prior.sha256}


def learning_rate_factor(fraction_done: float) -> float:
    """Factor on the rates: up over the first 2 % of the steps, then a cosine to a tenth."""
    return min(1.0, fraction_done / 0.02 + 0.01) * (
        0.55 + 0.45 * float(np.cos(np.pi * min(fraction_done, 1.0)))
    )


def _average_terms(step_terms: Sequence[LossTerms], accelerator: Accelerator) -> dict[str, float]:
    """Means over a step's batches, of all processes."""
    stacked = torch.stack(
        [torch.stack([t.detach() for t in terms.values()]) for terms in step_terms]
    )
    means: Tensor = accelerator.reduce(stacked.float().mean(0), "mean")
    return dict(zip(step_terms[0], means.tolist(), strict=True))


def _save_prior(
    folder: Path,
    ema_renderer: Renderer,
    textures: PeopleTextures,
    config: PriorTrainConfig,
    fingerprint: Mapping[str, Any],
    people: Sequence[tuple[Any, Mapping[str, Any]]],
    state: RunState,
) -> None:
    prior = Prior(
        ema_renderer, config.renderer, textures.make_new_actor_texture(), load_head_model().name
    )
    record = {
        "training": {
            **config.to_public_dict(),
            "start": fingerprint["start"],
            "samples_per_step": fingerprint["samples_per_step"],
            "step": state.step,
            "best_psnr_heldout": state.best,
        },
        "people": [
            {k: header.get(k) for k in ("identity", "file", "source", "license", "sha256")}
            for _, header in people
        ],
    }
    prior.save(folder, record, card="")


def main() -> None:
    """Entry point of ``accelerate launch -m dubfew.prior.train``."""
    parser = argparse.ArgumentParser(
        prog="python -m dubfew.prior.train",
        description="Train a prior; goes on where an interrupted run left off.",
    )
    parser.add_argument("config", type=Path, metavar="CONFIG", help="JSON; see docs/training.md")
    try:
        train_renderer(PriorTrainConfig.load(parser.parse_args().config))
    except DubfewError as error:
        raise SystemExit(f"dubfew: error: {error}") from None
