"""Fit ``dubfew/references/mouth_cavity.safetensors``: parts behind the lips, from many people.

    python -m tools.fit_mouth_cavity DATA [--out FILE] [--folds N]

DATA is what ``dubfew prior prepare --split train`` wrote. Only clips whose license lets weights
ship are used. Of every clip the frames with open lips are the examples; the colors around the mouth
are measured in frames with closed or less open lips, as they are of an actor who never opened the
mouth as wide. All people count the same. With ``--folds`` the tool tells the error on people left
out and writes nothing.
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
from skimage.color import xyz_tristimulus_values
from skimage.color.colorconv import xyz_from_rgb
from torch import nn

from dubfew.data.shards import open_prepared_clips
from dubfew.reconstruction.heads.head_model import HeadModel, load_head_model
from dubfew.reconstruction.rasterizer.raster import rasterize_mesh
from dubfew.references.cavity_parts import (
    CAVITY_FILE,
    DARKEST_LEVEL,
    PART_COUNT,
    PART_SPREAD,
    STARTING_COLORS,
    CavityPoints,
    cavity_features,
)
from dubfew.references.footage import Footage
from dubfew.references.inputs import measure_footage_colors
from dubfew.references.mouth_opening import MouthOpening

# Opening of the middle of the lips from which a frame is an example, in inter-ocular distances.
LEAST_OPENING = 0.045
# Frames of a clip, pixels of a frame, and frames that the colors are measured in.
FRAMES_PER_CLIP, PIXELS_PER_FRAME, COLOR_FRAMES = 60, 150, 12
# Opening up to which lips are closed. A part of the examples is seen by actors who showed nothing
# else, the others by actors whose openings reached some part of the example's.
CLOSED_UP_TO, CLOSED_EXAMPLES, OPEN_PART = 0.03, 0.35, (0.2, 0.95)
# Width of the hidden layers. 24 and 64 do as well on people left out, and so do four networks.
HIDDEN = 48
# Noise on the features of place and of shape and color, in standard deviations: there are few
# people. It begins at this feature.
PLACE_NOISE, COLOR_NOISE, COLOR_FROM = 0.05, 0.7, 8
# More steps fit these people better and others worse.
STEPS, PIXELS_PER_PERSON, LEARNING_RATE, WEIGHT_DECAY = 900, 64, 3e-3, 1e-2


def collect_examples(
    footage: Footage, head: HeadModel, rng: np.random.Generator
) -> tuple[NDArray, NDArray, NDArray]:
    """Collect features [N, F], lip colors [N, 3] and true colors [N, 3] of a clip, 0 to 1."""
    rings = footage.project_points(np.arange(len(footage)), head.inner_lip_matrix)
    eyes = [head.measure_eye_distance(v) * 2 / footage.window_size for v in footage.vertices[:]]
    openings = np.linalg.norm(rings[:, 4:7] - rings[:, [16, 15, 14]], axis=-1).mean(1) / eyes
    wide = np.nonzero(openings > LEAST_OPENING)[0]
    features, lips, truth = [], [], []
    count = min(FRAMES_PER_CLIP, len(wide))
    share = openings[wide] / openings[wide].sum()
    for row in rng.choice(wide, count, replace=False, p=share) if count else ():
        limit = openings[row] * rng.uniform(*OPEN_PART)
        if rng.random() < CLOSED_EXAMPLES:
            limit = CLOSED_UP_TO
        known = np.nonzero(openings <= limit)[0]
        if len(known) < COLOR_FRAMES:
            known = np.argsort(openings)[:COLOR_FRAMES]
        picked = rng.choice(known, COLOR_FRAMES)
        colors = measure_footage_colors(footage, picked, head, inside=False)
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
        features.append(cavity_features(described, colors))
        lip = np.maximum(colors.lower_lip, DARKEST_LEVEL) / 255
        lips.append(np.broadcast_to(lip, (len(inside), 3)))
        truth.append(footage.images[row][inside[:, 0], inside[:, 1]] / 255)
    if not features:
        empty = np.zeros((0, 3), np.float32)
        return np.zeros((0, 24), np.float32), empty, empty
    return tuple(np.concatenate(part).astype(np.float32) for part in (features, lips, truth))  # type: ignore[return-value]


def fit_network(
    features: NDArray, lips: NDArray, truth: NDArray, people: NDArray, train: NDArray
) -> tuple[dict[str, NDArray[np.float32]], NDArray]:
    """Fit the network to the people of ``train``; its arrays, and every example's loss [N]."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    chosen = np.isin(people, train)
    mean, deviation = features[chosen].mean(0), features[chosen].std(0) + 1e-3
    x = torch.from_numpy((features - mean) / deviation)
    lip, goal = torch.from_numpy(lips), torch.from_numpy(truth)
    rows = [np.nonzero(people == person)[0] for person in train]
    network = nn.Sequential(
        nn.Linear(x.shape[1], HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, HIDDEN), nn.SiLU(),
        nn.Linear(HIDDEN, 4 * PART_COUNT),
    )  # fmt: skip
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, STEPS)
    noise = torch.full((x.shape[1],), PLACE_NOISE)
    noise[COLOR_FROM:] = COLOR_NOISE

    def compute_loss(picked: NDArray | slice, noisy: torch.Tensor) -> torch.Tensor:
        output = network(noisy)
        logs = 0.5 * output[:, PART_COUNT:].view(-1, PART_COUNT, 3) + torch.from_numpy(
            STARTING_COLORS
        )
        colors = (lip[picked][:, None] * torch.exp(logs)).clamp(0, 1)
        apart = torch.stack(
            [color_difference(colors[:, k], goal[picked]) for k in range(PART_COUNT)], 1
        )
        likelihood = output[:, :PART_COUNT].log_softmax(1) - apart / PART_SPREAD
        return -PART_SPREAD * likelihood.logsumexp(1)

    for _ in range(STEPS):
        picked = np.concatenate([rng.choice(r, PIXELS_PER_PERSON) for r in rows])
        loss = compute_loss(picked, x[picked] + torch.randn(len(picked), x.shape[1]) * noise).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        error = compute_loss(slice(None), x).numpy()
    layers = [layer for layer in network if isinstance(layer, nn.Linear)]
    arrays = {"mean": mean, "deviation": deviation}
    for index, layer in enumerate(layers):
        arrays[f"weight{index}"] = layer.weight.detach().numpy()
        arrays[f"bias{index}"] = layer.bias.detach().numpy()
    return {k: np.ascontiguousarray(v, np.float32) for k, v in arrays.items()}, error


def color_difference(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Compute the CIE94 difference of colors; chroma and hue are weighted by the second's. [N]

    Args:
        first: RGB, 0 to 1. [N, 3]
        second: RGB, 0 to 1. [N, 3]
    """
    apart = _to_lab(first) - (goal := _to_lab(second))
    # A little is added below each root: its gradient at 0 is infinite.
    chroma = (goal[:, 1:].square().sum(1) + 1e-4).sqrt()
    chroma_apart = (((apart + goal)[:, 1:]).square().sum(1) + 1e-4).sqrt() - chroma
    hue_apart = (apart[:, 1:].square().sum(1) - chroma_apart.square()).clamp(min=0)
    return (
        apart[:, 0].square()
        + (chroma_apart / (1 + 0.045 * chroma)).square()
        + hue_apart / (1 + 0.015 * chroma).square()
        + 1e-2
    ).sqrt()


def _to_lab(colors: torch.Tensor) -> torch.Tensor:
    """Convert sRGB, 0 to 1, to CIELAB under D65, as `skimage.color.rgb2lab` does. [N, 3]"""
    colors = colors.clamp(1e-4, 1)
    linear = torch.where(colors > 0.04045, ((colors + 0.055) / 1.055) ** 2.4, colors / 12.92)
    matrix = torch.tensor(xyz_from_rgb, dtype=colors.dtype)
    white = torch.tensor(xyz_tristimulus_values(illuminant="D65", observer="2", dtype=float))
    xyz = linear @ matrix.T / white.to(colors.dtype)
    root = torch.where(xyz > 0.008856, xyz.clamp(min=1e-4) ** (1 / 3), 7.787 * xyz + 16 / 116)
    x, y, z = root.unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)


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
    if options.folds:
        errors = []
        for fold in np.array_split(rng.permutation(present), options.folds):
            rest = np.setdiff1d(present, fold)
            _, error = fit_network(features, lips, truth, people, rest)
            errors.append(
                (mean_over_people(error, people, rest), mean_over_people(error, people, fold))
            )
        known, unknown = np.mean(errors, 0)
        print(f"people in {options.folds} turns: loss {known:.2f} known, {unknown:.2f} left out")
        return 0
    arrays, error = fit_network(features, lips, truth, people, present)
    print(f"loss {mean_over_people(error, people, present):.2f}")
    metadata = {"people": str(len(present)), "clips": str(len(clips))}
    save_file(arrays, options.out, metadata=metadata)
    return 0


if __name__ == "__main__":
    sys.exit(main())
