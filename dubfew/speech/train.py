"""Train the speech model: ``python -m dubfew.speech.train --corpus FOLDER --out FILE``.

Without a corpus of filmed speakers it trains on synthetic speech alone.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save
from torch import Tensor
from torch.nn import functional as F

from dubfew.files import write_atomic
from dubfew.progress import Progress, ProgressCallback, silent
from dubfew.reconstruction.points import INNER_LIPS, MOUTH_POINTS, OUTER_LIPS
from dubfew.speech.corpus import Clip, Sync, find_lag, load_corpus, trusted_lag
from dubfew.speech.examples import (
    VARIANTS,
    Take,
    example_of,
    silent_take,
    synthesise,
    take_of_clip,
    take_of_utterance,
    training_languages,
)
from dubfew.speech.features import RATE
from dubfew.speech.model import ROW_SECONDS, MotionSpace, SpeechModel
from dubfew.speech.motion import CORNERS, INNER_PAIRS, rows_of
from dubfew.speech.network import NetworkConfig, SpeechNetwork
from dubfew.speech.visemes import learn_fields

FloatArray = NDArray[np.float32]

# Three seconds of film correlate by chance at some larger lag, and a clip trained on with a wrong
# lag does harm: 0.2 s hold every lag that containers and encoders usually make.
TRAINING_LAG = 0.2


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    Attributes:
        steps: optimiser steps in all.
        warmup: steps on synthetic speech alone, before the clips' lags are first measured.
        again: step at which they are measured again, by what has been learnt from clips.
        batch: windows of 3 s per step.
        real_share: of the windows that come from filmed speakers.
        silent_share: of the windows in which nobody speaks.
        utterances: synthetic sentences to draw from.
        rate: peak learning rate.
        least_r: a clip whose mouth follows its sound less than this teaches nothing (music,
            another speaker) and is left out.
        seed: of everything random.
    """

    steps: int = 2000
    warmup: int = 500
    again: int = 1200
    batch: int = 16
    real_share: float = 0.45
    silent_share: float = 0.1
    utterances: int = 1200
    rate: float = 3e-3
    least_r: float = 0.25
    seed: int = 0


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
    clips: list[Clip], config: TrainConfig | None = None, *, progress: ProgressCallback = silent
) -> Trained:
    """Train from nothing: the same result for the same seed on the same machine.

    That holds for a fresh process; espeak-ng varies its voices a little with all that it has
    said before in one.

    First on synthetic speech alone; that model measures each clip's lag of picture against
    sound and whether the two belong together; then on both, measured once more on the way.

    Args:
        clips: filmed speakers, may be empty.
        config: None takes the defaults.
        progress: told about every 50th step and the last.
    """
    config = config or TrainConfig()
    rng = np.random.default_rng(config.seed)
    torch.manual_seed(config.seed)
    fields = learn_fields([clip.motion for clip in clips]) if clips else default_fields()
    said = synthesise(config.utterances, rng, languages=training_languages(), variants=VARIANTS)
    synthetic = [take_of_utterance(utterance, fields) for utterance in said]
    filmed = [take_of_clip(clip, 0.0) for clip in clips]
    network_config = NetworkConfig()
    basis = _basis(synthetic, filmed, network_config.components)
    network = SpeechNetwork(network_config)
    optimiser = torch.optim.AdamW(network.parameters(), lr=config.rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: _rate_at((step + 1) / config.steps)
    )
    loss_of = _Loss(basis)
    syncs: dict[str, Sync] = {}
    used: tuple[str, ...] = ()
    takes: list[Take] = []
    network.train()
    for step in range(config.steps):
        if step in (config.warmup, config.again) and clips:
            # A clip that is trained on already no longer says whether it should be.
            fresh = [clip for clip in clips if clip.name not in used]
            syncs |= measure_sync(_model(network, basis, synthetic), fresh)
            chosen = [clip for clip in clips if syncs[clip.name].r >= config.least_r]
            used = tuple(clip.name for clip in chosen)
            takes = [take_of_clip(clip, trusted_lag(syncs[clip.name])) for clip in chosen]
            network.train()
        mel, wanted, voice = _batch(synthetic, takes, config, rng)
        raw, voice_logit = network(mel)
        loss = loss_of(raw, voice_logit, wanted, voice)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if (step + 1) % 50 == 0 or step + 1 == config.steps:
            progress(Progress("train", step + 1, config.steps, {"loss": loss.item()}))
    return Trained(_model(network, basis, takes or synthetic), fields, syncs, used)


def measure_sync(model: SpeechModel, clips: list[Clip]) -> dict[str, Sync]:
    """Lag of each clip's picture against its sound, as this model hears it."""
    syncs = {}
    for clip in clips:
        grid = np.arange(0, len(clip.samples) / RATE, 0.01)
        syncs[clip.name] = find_lag(
            model.predict(_Sound(clip.samples), grid, lead=0.0), clip.motion, largest=TRAINING_LAG
        )
    return syncs


def default_fields() -> FloatArray:
    """The controls' fields that ship with dubfew. [5, P, 3]"""
    path = files("dubfew.speech") / "weights" / "fields.safetensors"
    return load_file(str(path))["fields"]


def _rate_at(done: float) -> float:
    """Learning rate after a share of the steps: up over a tenth, then down a cosine to 0."""
    if done < 0.1:
        return done / 0.1
    return 0.5 * (1 + math.cos(math.pi * (done - 0.1) / 0.9))


@dataclass(frozen=True)
class _Sound:
    samples: NDArray[np.float32]
    rate: int = RATE


def _basis(synthetic: list[Take], filmed: list[Take], components: int) -> FloatArray:
    """Principal directions of motion about rest, both sources weighing alike. [K, P, 3]"""
    gram = np.zeros((len(MOUTH_POINTS) * 3,) * 2)
    for takes in (synthetic, filmed):
        if takes:
            flat = np.concatenate([t.displacement.reshape(len(t.displacement), -1) for t in takes])
            gram += flat.T.astype(np.float64) @ flat / len(flat)
    _, vectors = np.linalg.eigh(gram)
    basis = vectors.T[::-1][:components]
    return np.ascontiguousarray(basis.reshape(components, -1, 3), np.float32)


def _batch(
    synthetic: list[Take], filmed: list[Take], config: TrainConfig, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Mel [B, T, 80], wanted motion [B, R, P, 3], voice [B, R]."""
    lengths = np.array([len(take.voice) for take in filmed], np.float64)
    examples = []
    for _ in range(config.batch):
        draw = rng.random()
        is_real = draw < config.real_share and len(filmed) > 0
        if draw > 1 - config.silent_share:
            takes = [silent_take(rng)]
        elif is_real:
            takes = [filmed[rng.choice(len(filmed), p=lengths / lengths.sum())]]
        else:
            takes = [synthetic[rng.integers(len(synthetic))] for _ in range(2)]
        examples.append(example_of(takes, rng, len(MOUTH_POINTS)))
    return (
        torch.from_numpy(np.stack([example.mel for example in examples])),
        torch.from_numpy(np.stack([example.displacement for example in examples])),
        torch.from_numpy(np.stack([example.voice for example in examples])),
    )


class _Loss:
    """How far predicted motion is from the wanted, and how well the gate knows speech."""

    def __init__(self, basis: FloatArray) -> None:
        self._basis = torch.from_numpy(basis.reshape(len(basis), -1))
        weight = np.full(len(MOUTH_POINTS), 0.4, np.float32)
        weight[rows_of(OUTER_LIPS)] = 1.0
        weight[rows_of(INNER_LIPS)] = 2.0
        self._weight = torch.from_numpy(weight / weight.mean())[:, None]
        upper, lower = np.array([rows_of(pair) for pair in INNER_PAIRS]).T
        self._upper, self._lower = torch.from_numpy(upper), torch.from_numpy(lower)
        self._corners = rows_of(CORNERS)

    def __call__(self, raw: Tensor, voice_logit: Tensor, wanted: Tensor, voice: Tensor) -> Tensor:
        gated = raw * torch.sigmoid(voice_logit)[..., None]
        motion = (gated @ self._basis).unflatten(-1, (-1, 3))
        points = F.smooth_l1_loss(motion, wanted, beta=0.02, reduction="none") * self._weight
        gap, wanted_gap = self._gap(motion), self._gap(wanted)
        width, wanted_width = self._width(motion), self._width(wanted)
        # Closures are short and few, and a /b/ with open lips is the fault that everybody sees.
        closed = 1 + 5 * voice * torch.exp(-wanted_gap.clamp_min(0) / 0.012)
        shape = 3 * closed * (gap - wanted_gap).abs() + (width - wanted_width).abs()
        speed = ((gap.diff(dim=1) - wanted_gap.diff(dim=1)).abs()).mean()
        # Averages of several answers are small motions; agreement in time and in spread is
        # asked for by itself, or the mouth would hedge.
        a = gap - gap.mean(dim=1, keepdim=True)
        b = wanted_gap - wanted_gap.mean(dim=1, keepdim=True)
        spread_a, spread_b = a.pow(2).mean(1).add(1e-6).sqrt(), b.pow(2).mean(1).add(1e-6).sqrt()
        moves = (spread_b > 0.01).float()
        r = (a * b).mean(dim=1) / (spread_a * spread_b)
        dynamics = (moves * ((1 - r) + 0.4 * (spread_a / spread_b).log().abs())).mean()
        gate = F.binary_cross_entropy_with_logits(voice_logit, voice)
        return 3 * points.mean() + shape.mean() + 2 * speed + 0.03 * dynamics + 0.05 * gate

    def _gap(self, motion: Tensor) -> Tensor:
        return (motion[:, :, self._upper, 1] - motion[:, :, self._lower, 1]).mean(dim=-1)

    def _width(self, motion: Tensor) -> Tensor:
        return motion[:, :, self._corners[1], 0] - motion[:, :, self._corners[0], 0]


def _model(network: SpeechNetwork, basis: FloatArray, takes: list[Take]) -> SpeechModel:
    """The network with the statistics of what it predicts for these recordings."""
    nothing = MotionSpace(basis, np.ones(len(basis), np.float32), 1.0)
    model = SpeechModel(network, nothing)
    predicted, speaking = [], []
    for take in takes[:60]:
        rows = model.coefficients(_Sound(take.samples))[: len(take.voice)]
        predicted.append(rows)
        speaking.append(take.voice[: len(rows)] > 0)
    spoken = np.concatenate(predicted)[np.concatenate(speaking)]
    times = np.arange(len(spoken)) * ROW_SECONDS
    gap = nothing.expand(spoken, times).aperture()
    typical = np.sqrt((spoken**2).mean(axis=0)).astype(np.float32)
    return SpeechModel(network, MotionSpace(basis, typical, float(np.quantile(gap, 0.95))))


def save_fields(fields: FloatArray, path: Path | str) -> None:
    """Write the controls' fields beside the model."""
    write_atomic(Path(path), save({"fields": fields}))


def main(arguments: list[str] | None = None) -> None:
    """The command line of this module."""
    parser = argparse.ArgumentParser(prog="python -m dubfew.speech.train", description=__doc__)
    parser.add_argument("--corpus", type=Path, help="folder that dubfew.speech.prepare filled")
    parser.add_argument("--out", type=Path, required=True, help="the model, .safetensors")
    parser.add_argument("--steps", type=int, default=TrainConfig.steps)
    parser.add_argument("--utterances", type=int, default=TrainConfig.utterances)
    parser.add_argument("--seed", type=int, default=TrainConfig.seed)
    options = parser.parse_args(arguments)
    clips = load_corpus(options.corpus) if options.corpus else []
    config = TrainConfig(
        steps=options.steps,
        utterances=options.utterances,
        warmup=options.steps // 4,
        again=options.steps * 6 // 10,
        seed=options.seed,
    )

    def show(progress: Progress) -> None:
        loss = progress.values["loss"]
        print(f"step {progress.done}/{progress.total} loss {loss:.4f}", flush=True)

    trained = train(clips, config, progress=show)
    trained.model.save(options.out)
    save_fields(trained.fields, options.out.with_name("fields.safetensors"))
    for name, sync in trained.syncs.items():
        use = f"lag {trusted_lag(sync) * 1000:+.0f} ms" if name in trained.used else "left out"
        print(f"{name}: r {sync.r_zero:.2f}, best {sync.r:.2f} at {sync.lag * 1000:+.0f} ms; {use}")


if __name__ == "__main__":
    main()
