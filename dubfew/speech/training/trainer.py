"""The training loop of the speech model."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dubfew.media.mel import RATE
from dubfew.progress import Progress, ProgressCallback, silent
from dubfew.speech.corpus import Clip, Sync, find_lag, trusted_lag
from dubfew.speech.encoders.encoder import Encoder, MelEncoder
from dubfew.speech.model import SpeechModel
from dubfew.speech.network import LinearReader, NetworkConfig, SpeechEnsemble
from dubfew.speech.training.batches import Batch, draw_batch
from dubfew.speech.training.config import TrainConfig
from dubfew.speech.training.examples import (
    VARIANTS,
    Take,
    synthesise,
    take_of_clip,
    take_of_utterance,
    training_languages,
)
from dubfew.speech.training.loss import MotionLoss
from dubfew.speech.training.motion_basis import Recording, model_of, motion_basis
from dubfew.speech.training.ridge_regression import solve_linear
from dubfew.speech.training.vowel_hold import hold
from dubfew.speech.viseme_basis import default_fields
from dubfew.speech.visemes import learn_fields

FloatArray = NDArray[np.float32]

# Three seconds of film correlate by chance at some larger lag, and a clip trained on with a wrong
# lag does harm: this much holds nearly every lag that containers and encoders make.
TRAINING_LAG = 0.12
REPORTED = 10  # steps


@dataclass(frozen=True)
class Trained:
    """A model and what was found out about its clips.

    Attributes:
        model: ready to predict.
        fields: the controls' fields that its synthetic targets were made with. [5, P, 3]
        syncs: what was found out about each clip while it was not trained on.
        used: names of the clips that were trained on.
    """

    model: SpeechModel
    fields: FloatArray
    syncs: dict[str, Sync]
    used: tuple[str, ...]


def train(
    clips: list[Clip],
    config: TrainConfig | None = None,
    *,
    encoder: Encoder | None = None,
    progress: ProgressCallback = silent,
) -> Trained:
    """Train from nothing: the same result for the same seed on the same machine.

    That holds for a fresh process; espeak-ng varies its voices a little with all that it has
    said before in one.

    First a network hears synthetic speech alone; it measures each clip's lag of picture against
    sound and whether the two belong together. The networks of the model then learn from both, one
    after the other; after the first of them clips that were left out are measured once more.

    Args:
        clips: filmed speakers, may be empty.
        config: None takes the defaults.
        encoder: what the network hears; None is mel bands.
        progress: told about every sentence said, every 10th step and the last.
    """
    config = config or TrainConfig()
    encoder = encoder or MelEncoder()
    rng = np.random.default_rng(config.seed)
    torch.manual_seed(config.seed)
    fields = learn_fields([clip.motion for clip in clips]) if clips else default_fields()
    said = synthesise(
        config.utterances,
        rng,
        languages=training_languages(),
        variants=VARIANTS,
        progress=progress,
    )
    said = [hold(each, rng) if rng.random() < config.held else each for each in said]
    synthetic = [take_of_utterance(utterance, fields) for utterance in said]
    network_config = NetworkConfig(inputs=encoder.width, stride=encoder.stride)
    filmed = [take_of_clip(clip, 0.0) for clip in clips]
    basis = motion_basis(synthetic, filmed, network_config.components)
    total = config.scout * bool(clips) + config.steps * network_config.members
    loss_of = MotionLoss(basis)
    course = _Course(loss_of, basis, synthetic, config, rng, encoder, progress, total)
    syncs: dict[str, Sync] = {}
    used: tuple[str, ...] = ()
    takes: list[Take] = []
    if clips:
        scout = SpeechEnsemble(replace(network_config, members=1), loss_of.opening)
        course.train(scout.networks[0], [], config.scout)
        course.solve(scout.linear, [])
        syncs = measure_sync(model_of(scout, basis, synthetic, encoder), clips)
        used, takes = _chosen(clips, syncs, config.least_r)
    ensemble = SpeechEnsemble(network_config, loss_of.opening)
    for number, network in enumerate(ensemble.networks):
        course.train(network, takes, config.steps)
        if number == 0 and clips:
            course.solve(ensemble.linear, takes)
            first = SpeechEnsemble(replace(network_config, members=1), loss_of.opening)
            first.networks[0].load_state_dict(network.state_dict())
            first.linear.load_state_dict(ensemble.linear.state_dict())
            # A clip that is trained on already no longer says whether it should be.
            fresh = [clip for clip in clips if clip.name not in used]
            syncs |= measure_sync(model_of(first, basis, synthetic, encoder), fresh)
            used, takes = _chosen(clips, syncs, config.least_r)
    course.solve(ensemble.linear, takes)
    model = model_of(ensemble, basis, takes or synthetic, encoder)
    return Trained(model, fields, syncs, used)


def _chosen(
    clips: list[Clip], syncs: dict[str, Sync], least_r: float
) -> tuple[tuple[str, ...], list[Take]]:
    """Clips whose mouth follows their sound, with their lag taken out."""
    chosen = [clip for clip in clips if syncs[clip.name].r >= least_r]
    takes = [take_of_clip(clip, trusted_lag(syncs[clip.name])) for clip in chosen]
    return tuple(clip.name for clip in chosen), takes


@dataclass
class _Course:
    """What all networks of one training share."""

    loss_of: MotionLoss
    basis: FloatArray
    synthetic: list[Take]
    config: TrainConfig
    rng: np.random.Generator
    encoder: Encoder
    progress: ProgressCallback
    total: int
    done: int = 0

    def train(self, network: nn.Module, filmed: list[Take], steps: int) -> None:
        """Train a network from where it is."""
        config = self.config
        optimiser = torch.optim.AdamW(network.parameters(), lr=config.rate, weight_decay=0.02)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: _rate_at((step + 1) / steps)
        )
        network.train()
        for step in range(steps):
            batch = self._draw(filmed, config.real_share)
            predicted = network(batch.frames)
            wanted = batch.wanted
            # Before it knows anything it could only shift at random.
            if step > steps // 3 and batch.filmed.any():
                wanted = self.loss_of.synchronised(predicted, wanted, batch.filmed)
            loss = self.loss_of(predicted, wanted, batch.voice)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            self.done += 1
            if (step + 1) % REPORTED == 0 or step + 1 == steps:
                self.progress(Progress("train", self.done, self.total, {"loss": loss.item()}))
        network.eval()

    def solve(self, reader: LinearReader, filmed: list[Take]) -> None:
        """Solve for the linear reader, from film if there is any."""
        solve_linear(
            reader, (self._draw(filmed, 1.0) for _ in range(self.config.linear)), self.basis
        )

    def _draw(self, filmed: list[Take], real_share: float) -> Batch:
        return draw_batch(self.synthetic, filmed, self.config, self.rng, self.encoder, real_share)


def measure_sync(model: SpeechModel, clips: list[Clip]) -> dict[str, Sync]:
    """Lag of each clip's picture against its sound, as this model hears it."""
    syncs = {}
    for clip in clips:
        grid = np.arange(0, len(clip.samples) / RATE, 0.01)
        syncs[clip.name] = find_lag(
            model.predict(Recording(clip.samples), grid, lead=0.0),
            clip.motion,
            largest=TRAINING_LAG,
        )
    return syncs


def _rate_at(done: float) -> float:
    """Learning rate after a share of the steps: up over a tenth, then down a cosine to 0."""
    if done < 0.1:
        return done / 0.1
    return 0.5 * (1 + math.cos(math.pi * (done - 0.1) / 0.9))
