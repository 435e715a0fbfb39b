"""The training loop of the speech model."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from dubfew.progress import Progress, ProgressCallback, silent
from dubfew.speech.batches import draw_batch
from dubfew.speech.corpus import Clip, Sync, find_lag, trusted_lag
from dubfew.speech.examples import (
    VARIANTS,
    Take,
    synthesise,
    take_of_clip,
    take_of_utterance,
    training_languages,
)
from dubfew.speech.features import RATE
from dubfew.speech.fields import default_fields
from dubfew.speech.inputs import Encoder, MelEncoder
from dubfew.speech.loss import MotionLoss
from dubfew.speech.model import SpeechModel
from dubfew.speech.network import NetworkConfig, SpeechNetwork
from dubfew.speech.space import Recording, model_of, motion_basis
from dubfew.speech.train_config import TrainConfig
from dubfew.speech.visemes import learn_fields

FloatArray = NDArray[np.float32]

# Three seconds of film correlate by chance at some larger lag, and a clip trained on with a wrong
# lag does harm: 0.2 s hold every lag that containers and encoders usually make.
TRAINING_LAG = 0.2
REPORTED = 10  # steps


@dataclass(frozen=True)
class Trained:
    """A model and what was found out about its clips.

    Attributes:
        model: ready to predict.
        fields: the controls' fields that its synthetic targets were made with. [5, P, 3]
        syncs: what the synthetic-only model found out about each clip.
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

    First on synthetic speech alone; that model measures each clip's lag of picture against
    sound and whether the two belong together; then on both, measured once more on the way.

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
    synthetic = [take_of_utterance(utterance, fields) for utterance in said]
    filmed = [take_of_clip(clip, 0.0) for clip in clips]
    network_config = NetworkConfig(inputs=encoder.width, stride=encoder.stride)
    basis = motion_basis(synthetic, filmed, network_config.components)
    network = SpeechNetwork(network_config)
    optimiser = torch.optim.AdamW(network.parameters(), lr=config.rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: _rate_at((step + 1) / config.steps)
    )
    loss_of = MotionLoss(basis)
    syncs: dict[str, Sync] = {}
    used: tuple[str, ...] = ()
    takes: list[Take] = []
    network.train()
    for step in range(config.steps):
        if step in (config.warmup, config.again) and clips:
            # A clip that is trained on already no longer says whether it should be.
            fresh = [clip for clip in clips if clip.name not in used]
            syncs |= measure_sync(model_of(network, basis, synthetic, encoder), fresh)
            chosen = [clip for clip in clips if syncs[clip.name].r >= config.least_r]
            used = tuple(clip.name for clip in chosen)
            takes = [take_of_clip(clip, trusted_lag(syncs[clip.name])) for clip in chosen]
            network.train()
        frames, wanted, voice = draw_batch(synthetic, takes, config, rng, encoder)
        raw, voice_logit = network(frames)
        loss = loss_of(raw, voice_logit, wanted, voice)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if (step + 1) % REPORTED == 0 or step + 1 == config.steps:
            progress(Progress("train", step + 1, config.steps, {"loss": loss.item()}))
    model = model_of(network, basis, takes or synthetic, encoder)
    return Trained(model, fields, syncs, used)


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
