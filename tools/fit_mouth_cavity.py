"""Fit ``dubfew/references/mouth_cavity.safetensors``: colors behind the lips, from many people.

    python -m tools.fit_mouth_cavity DATA [--out FILE] [--folds N]

DATA is what ``dubfew prior prepare --split train`` wrote. Only clips whose license lets weights
ship are used. Of every clip the frames with open lips are the examples; the colors around the mouth
are measured in frames with closed lips, as they are of an actor who never opened the mouth. All
people count the same. With ``--folds`` the tool tells the error on people left out and writes
nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file
from scipy.ndimage import gaussian_filter
from torch import nn

from dubfew.data.shards import open_prepared_clips
from dubfew.reconstruction.heads.head_model import HeadModel, load_head_model
from dubfew.reconstruction.rasterizer.raster import rasterize_mesh
from dubfew.references.footage import Footage
from dubfew.references.inputs import measure_footage_colors
from dubfew.references.mouth_cavity import CAVITY_FILE, CavityPoints, cavity_features
from dubfew.references.mouth_opening import MouthOpening

# Opening of the middle of the lips from which a frame is an example, in inter-ocular distances.
LEAST_OPENING = 0.045
# Frames of a clip, pixels of a frame, and closed frames that the colors are measured in.
FRAMES_PER_CLIP, PIXELS_PER_FRAME, CLOSED_FRAMES = 60, 150, 6
# Blur of the examples, px: the network cannot know single pixels.
BLUR_PX = 0.7
# Width of the hidden layers. 8 to 48 do as well on people left out.
HIDDEN = 16
# Noise on the features of shape and color, in standard deviations: there are few people.
FEATURE_NOISE, NOISY_FROM = 0.7, 8
STEPS, PIXELS_PER_PERSON, LEARNING_RATE, WEIGHT_DECAY = 2000, 64, 3e-3, 1e-3


def collect_examples(
    footage: Footage, head: HeadModel, rng: np.random.Generator
) -> tuple[NDArray, NDArray, NDArray]:
    """Collect features [N, F], lip colors [N, 3] and true colors [N, 3] of a clip, 0 to 1."""
    rings = footage.project_points(np.arange(len(footage)), head.inner_lip_matrix)
    eyes = [head.measure_eye_distance(v) * 2 / footage.window_size for v in footage.vertices[:]]
    openings = np.linalg.norm(rings[:, 4:7] - rings[:, [16, 15, 14]], axis=-1).mean(1) / eyes
    wide = np.nonzero(openings > LEAST_OPENING)[0]
    closed = np.argsort(openings)[: max(CLOSED_FRAMES, len(footage) // 4)]
    features, lips, truth = [], [], []
    count = min(FRAMES_PER_CLIP, len(wide))
    share = openings[wide] / openings[wide].sum()
    for row in rng.choice(wide, count, replace=False, p=share) if count else ():
        colors = measure_footage_colors(footage, rng.choice(closed, CLOSED_FRAMES), head)
        raster = rasterize_mesh(
            footage.vertices[row], head.faces, footage.window_size, footage.window_size
        )
        inside = np.argwhere(head.mouth_filling[0][raster.face_id] & raster.coverage)
        if not len(inside):
            continue
        inside = inside[rng.permutation(len(inside))[:PIXELS_PER_FRAME]]
        opening = MouthOpening.from_ring(rings[row])
        points = opening.to_axes((inside[:, ::-1] + 0.5) * (2 / footage.window_size) - 1)
        described = CavityPoints.from_opening(opening, points, eyes[row])
        image = gaussian_filter(footage.images[row].astype(np.float32), (BLUR_PX, BLUR_PX, 0))
        features.append(cavity_features(described, colors))
        lips.append(np.broadcast_to(np.maximum(colors.lower_lip, 4) / 255, (len(inside), 3)))
        truth.append(image[inside[:, 0], inside[:, 1]] / 255)
    if not features:
        empty = np.zeros((0, 3), np.float32)
        return np.zeros((0, 24), np.float32), empty, empty
    return tuple(np.concatenate(part).astype(np.float32) for part in (features, lips, truth))  # type: ignore[return-value]


def fit_network(
    features: NDArray, lips: NDArray, truth: NDArray, people: NDArray, train: NDArray
) -> tuple[dict[str, NDArray[np.float32]], NDArray]:
    """Fit the network to the people of ``train``; its arrays, and every example's error [N]."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    chosen = np.isin(people, train)
    mean, deviation = features[chosen].mean(0), features[chosen].std(0) + 1e-3
    x = torch.from_numpy((features - mean) / deviation)
    lip, goal = torch.from_numpy(lips), torch.from_numpy(truth)
    rows = [np.nonzero(people == person)[0] for person in train]
    network = nn.Sequential(
        nn.Linear(x.shape[1], HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, HIDDEN), nn.SiLU(),
        nn.Linear(HIDDEN, 3),
    )  # fmt: skip
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, STEPS)
    noise = torch.zeros(x.shape[1])
    noise[NOISY_FROM:] = FEATURE_NOISE

    def predict(picked: NDArray | slice, noisy: torch.Tensor) -> torch.Tensor:
        return lip[picked] * torch.exp(0.5 * network(noisy) - 0.5)

    for _ in range(STEPS):
        picked = np.concatenate([rng.choice(r, PIXELS_PER_PERSON) for r in rows])
        output = predict(picked, x[picked] + torch.randn(len(picked), x.shape[1]) * noise)
        loss = (output - goal[picked]).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        error = (predict(slice(None), x).clamp(0, 1) - goal).abs().mean(1).numpy()
    layers = [layer for layer in network if isinstance(layer, nn.Linear)]
    arrays = {"mean": mean, "deviation": deviation}
    for index, layer in enumerate(layers):
        arrays[f"weight{index}"] = layer.weight.detach().numpy()
        arrays[f"bias{index}"] = layer.bias.detach().numpy()
    return {k: np.ascontiguousarray(v, np.float32) for k, v in arrays.items()}, error


def mean_over_people(error: NDArray, people: NDArray, chosen: Sequence[int] | NDArray) -> float:
    """Average errors over people, all people counting the same."""
    return float(np.mean([error[people == person].mean() for person in chosen]))


def main(arguments: list[str] | None = None) -> int:
    """Fit and write the network; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="what `dubfew prior prepare --split train` wrote")
    parser.add_argument("--out", type=Path, default=CAVITY_FILE, help="default %(default)s")
    parser.add_argument("--folds", type=int, default=0, help="tell the error on people left out")
    options = parser.parse_args(arguments)
    head, rng = load_head_model(), np.random.default_rng(0)
    clips = [c for c in open_prepared_clips(options.data) if c[1].get("weights_may_ship")]
    names = sorted({str(header["identity"]) for _, header in clips})
    parts, labels = [], []
    for footage, header in clips:
        parts.append(collect_examples(footage, head, rng))
        labels.append(np.full(len(parts[-1][0]), names.index(str(header["identity"]))))
    features, lips, truth = (np.concatenate(column) for column in zip(*parts, strict=True))
    people = np.concatenate(labels)
    present = np.unique(people)
    print(f"{len(present)} people, {len(features)} places")
    by_lip = mean_over_people(abs(lips - truth).mean(1), people, present)
    print(f"color of the lips: error {by_lip:.4f}")
    if options.folds:
        errors = []
        for fold in np.array_split(rng.permutation(present), options.folds):
            rest = np.setdiff1d(present, fold)
            _, error = fit_network(features, lips, truth, people, rest)
            errors.append(
                (mean_over_people(error, people, rest), mean_over_people(error, people, fold))
            )
        known, unknown = np.mean(errors, 0)
        print(f"people in {options.folds} turns: error {known:.4f} known, {unknown:.4f} left out")
        return 0
    arrays, error = fit_network(features, lips, truth, people, present)
    print(f"error {mean_over_people(error, people, present):.4f}")
    metadata = {"people": str(len(present)), "clips": str(len(clips))}
    save_file(arrays, options.out, metadata=metadata)
    return 0


if __name__ == "__main__":
    sys.exit(main())
