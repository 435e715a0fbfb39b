"""How well mouth and sound of prepared clips can be told in and out of sync without a picture.

    python -m benchmarks.sync_probe --data TRAIN --held-out HELD

A SyncNet sees five frames and hears 0.2 s. What of this the data hold at all is estimated from
landmarks: gap and width of the lips in five frames beside Wav2Lip's mel spectrogram. A regression
predicts the ten numbers from the sound; a pair is in sync if the numbers are more probable given
the sound than without it, as normal distributions. `linear` is a ridge regression, `network` three
layers of 128. Lips are in parts of the distance between the eyes' corners, as seen, and `per clip`
also relative to the mean and spread of the clip, which a SyncNet cannot know.

The last columns are of longer windows, which no SyncNet sees: how much of the rest is not in the
data, and how much not in 0.2 s of it.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.common import machine_line, markdown_table
from dubfew.data.clip_footage import ClipFootage
from dubfew.data.clip_samples import find_windows
from dubfew.data.clip_shards import open_layout_clips
from dubfew.data.sound_features import SOUND_FEATURES
from dubfew.data.sound_features._base import CLIP_FPS
from dubfew.prior.syncnets import SYNC_FRAMES
from dubfew.prior.training.sync import select_sync_clips

# Lengths of windows, frames: that of SyncNets, and longer ones.
WINDOW_FRAMES = (SYNC_FRAMES, 15, 25)
# Neighboring bands that are averaged: lips do not follow single harmonics.
BANDS_TOGETHER = 4
# Ridge, as a part of the features' variance: windows of few clips are much alike.
RIDGE = 0.1
# Passes of the network over the windows, and windows of a step.
PASSES, BATCH = 30, 256
# Predicts standardized numbers of the mouth from standardized sound.
Predictor = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True)
class Windows:
    """Windows of one clip.

    Attributes:
        mouth: gap and width of the lips in each frame. [N, 2 * T]
        sound: levels around them. [N, S]
        starts: number of the first frame. [N]
    """

    mouth: NDArray[np.float64]
    sound: NDArray[np.float64]
    starts: NDArray[np.int64]


def cut_windows(clip: ClipFootage, length: int, *, per_clip: bool) -> Windows:
    """Cut all windows of a clip."""
    lips = clip.measure_lips().astype(np.float64)
    if per_clip:
        lips = (lips - lips.mean(0)) / lips.std(0).clip(1e-3)
    starts = find_windows(clip.frames, length)
    feature = SOUND_FEATURES.load("mel16")
    steps = feature.extract(clip.samples)
    steps = steps.reshape(len(steps), -1, BANDS_TOGETHER).mean(2)
    # As many steps as a SyncNet hears for its five frames, 16, in proportion.
    count = round(16 * length / SYNC_FRAMES)
    first = np.floor((clip.frames[starts] / CLIP_FPS - clip.sound_start) * feature.rate_hz + 1e-6)
    rows = np.clip(first.astype(int)[:, None] + np.arange(count), 0, len(steps) - 1)
    frames = starts[:, None] + np.arange(length)
    return Windows(
        lips[frames].reshape(len(starts), -1),
        steps[rows].reshape(len(starts), -1).astype(np.float64),
        np.asarray(clip.frames[starts]),
    )


def fit_ridge(sound: NDArray, mouth: NDArray) -> Predictor:
    """Fit a ridge regression of standardized numbers."""
    size = sound.shape[1]
    gram = sound.T @ sound / len(sound)
    weights = np.linalg.solve(gram + RIDGE * np.eye(size), sound.T @ mouth / len(sound))
    return lambda x: x @ weights


def fit_network(sound: NDArray, mouth: NDArray) -> Predictor:
    """Fit a small network of standardized numbers."""
    torch.manual_seed(0)
    layers: list[torch.nn.Module] = []
    sizes = (sound.shape[1], 128, 128)
    for before, after in itertools.pairwise(sizes):
        layers += [torch.nn.Linear(before, after), torch.nn.GELU(), torch.nn.Dropout(0.3)]
    network = torch.nn.Sequential(*layers, torch.nn.Linear(sizes[-1], mouth.shape[1]))
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=0.05)
    x, y = (torch.from_numpy(values).float() for values in (sound, mouth))
    for _ in range(PASSES):
        for rows in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            (network(x[rows] + 0.1 * torch.randn(len(rows), x.shape[1])) - y[rows]).square().mean(
            ).backward()  # fmt: skip
            optimizer.step()
    network.eval()

    @torch.no_grad()
    def predict(values: NDArray) -> NDArray[np.float64]:
        return network(torch.from_numpy(values).float()).double().numpy()

    return predict


FITS = {"linear": fit_ridge, "network": fit_network}


def score_pairs(
    train: Sequence[Windows], held_out: Sequence[Windows], fit: Callable[..., Predictor]
) -> tuple[float, float]:
    """Fit on some clips and tell pairs of others.

    Returns:
        Share of pairs told right, half of them in sync, at the threshold of equal probability; and
        share in which the own sound is more probable than another of the clip. Means over clips.
    """
    mouth, sound = (np.concatenate([getattr(w, n) for w in train]) for n in ("mouth", "sound"))
    means = mouth.mean(0), sound.mean(0)
    spreads = mouth.std(0).clip(1e-6), sound.std(0).clip(1e-3)

    def scale(values: NDArray, which: int) -> NDArray[np.float64]:
        return (values - means[which]) / spreads[which]

    y, x = scale(mouth, 0), scale(sound, 1)
    # Residuals are those of clips that the fit has not seen: on its own ones they are too small.
    middle = len(x) // 2
    residuals = np.concatenate(
        [
            y[middle:] - fit(x[:middle], y[:middle])(x[middle:]),
            y[:middle] - fit(x[middle:], y[middle:])(x[:middle]),
        ]
    )
    predict = fit(x, y)
    size = y.shape[1]
    around, alone = (np.cov(values.T) + 1e-3 * np.eye(size) for values in (residuals, y))
    offset = 0.5 * (np.linalg.slogdet(alone)[1] - np.linalg.slogdet(around)[1])
    inverse_around, inverse_alone = np.linalg.inv(around), np.linalg.inv(alone)
    right, chosen = [], []
    for windows in held_out:
        y, predicted = scale(windows.mouth, 0), predict(scale(windows.sound, 1))
        difference = y[:, None] - predicted[None]
        given = np.einsum("abi,ij,abj->ab", difference, inverse_around, difference)
        without = np.einsum("ai,ij,aj->a", y, inverse_alone, y)[:, None]
        evidence = offset + 0.5 * (without - given)
        distance = np.abs(windows.starts[:, None] - windows.starts)
        off = distance >= max(SYNC_FRAMES, size // 2)
        own = np.diagonal(evidence)
        right.append(((own > 0).mean() + (evidence[off] <= 0).mean()) / 2)
        chosen.append((own[:, None] > evidence)[off].mean())
    return float(np.mean(right)), float(np.mean(chosen))


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse arguments, measure, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="crops to learn from")
    parser.add_argument("--held-out", type=Path, required=True, help="crops of other people")
    parser.add_argument("--layout", default="face256")
    options = parser.parse_args(arguments)
    train, held_out = (
        select_sync_clips([clip for clip, _ in open_layout_clips(folder, options.layout)])
        for folder in (options.data, options.held_out)
    )
    rows: list[list[object]] = []
    for name, fit in FITS.items():
        for per_clip in (False, True):
            row: list[object] = [name, "per clip" if per_clip else "as seen"]
            for length in WINDOW_FRAMES:
                parts = [
                    [cut_windows(c, length, per_clip=per_clip) for c in clips]
                    for clips in (train, held_out)
                ]
                row += score_pairs(parts[0], parts[1], fit)
            rows.append(row)
    head = ["probe", "lips"]
    for length in WINDOW_FRAMES:
        head += [f"{length / CLIP_FPS:g} s: pairs right", "own of two"]
    count = sum(len(find_windows(clip.frames, SYNC_FRAMES)) for clip in train)
    print(
        f"{count} windows of {len(train)} clips; {len(held_out)} clips held out. {machine_line()}"
    )
    print("\n" + markdown_table(head, rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
