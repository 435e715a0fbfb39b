"""The training loop of the prior, in the plain Accelerate idiom.

    dubfew prior train CONFIG.json
    accelerate launch -m dubfew.prior.train CONFIG.json

CONFIG has any of the fields of `PriorTrainConfig`; docs/training.md explains them.

Source: Saunders and Namboodiri 2024, "Dubbing for Everyone: Data-Efficient Visual Dubbing using
Neural Rendering Priors" (arXiv 2401.06126), section 3.4: one network for all people, one neural
texture for each, trained together.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from accelerate.utils import set_seed
from torch import Tensor, nn
from torch.optim import Adam

from dubfew.errors import ArtefactError, DubfewError, OutputExistsError
from dubfew.prior.checkpoint import Prior, prior_info, renderer_config_to_dict
from dubfew.prior.recipes import RecipeNetworks, TrainingRecipe, TrainingStage
from dubfew.prior.renderers import PaintingRenderer, make_renderer
from dubfew.prior.training.blending_data import BlendingData
from dubfew.prior.training.config import PriorTrainConfig
from dubfew.prior.training.data import TrainingData
from dubfew.prior.training.fingerprint import compute_run_fingerprint
from dubfew.prior.training.logging import TrainingLog
from dubfew.prior.training.model import RendererWithLoss, make_parameter_groups
from dubfew.prior.training.painting_data import PaintingData
from dubfew.prior.training.textures import TEXTURES_FOLDER, RandomTextures
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.training.accelerator import configured_accelerator
from dubfew.training.ema import update_ema
from dubfew.training.resume_state import LATEST_STATE_FILE, RunState, resume_run, save_run_state
from dubfew.training.schedules import LearningRateSchedule

# Ramp of the moving average: step s keeps at most s / (s + EMA_RAMP_STEPS) of it. Without the ramp
# the random start would stay in it for many steps; a longer one averages less at first.
EMA_RAMP_STEPS = 9
# Folders of a run for its priors: that of the last step, and the best one of held-out people.
FINISHED_PRIOR_FOLDER, BEST_PRIOR_FOLDER = "prior", "best"


@dataclass(frozen=True)
class _TrainedCritic:
    """A critic with what trains it.

    Attributes:
        network: bare network, which the renderer's loss calls.
        wrapped: same network as Accelerate wraps it, whose gradients all processes average.
        optimizer: optimizer of its weights.
        schedule: rates of that optimizer.
    """

    network: nn.Module
    wrapped: nn.Module
    optimizer: AcceleratedOptimizer
    schedule: LearningRateSchedule


def train_renderer(config: PriorTrainConfig, progress: ProgressCallback = no_progress) -> Path:
    """Train a prior, or go on where an interrupted run with the same ``out`` stopped.

    Args:
        config: everything that decides the training.
        progress: function that is called after every step, in the main process.

    Returns:
        Folder of the finished prior. Beside it are ``best``, the checkpoint that rendered the
        held-out people best, and ``log.jsonl``, one line for each step.

    Raises:
        OutputExistsError: ``out`` holds a prior, but no state to go on from.
        DubfewError: The data is missing, the configuration does not fit, ``out`` holds a training
            with another configuration, or the loss is not finite any more.
    """
    with configured_accelerator(config) as accelerator:
        out, recipe = Path(config.out), config.make_recipe()
        if accelerator.is_main_process:
            _check_run_folder(out)
        set_seed(config.seed)

        # The networks, and everybody's data, which stays on the disk and is read as needed.
        # Textures are not prepared: they average their own gradients.
        renderer, origin = make_initial_renderer(config)
        frozen = recipe.load_networks(config.network_files)
        recipe.initialize_renderer(renderer, frozen, fresh=not config.start)
        data = open_training_data(config, renderer)
        textures = data.make_textures().to(accelerator.device)
        ema_renderer = deepcopy(renderer).eval().to(accelerator.device)
        model, optimizer = accelerator.prepare(
            RendererWithLoss(renderer, recipe),
            Adam(make_parameter_groups(renderer, textures, config), betas=recipe.betas),
        )
        critics = _prepare_critics(accelerator, config, recipe, renderer)
        networks = RecipeNetworks(frozen).to(accelerator.device)
        accelerator.register_for_checkpointing(textures, ema_renderer)

        # Go on from the latest state. The schedule is made first: see `LearningRateSchedule`.
        schedule = LearningRateSchedule(optimizer, _rate_factor(config, recipe))
        fingerprint = compute_run_fingerprint(
            config, renderer, data.people, origin, accelerator.num_processes
        )
        state = resume_run(accelerator, out, fingerprint)
        log = TrainingLog(accelerator, out, state.step)
        validator = data.make_validator(accelerator.device, is_main=accelerator.is_main_process)

        def save_prior(folder: Path) -> None:
            _save_prior(folder, ema_renderer, textures, critics, config, fingerprint, data, state)

        step_terms: list[dict[str, Tensor]] = []
        stages = recipe.list_stages()
        for stage, sample in data.iterate_batches(stages, state.step, accelerator):
            step = state.step + 1
            judges = _select_critics(critics, stage) if step >= config.adversarial_from else {}
            schedule.set_step(state.step)
            with accelerator.accumulate(model, *(each.wrapped for each in judges.values())):
                loss, terms, output = model(
                    sample,
                    textures(sample),
                    replace(networks, critics={k: each.network for k, each in judges.items()}),
                    stage,
                )
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    textures.average_gradients(accelerator)
                    if recipe.max_gradient_norm is not None:
                        accelerator.clip_grad_norm_(renderer.parameters(), recipe.max_gradient_norm)
                optimizer.step()
                optimizer.zero_grad()
                # The critics' own steps, on the output without its gradient.
                wrapped = {name: each.wrapped for name, each in judges.items()}
                for name, critic_loss in recipe.compute_critic_losses(
                    wrapped, sample, output, stage
                ).items():
                    judge = judges[name]
                    judge.schedule.set_step(state.step)
                    terms[name] = critic_loss
                    accelerator.backward(critic_loss)
                    judge.optimizer.step()
                    judge.optimizer.zero_grad()
            step_terms.append({**terms, "loss": loss})
            if not accelerator.sync_gradients:
                continue  # more batches belong to this step

            values, step_terms = _average_terms(step_terms, accelerator), []
            if not np.isfinite(values["loss"]):
                raise DubfewError(
                    f"the loss is {values['loss']} at step {step}: lower the learning rates, or "
                    "train without mixed precision"
                )
            update_ema(ema_renderer, renderer, min(config.ema, step / (step + EMA_RAMP_STEPS)))
            state = replace(state, step=step)
            validation = None
            if step % config.checkpoint == 0 or step == config.steps:
                validation = validator(ema_renderer, textures)
                values |= validation.metrics
                psnr = validation.metrics.get("psnr_heldout")
                if psnr is not None and (state.best is None or psnr > state.best):
                    state = replace(state, best=psnr)
                    save_prior(out / BEST_PRIOR_FOLDER)
            # The log first: it is cut to the state when a run resumes, never extended.
            log.write_step(step, values, validation)
            if validation is not None:
                save_run_state(accelerator, out, state, fingerprint)
            if accelerator.is_main_process:
                progress(Progress("train", step, config.steps, values))
        if accelerator.is_main_process:
            save_prior(out / FINISHED_PRIOR_FOLDER)
            if isinstance(textures, RandomTextures):
                # Apart from the prior, which holds nothing of the training people's faces.
                textures.save_each(out / TEXTURES_FOLDER)
        accelerator.wait_for_everyone()
        log.close()
        return out / FINISHED_PRIOR_FOLDER


def _check_run_folder(out: Path) -> None:
    """Check that a training which starts anew in a folder replaces nothing there."""
    if (out / LATEST_STATE_FILE).exists():
        return  # an earlier run goes on, whose files these are
    if os.path.lexists(out / FINISHED_PRIOR_FOLDER):
        raise OutputExistsError(
            f"{out / FINISHED_PRIOR_FOLDER} exists already, without a state to go on from: name "
            "another folder with --out, or move it away"
        )


def open_training_data(config: PriorTrainConfig, renderer: Any) -> TrainingData:
    """Open the data of a training, for the family that the renderer belongs to.

    Args:
        config: everything that decides the training.
        renderer: network to train; its class says which family it is of.

    Raises:
        DubfewError: The data is missing or does not fit the renderer.
    """
    if isinstance(renderer, PaintingRenderer):
        return PaintingData(config, renderer)
    return BlendingData(config, renderer)


def _rate_factor(config: PriorTrainConfig, recipe: TrainingRecipe) -> Callable[[int], float]:
    """Make the factor of all learning rates as a function of the steps done."""
    return lambda steps_done: recipe.compute_rate_factor(steps_done, config.steps)


def _prepare_critics(
    accelerator: Accelerator, config: PriorTrainConfig, recipe: TrainingRecipe, renderer: nn.Module
) -> dict[str, _TrainedCritic]:
    """Make all critics of a recipe and what trains them, in a fixed order."""
    prepared = {}
    for name, critic in recipe.make_critics(renderer).items():
        rate = config.discriminator_rate * critic.learning_rate
        wrapped, optimizer = accelerator.prepare(
            critic.network, Adam(critic.network.parameters(), rate, betas=critic.betas)
        )
        schedule = LearningRateSchedule(optimizer, _rate_factor(config, recipe))
        prepared[name] = _TrainedCritic(critic.network, wrapped, optimizer, schedule)
    return prepared


def _select_critics(
    critics: Mapping[str, _TrainedCritic], stage: TrainingStage
) -> dict[str, _TrainedCritic]:
    """Select the critics of a stage."""
    return {
        name: critic
        for name, critic in critics.items()
        if stage.critics is None or name in stage.critics
    }


def make_initial_renderer(config: PriorTrainConfig) -> tuple[Any, dict[str, str]]:
    """Make the renderer that training starts with, fresh or from a prior.

    Returns:
        The renderer, and name and SHA-256 of the prior that its weights are from; empty for fresh
        weights.

    Raises:
        ArtefactError: The prior does not exist, or its renderer has another name or other sizes
            than the configuration.
    """
    if not config.start:
        return make_renderer(config.renderer, config.renderer_config), {}
    # The configuration may repeat the prior's sizes but not change them.
    prior = Prior.load(config.start)
    own = renderer_config_to_dict(prior.renderer)
    expected = own
    if config.renderer_config:
        expected = renderer_config_to_dict(make_renderer(config.renderer, config.renderer_config))
    if (prior.renderer_name, own) != (config.renderer, expected):
        raise ArtefactError(
            f"the prior {config.start!r} is a {prior.renderer_name!r} renderer of {own}, not "
            f"{config.renderer!r} of {expected}: leave out 'renderer_config', or 'start'"
        )
    return prior.renderer.train(), {"name": prior_info(config.start).name, "sha256": prior.sha256}


def _average_terms(
    step_terms: Sequence[dict[str, Tensor]], accelerator: Accelerator
) -> dict[str, float]:
    """Average the terms over a step's batches and all processes."""
    # One reduction for all terms: each costs a round trip between the processes.
    stacked = torch.stack(
        [torch.stack([t.detach() for t in terms.values()]) for terms in step_terms]
    )
    means: Tensor = accelerator.reduce(stacked.float().mean(0), "mean")
    return dict(zip(step_terms[0], means.tolist(), strict=True))


def _save_prior(
    folder: Path,
    ema_renderer: Any,
    textures: Any,
    critics: Mapping[str, _TrainedCritic],
    config: PriorTrainConfig,
    fingerprint: Mapping[str, Any],
    data: TrainingData,
    state: RunState,
) -> None:
    """Store the moving average as a prior, with how it was trained and on whom."""
    prior = Prior(
        ema_renderer,
        config.renderer,
        textures.make_new_actor_texture(),
        data.head,
        # The adaptation of a blending renderer has no critic, and needs none.
        critics={name: critic.network.state_dict() for name, critic in critics.items()}
        if isinstance(ema_renderer, PaintingRenderer)
        else {},
    )
    # Paths and names of excluded people are left out, see `to_public_dict`.
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
            for _, header in data.people
        ],
    }
    prior.save(folder, record, card="")


def main() -> None:
    """Parse the command line of ``python -m dubfew.prior.train`` and train.

    Raises:
        SystemExit: The arguments are wrong, or the training failed; the message says why.
    """
    # The command line of dubfew has the same command; this one is for launchers.
    parser = argparse.ArgumentParser(
        prog="python -m dubfew.prior.train",
        description="Train a prior; goes on where an interrupted run left off.",
    )
    parser.add_argument("config", type=Path, metavar="CONFIG", help="JSON; see docs/training.md")
    try:
        train_renderer(PriorTrainConfig.load(parser.parse_args().config))
    except DubfewError as error:
        raise SystemExit(f"dubfew: error: {error}") from None
