"""Prepared footage of many people, and training samples drawn from it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from torch import Tensor
from torch.utils.data import Dataset

from dubfew.errors import ArtefactError, DubfewError
from dubfew.files import sha256_file, write_atomic
from dubfew.prior.align import align_footage, aligned
from dubfew.prior.footage import Footage, clip_footage
from dubfew.prior.inputs import RenderInputs, row_inputs, stack
from dubfew.progress import Progress, ProgressCallback, silent
from dubfew.reconstruction.head import HeadModel, load_head
from dubfew.reconstruction.points import (
    CHEEKS,
    CHIN,
    INNER_LIPS,
    JAW_LINE,
    MOUTH_POINTS,
    OUTER_LIPS,
)
from dubfew.reconstruction.tracking import track_video

FORMAT_VERSION = 1
ARRAYS = ("images", "vertices", "hulls", "key", "motion", "frames")
# A reference in training is at least this many frames away from its target, or it would be
# nearly the target itself, which rendering never has.
NEIGHBOURS = 10
# So often a person is seen as a new actor would be, with the unwrapped colours alone: otherwise
# the network leans on learned features that a new actor lacks.
NEW_ACTORS = 0.5


@dataclass(frozen=True)
class Sample:
    """Inputs, the true windows and the lips' boxes of a batch.

    Attributes:
        inputs: what the renderer sees.
        truth: RGB windows in [0, 1]. [B, 3, S, S]
        mouth: box of the lips, left, top, right, bottom, px. [B, 4]
        fresh: True where training shows the person as a new actor, whose texture has nothing
            learned in it yet. [B]
    """

    inputs: RenderInputs
    truth: Tensor
    mouth: Tensor
    fresh: Tensor

    def to(self, device: torch.device | str) -> Sample:
        """The same batch on another device."""
        return Sample(*(getattr(self, f.name).to(device) for f in fields(self)))


def collate(samples: Sequence[Sample]) -> Sample:
    """Several samples as one batch."""
    return Sample(
        stack([s.inputs for s in samples]),
        torch.cat([s.truth for s in samples]),
        torch.cat([s.mouth for s in samples]),
        torch.cat([s.fresh for s in samples]),
    )


def make_sample(
    footage: Footage,
    row: int,
    bank: NDArray,
    head: HeadModel,
    references: int,
    actor: int = 0,
) -> Sample:
    """One frame as a sample, its references the nearest among the rows ``bank``.

    The mesh is aligned with what the frame shows: no network can learn to undo the errors of
    landmarks, and trying to only makes its pictures soft.
    """
    truth = torch.from_numpy(footage.images[row]).permute(2, 0, 1).float()[None] / 255
    inputs = row_inputs(footage, row, footage.vertices[row], bank, references, head, actor)
    vertices = aligned(inputs, truth, footage.vertices[row][None])[0]
    inputs = row_inputs(footage, row, vertices, bank, references, head, actor)
    mouth = torch.from_numpy(mouth_box(footage.vertices[row], head))[None]
    return Sample(inputs, truth, mouth, torch.tensor([True]))


def mouth_box(vertices: NDArray[np.float32], head: HeadModel) -> NDArray[np.float32]:
    """Box of the lips in window px, enlarged by 40 %: left, top, right, bottom. [4]"""
    lips = head.points(OUTER_LIPS) @ vertices[:, :2]
    low, high = lips.min(0), lips.max(0)
    centre, half = (low + high) / 2, (high - low) / 2 * 1.4
    return np.concatenate([centre - half, centre + half]).astype(np.float32)


def _mirrored_points() -> list[int]:
    """Row of each mouth point's mirror image. [P]"""
    ring = [*range(10, -1, -1), *range(19, 10, -1)]
    order = ring + [20 + i for i in ring]
    start = len(OUTER_LIPS) + len(INNER_LIPS)
    order += [start + i for i in reversed(range(len(JAW_LINE)))]
    start += len(JAW_LINE)
    order += [start + i for i in range(len(CHIN))]
    start += len(CHIN)
    order += [start + (i ^ 1) for i in range(len(CHEEKS))]
    return order


_MIRROR = torch.tensor(_mirrored_points())


def mirrored(sample: Sample) -> Sample:
    """The sample seen in a mirror; the neural texture is looked up where it was."""
    i = sample.inputs
    flip = torch.tensor([-1.0, 1.0])
    motion = i.motion.view(*i.motion.shape[:2], len(MOUTH_POINTS), 3)[:, :, _MIRROR]
    inputs = replace(
        i,
        target=i.target.flip(-1),
        alpha=i.alpha.flip(-1),
        covered=i.covered.flip(-1),
        uv=i.uv.flip(2),
        references=i.references.flip(-1),
        places=i.places.flip(3) * flip,
        motion=(motion * torch.tensor([-1.0, 1.0, 1.0])).flatten(2),
    )
    size = i.target.shape[-1]
    box = sample.mouth
    mouth = torch.stack([size - box[:, 2], box[:, 1], size - box[:, 0], box[:, 3]], 1)
    return replace(sample, inputs=inputs, truth=sample.truth.flip(-1), mouth=mouth)


def tinted(sample: Sample, rng: np.random.Generator) -> Sample:
    """Another camera's colours for the whole sample, slightly other light on the references."""

    def tint(spread: float) -> tuple[Tensor, Tensor]:
        gain = 1 + spread * rng.standard_normal(3) + spread * rng.standard_normal()
        shift = 0.5 * spread * rng.standard_normal(3)
        return (
            torch.tensor(gain, dtype=torch.float32).view(3, 1, 1),
            torch.tensor(shift, dtype=torch.float32).view(3, 1, 1),
        )

    i = sample.inputs
    gain, shift = tint(0.08)
    own_gain, own_shift = tint(0.02)
    outside = (i.alpha <= 0).float()
    return replace(
        sample,
        inputs=replace(
            i,
            target=(i.target * gain + shift).clamp(0, 1) * outside,
            references=(i.references * gain * own_gain + shift + own_shift).clamp(0, 1),
        ),
        truth=(sample.truth * gain + shift).clamp(0, 1),
    )


class PeopleDataset(Dataset[Sample]):
    """Training samples over many people; item ``i`` is the same in every run with that seed."""

    def __init__(
        self,
        people: Sequence[Footage],
        length: int,
        *,
        references: int,
        seed: int = 0,
        start: int = 0,
        actors: Sequence[int] | None = None,
        augment: bool = True,
    ) -> None:
        self.people = people
        self.length = length
        self.references = references
        self.seed = seed
        self.start = start
        self.actors = actors if actors is not None else range(len(people))
        self.augment = augment
        self.head = load_head()
        # A longer clip shows more of its actor, but not in proportion.
        share = np.sqrt([len(p) for p in people])
        self.share = share / share.sum()

    def __len__(self) -> int:
        return self.length - self.start

    def __getitem__(self, index: int) -> Sample:
        rng = np.random.default_rng((self.seed, self.start + index))
        person = int(rng.choice(len(self.people), p=self.share))
        footage = self.people[person]
        row = int(rng.integers(len(footage)))
        far = np.nonzero(np.abs(footage.frames - footage.frames[row]) >= NEIGHBOURS)[0]
        # Often few references, so that none shows what is wanted.
        bank = rng.permutation(far)[: round(float(np.exp(rng.uniform(*np.log((2, 64))))))]
        sample = make_sample(footage, row, bank, self.head, self.references, self.actors[person])
        if not self.augment:
            return sample
        sample = replace(sample, fresh=torch.tensor([bool(rng.random() < NEW_ACTORS)]))
        if rng.random() < 0.5:
            sample = mirrored(sample)
        return tinted(sample, rng)


def save_footage(path: Path, footage: Footage, header: Mapping[str, Any]) -> None:
    """Store prepared footage."""
    arrays = {name: np.ascontiguousarray(getattr(footage, name)) for name in ARRAYS}
    text = json.dumps({"format_version": FORMAT_VERSION, **header})
    write_atomic(path, save(arrays, metadata={"dubfew.footage": text}))


def load_footage(path: Path) -> tuple[Footage, dict[str, Any]]:
    """Read prepared footage and its header.

    Raises:
        ArtefactError: not prepared footage.
    """
    try:
        with safe_open(str(path), framework="numpy") as file:
            header = json.loads((file.metadata() or {})["dubfew.footage"])
            footage = Footage(**{name: file.get_tensor(name) for name in ARRAYS})
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise ArtefactError(
            f"{path} is not prepared footage: make it with `dubfew prior prepare`"
        ) from error
    return footage, header


@dataclass(frozen=True)
class Prepared:
    """What `prepare` did.

    Attributes:
        clips: files that were written.
        failed: reason for each clip that was skipped.
    """

    clips: list[Path]
    failed: dict[str, str]


VIDEO_SUFFIXES = {".mp4", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".m4v"}


def prepare(
    folder: Path,
    out: Path,
    *,
    size: int = 160,
    split: str = "train",
    progress: ProgressCallback = silent,
) -> Prepared:
    """Turn a folder of videos into prepared footage, one file per clip; resumable.

    With a ``manifest.json`` in the folder only clips of that ``split`` are taken, and for the
    training split only those whose ``weights_may_ship`` is true; without one, every video.

    Args:
        folder: of videos.
        out: where the prepared files go.
        size: edge of the windows, px.
        split: which part of a manifest.
        progress: told after each clip.

    Raises:
        DubfewError: the folder holds no such clip.
    """
    entries = _entries(folder, split)
    if not entries:
        raise DubfewError(
            f"no clip to prepare in {folder}: put videos there, or check its manifest"
        )
    head = load_head()
    written: list[Path] = []
    failed: dict[str, str] = {}
    for count, entry in enumerate(entries):
        path, target = folder / entry["file"], out / (entry["file"] + ".safetensors")
        if not target.exists():
            try:
                track = track_video(path, head=head)
                footage = align_footage(clip_footage(path, track, head, size=size), head)
            except DubfewError as error:
                failed[entry["file"]] = str(error)
                continue
            header = {**entry, "sha256": sha256_file(path), "head": head.name}
            save_footage(target, footage, header)
        written.append(target)
        progress(Progress("prepare", count + 1, len(entries)))
    return Prepared(written, failed)


def _entries(folder: Path, split: str) -> list[dict[str, Any]]:
    manifest = folder / "manifest.json"
    if not manifest.exists():
        files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES)
        return [{"file": str(p.relative_to(folder)), "split": split} for p in files]
    entries = [e for e in json.loads(manifest.read_text()) if e["split"] == split]
    return [e for e in entries if split != "train" or e["weights_may_ship"]]
