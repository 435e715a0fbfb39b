"""The student learns the teacher's features from mel bands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from dubfew.media.mel import DYNAMIC_RANGE_DB, NUM_MEL_BANDS
from dubfew.speech.encoders import MEL_FRAMES_PER_ROW
from dubfew.speech.encoders._distilled_network import DistilledConfig, DistilledNetwork
from dubfew.training import MAX_GRADIENT_NORM
from dubfew.training.ema import update_ema
from dubfew.training.schedules import LearningRateSchedule, warmup_cosine
from tools.distill_encoder.corpus import Utterance

# Windows per step, and their length in rows (3 s). Neighboring rows are alike, so few windows are
# enough, and more steps learn faster.
WINDOWS_PER_STEP, WINDOW_ROWS = 4, 150
# Rows of silence that a window may have before an utterance and behind it, so that the student
# learns how the edges of a recording look.
_SILENT_ROWS = 24
# Rows at the ends of a window without loss where the utterance goes on: their context is cut off.
_CUT_ROWS = 12
# Highest learning rate and the fraction of it at the end, steps to get there, AdamW's weight decay,
# and decay of the averaged weights.
_LEARNING_RATE, _FINAL_RATE, _WARMUP_STEPS = 1.5e-3, 0.03, 50
_WEIGHT_DECAY, _EMA_DECAY = 0.02, 0.995
# Exponent of the whitening: 0 leaves the teacher's variances as they are, 1 makes all equal. The
# weak directions hold noise, and also the finer differences between sounds.
_WHITENING = 0.5
# Share of windows whose mel bands were made from sound in a room or noise.
_AUGMENTED_SHARE = 0.35
# Steps between reports.
REPORT_STEPS = 50


@dataclass(frozen=True)
class FeatureBasis:
    """Principal directions of the teacher's features, in which the student answers.

    Attributes:
        mean: mean feature. [F]
        projection: directions times scale; the mean variance of the results is 1. [F, K]
    """

    mean: NDArray[np.float32]
    projection: NDArray[np.float32]


def fit_feature_basis(utterances: Sequence[Utterance], num_features: int) -> FeatureBasis:
    """Find the principal directions of the teacher's features and whiten them a little.

    Args:
        utterances: utterances with the teacher's features.
        num_features: number of directions, K.
    """
    rows = sum(len(utterance.features) for utterance in utterances)
    mean = sum(u.features.sum(axis=0, dtype=np.float64) for u in utterances) / rows
    covariance = np.zeros((len(mean), len(mean)))
    for utterance in utterances:
        centered = utterance.features - mean
        covariance += centered.T @ centered / rows
    variances, directions = np.linalg.eigh(covariance)
    variances = np.maximum(variances[::-1][:num_features], 1e-9)
    directions = directions[:, ::-1][:, :num_features]
    scale = variances ** (-_WHITENING / 2)
    scale /= np.sqrt((variances * scale**2).mean())
    return FeatureBasis(mean.astype(np.float32), (directions * scale).astype(np.float32))


def learn(
    sources: Mapping[str, Sequence[Utterance]],
    shares: Mapping[str, float],
    basis: FeatureBasis,
    config: DistilledConfig,
    *,
    lip_directions: NDArray[np.float32] | None = None,
    num_steps: int,
    seed: int,
    report: Callable[[int, float], None],
) -> DistilledNetwork:
    """Train a student.

    Args:
        sources: utterances by source.
        shares: how often windows of each source are drawn, by the names in ``sources``.
        basis: directions of the teacher's features.
        config: sizes of the student; its ``features`` are those of the basis.
        lip_directions: directions of the teacher's features in which errors count as much as in
            all others together, see `fit_lip_directions`. [F, m]
        num_steps: steps of the optimizer.
        seed: seed of all randomness.
        report: called every `REPORT_STEPS` steps with their number and the mean squared error over
            the variance of the targets.

    Returns:
        The student, its weights averaged over the last steps.
    """
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    network = DistilledNetwork(config)
    averaged = deepcopy(network)
    matrices = [weight for weight in network.parameters() if weight.ndim > 1]
    vectors = [weight for weight in network.parameters() if weight.ndim == 1]
    groups: list[dict[str, Any]] = [
        {"params": matrices, "weight_decay": _WEIGHT_DECAY},
        {"params": vectors, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=_LEARNING_RATE, betas=(0.9, 0.98))
    names = sorted(sources)
    chances = np.array([shares[name] for name in names])
    mean, projection = torch.from_numpy(basis.mean), torch.from_numpy(basis.projection)
    lips = None
    if lip_directions is not None:
        # The same directions among the student's answers.
        lips = torch.from_numpy(np.linalg.lstsq(basis.projection, lip_directions, rcond=None)[0])
    schedule = LearningRateSchedule(
        optimizer,
        lambda step: warmup_cosine(
            step, num_steps, warmup_steps=_WARMUP_STEPS, initial=1 / _WARMUP_STEPS,
            floor=_FINAL_RATE,
        ),
    )  # fmt: skip
    errors: list[float] = []
    for step in range(num_steps):
        schedule.set_step(step)
        windows = []
        for _ in range(WINDOWS_PER_STEP):
            source = sources[names[rng.choice(len(names), p=chances / chances.sum())]]
            windows.append(cut_window(source[rng.integers(len(source))], rng))
        mel, features, weights = (
            torch.from_numpy(np.stack(part)) for part in zip(*windows, strict=True)
        )
        target = ((features - mean) @ projection) * weights[..., None]
        found = network(augment_mel_batch(mel, generator), padded=True) * weights[..., None]
        error = (found - target) / weights.mean().sqrt()
        loss = error.square().mean()
        errors.append(float(loss.detach() * weights.mean() / target.square().mean()))
        if lips is not None:
            loss = loss + (error @ lips).square().mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), MAX_GRADIENT_NORM)
        optimizer.step()
        # The average forgets the first steps fast.
        update_ema(averaged, network, min(_EMA_DECAY, (step + 1) / (step + 10)))
        if (step + 1) % REPORT_STEPS == 0:
            report(step + 1, float(np.mean(errors[-REPORT_STEPS:])))
    return averaged.eval()


def cut_window(
    utterance: Utterance, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Cut a window out of an utterance, perhaps with silence at its ends.

    Returns:
        Mel bands [2 WINDOW_ROWS, 80], features [WINDOW_ROWS, F], weight of each row in the loss
        [WINDOW_ROWS].
    """
    augmented = utterance.augmented_mel
    use_augmented = augmented is not None and rng.random() < _AUGMENTED_SHARE
    source = augmented if augmented is not None and use_augmented else utterance.mel
    rows = len(utterance.features)
    last_start = max(-_SILENT_ROWS, rows + _SILENT_ROWS - WINDOW_ROWS)
    start = int(rng.integers(-_SILENT_ROWS, last_start + 1))
    low, high = max(start, 0), min(start + WINDOW_ROWS, rows)
    mel = np.zeros((MEL_FRAMES_PER_ROW * WINDOW_ROWS, NUM_MEL_BANDS), np.float32)
    features = np.zeros((WINDOW_ROWS, utterance.features.shape[1]), np.float32)
    weights = np.zeros(WINDOW_ROWS, np.float32)
    inside = slice(low - start, high - start)
    mel[MEL_FRAMES_PER_ROW * inside.start : MEL_FRAMES_PER_ROW * inside.stop] = source[
        MEL_FRAMES_PER_ROW * low : MEL_FRAMES_PER_ROW * high
    ]
    features[inside] = utterance.features[low:high]
    weights[inside] = 1
    if start > 0:
        weights[:_CUT_ROWS] = 0
    if start + WINDOW_ROWS < rows:
        weights[-_CUT_ROWS:] = 0
    return mel, features, weights


def augment_mel_batch(mel: Tensor, generator: torch.Generator) -> Tensor:
    """Put mel bands into other vocal tracts, rooms, noise and microphones.

    This costs a fiftieth of what the same done to sound does.

    Args:
        mel: log-mel frames in the units of `log_mel`. [B, T, 80]
        generator: source of randomness.

    Returns:
        Frames of the same shape, at least 0. [B, T, 80]
    """
    batch, frames, bands = mel.shape

    def uniform(low: float, high: float, *size: int) -> Tensor:
        return low + (high - low) * torch.rand(*size, generator=generator)

    def chosen(share: float) -> Tensor:
        return torch.rand(batch, 1, 1, generator=generator) < share

    def smooth_curve(spread: float) -> Tensor:  # [B, 1, bands]
        knots = spread * torch.randn(batch, 1, 7, generator=generator)
        return F.interpolate(knots, bands, mode="linear", align_corners=True)

    ramp = torch.linspace(1, -1, bands)
    # Vocal tract: the bands are stretched by up to 9 %.
    stretch = torch.where(chosen(0.6), uniform(0.92, 1.09, batch, 1, 1), torch.ones(1))
    place = (torch.arange(bands) * stretch).clamp(0, bands - 1).expand(batch, frames, bands)
    lower = place.long()
    upper = (lower + 1).clamp(max=bands - 1)
    share = place - lower
    mel = torch.gather(mel, 2, lower) * (1 - share) + torch.gather(mel, 2, upper) * share
    power = 10 ** (mel * DYNAMIC_RANGE_DB / 10)
    # Room: power that decays over 40 to 200 ms (to 1/e), up to a quarter as loud as the direct
    # sound in each frame.
    decay = torch.exp(-torch.arange(40) / uniform(4, 20, batch, 1)) * uniform(0.02, 0.25, batch, 1)
    decay[:, 0] = 1
    kernels = decay.flip(1).repeat_interleave(bands, 0)[:, None]
    history = F.pad(power.transpose(1, 2), (39, 0)).reshape(1, batch * bands, -1)
    late = F.conv1d(history, kernels, groups=batch * bands).reshape(batch, bands, frames)
    power = torch.where(chosen(0.35), late.transpose(1, 2), power)
    # Noise, 5 to 45 dB below the loud frames, of any color. Its power in a band and a frame
    # fluctuates as that of some independent samples does.
    level = DYNAMIC_RANGE_DB - uniform(5, 45, batch, 1, 1) + smooth_curve(5.0)
    level = level + uniform(-12, 12, batch, 1, 1) * ramp
    fluctuation = -torch.log(torch.rand(2, *mel.shape, generator=generator) + 1e-9).mean(0)
    noise = 10 ** (level / 10) * fluctuation
    power = torch.where(chosen(0.55), power + noise, power)
    found = 10 * torch.log10(power) / DYNAMIC_RANGE_DB
    # Microphone: tilt and level; silent bands stay silent.
    tilt = smooth_curve(0.03) - uniform(-0.05, 0.05, batch, 1, 1) * ramp
    tilt = tilt + uniform(-0.04, 0.04, batch, 1, 1)
    found = torch.where(found > 0.02, found + tilt, found).clamp(0, 1.6)
    # A few bands are missing, as lossy coding drops them.
    first = torch.randint(0, bands - 4, (batch, 1, 1), generator=generator)
    width = torch.randint(2, 9, (batch, 1, 1), generator=generator)
    band = torch.arange(bands)
    missing = (band >= first) & (band < first + width) & chosen(0.25)
    return found.masked_fill(missing, 0.0)
