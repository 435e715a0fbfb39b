"""What the window-level benchmarks share: footage made ready once, and pictures judged.

*Window level* means: the windows that the network works in (160 px for ``lite``), cut and aligned
as ``dubfew adapt`` does, rendered as ``dubfew render --drive self`` does (mesh aligned with the
very frame, 48 stored references of the known frames, detail restored, soft mask), but neither
enlarged to the video's resolution nor encoded. It is many times cheaper than the product, whose
figures `benchmarks.reenact` takes.

Every measure is `dubfew.evaluate`'s, taken in the box of the lips, enlarged by 40 %.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.common import show
from dubfew.adapt.pipeline import NUM_STORED_REFERENCES
from dubfew.data.footage_io import load_footage, save_footage
from dubfew.data.samples import TrainingSample, collate_samples, make_sample
from dubfew.errors import DubfewError
from dubfew.evaluate.metrics import METRICS
from dubfew.prior.checkpoint import Prior, renderer_config_to_dict
from dubfew.prior.renderers import BlendFields, make_renderer
from dubfew.reconstruction.heads.head_model import HeadModel, load_head_model
from dubfew.reconstruction.tracking import track_video
from dubfew.references.alignment import ALIGNMENT_REFERENCES as ALIGNED_WITH
from dubfew.references.alignment import align_footage, align_vertices
from dubfew.references.cropping import load_clip_footage
from dubfew.references.detail import local_detail_energy, restore_high_frequencies
from dubfew.references.footage import Footage
from dubfew.references.inputs import RenderInputs, make_footage_inputs
from dubfew.references.selection import farthest_point_sampling
from dubfew.references.warping import sample_references, warp_references

# As many as `benchmarks.reenact` knows of a clip at 25 fps; half of a shorter clip.
KNOWN = 100
TESTS = 24
# The tail is the same however much of the clip is known: this share of it, at most so many frames.
TAIL_SHARE, TAIL_MOST = 0.2, 32
# Known frames this near to the tail would show it.
GAP = 5
# `dubfew.references.detail` in windows, where a pixel is what the product restores at.
DETAIL_SCALE = 1

MEASURES = {
    "psnr": METRICS["psnr_mouth"].measure,
    "ssim": METRICS["ssim_mouth"].measure,
    "sharpness": METRICS["sharpness"].measure,
}
Figures = dict[str, float]
# (footage, wanted row, rows to choose from) -> rows that may be references
Choose = Callable[[Footage, int, NDArray], NDArray]
Edit = Callable[[RenderInputs], RenderInputs]


@dataclass(frozen=True)
class Variant:
    """What is different from the product, one thing at a time.

    Attributes:
        label: for tables.
        patches: dotted name of something in dubfew -> what stands in for it.
        choose: narrows the rows that may be references.
        edit: changes what the renderer sees.
        aligns: meshes are laid on their pictures.
        restores: fine detail is given back after blending.
        prior: starts from the trained prior, else from an untrained network.
        method: another than asked for.
        mixed: goes on seeing other people while learning; None as the product does.
    """

    label: str
    patches: dict[str, object] | None = None
    choose: Choose | None = None
    edit: Edit | None = None
    aligns: bool = True
    restores: bool = True
    prior: bool = True
    method: str | None = None
    mixed: bool | None = None

    def make_sample(
        self, footage: Footage, row: int, bank: NDArray, *rest: object, **named: object
    ) -> TrainingSample:
        """Stands in for `dubfew.data.samples.make_sample`."""
        if not named.get("align_mesh", True):
            # A person of the replay set, who is the same in every variant.
            return make_sample(footage, row, bank, *rest, **named)  # type: ignore[arg-type]
        rows = self.choose(footage, row, bank) if self.choose else bank
        made = make_sample(footage, row, rows, *rest, **named)  # type: ignore[arg-type]
        return replace(made, inputs=self.edit(made.inputs)) if self.edit else made


class Shelf:
    """Footage of clips, tracked, cut and aligned once and kept in a folder.

    Args:
        folder: where it is kept.
        size: edge of the windows, px.
        prepared: folder of clips' footage as `save_footage` writes it (``CLIP.safetensors``), taken
            instead of tracking anew: for trying things out. Where its meshes are aligned already,
            that was with all of the clip, tests included.
    """

    def __init__(self, folder: Path, size: int, prepared: Path | None = None) -> None:
        self.folder = folder
        self.size = size
        self.prepared = prepared
        self.head = load_head_model()
        self._raw: tuple[str, Footage] | None = None

    def raw(self, clip: Path) -> Footage:
        """Every window of a clip, meshes as the landmarks have them."""
        if self._raw is None or self._raw[0] != clip.name:
            self._raw = (clip.name, self._load(clip))
        return self._raw[1]

    def _load(self, clip: Path) -> Footage:
        if self.prepared is not None:
            return self._fitting(load_footage(self.prepared / f"{clip.name}.safetensors")[0])
        path = self._path(clip, "raw")
        if not path.exists():
            track = track_video(clip, head=self.head, progress=show)
            made = load_clip_footage(clip, track, self.head, window_size=self.size, progress=show)
            save_footage(path, made, {"file": clip.name})
        return load_footage(path)[0]

    def _fitting(self, footage: Footage) -> Footage:
        if footage.window_size != self.size:
            raise DubfewError(
                f"prepared footage is {footage.window_size} px wide, the prior wants {self.size}: "
                "leave "
                "--prepared out"
            )
        return footage

    def known(self, clip: Path, count: int) -> Footage:
        """The first frames of a clip, aligned with each other alone, as ``adapt`` has them."""
        path = self._path(clip, f"known-{count}")
        if not path.exists():
            first = self.raw(clip).select_frames(range(count))
            save_footage(path, align_footage(first, self.head, progress=show), {"file": clip.name})
        return load_footage(path)[0]

    def _path(self, clip: Path, what: str) -> Path:
        kind = "prepared" if self.prepared is not None else "tracked"
        return self.folder / "footage" / f"{clip.name}-{kind}-{self.size}-{what}.safetensors"


@dataclass(frozen=True)
class Scene:
    """A clip cut into what is known of an actor and what is to be rendered.

    Attributes:
        footage: the whole clip; the first ``count`` frames are known.
        count: how many are known.
        tests: rows of test frames.
        bank: rows of the references that ``adapt`` would store.
    """

    footage: Footage
    count: int
    tests: NDArray[np.int64]
    bank: NDArray[np.int64]

    @property
    def known(self) -> Footage:
        """What an actor is learned from."""
        return self.footage.select_frames(range(self.count))


def default_known(frames: int) -> int:
    """How many frames of a clip are known unless asked otherwise."""
    return min(KNOWN, frames // 2)


def tail_start(frames: int) -> int:
    """First frame of the clip's tail."""
    return frames - min(int(frames * TAIL_SHARE), TAIL_MOST)


def most_known(frames: int) -> int:
    """So many frames can be known and the tail still be tested."""
    return tail_start(frames) - GAP


def spread_rows(start: int, stop: int, count: int) -> NDArray[np.int64]:
    """At most ``count`` rows spread over start <= row < stop."""
    return np.unique(np.linspace(start, stop - 1, min(count, stop - start)).astype(np.int64))


def scene(
    shelf: Shelf, clip: Path, count: int, variant: Variant, *, tail: bool, tests: int = TESTS
) -> Scene:
    """Cut a clip after ``count`` known frames.

    Args:
        shelf: has its footage.
        clip: which.
        count: how many frames are known.
        variant: says whether meshes are aligned.
        tail: test in the clip's tail alone, else in everything after the known part.
        tests: how many test frames.

    Raises:
        DubfewError: too much is known for any test to remain.
    """
    footage = shelf.raw(clip)
    if count > most_known(len(footage)):
        raise DubfewError(
            f"{clip.name} has {len(footage)} frames: with {count} known too few are left to test"
        )
    start = tail_start(len(footage)) if tail else count
    rows = spread_rows(start, len(footage), tests)
    bank = farthest_point_sampling(footage.key[:count], NUM_STORED_REFERENCES)
    if variant.aligns:
        vertices = footage.vertices.copy()
        vertices[:count] = shelf.known(clip, count).vertices
        footage = replace(footage, vertices=vertices)
        # Rendering aligns a frame twice; the second time is in `make_sample`.
        for row in rows:
            vertices[row] = _aligned_once(footage, row, bank, shelf.head)
    return Scene(footage, count, rows, bank)


def _aligned_once(
    footage: Footage, row: int, bank: NDArray, head: HeadModel
) -> NDArray[np.float32]:  # [V, 3]
    inputs = make_footage_inputs(footage, row, footage.vertices[row], bank, ALIGNED_WITH, head)
    seen = torch.from_numpy(footage.images[row]).permute(2, 0, 1)[None] / 255
    return align_vertices(inputs, seen, footage.vertices[row][None])[0]


def batch_of(cut: Scene, variant: Variant, head: HeadModel, references: int) -> TrainingSample:
    """The test frames as one batch, as rendering would see them."""
    return collate_samples(
        [
            variant.make_sample(cut.footage, int(row), cut.bank, head, references)
            for row in cut.tests
        ]
    )


def untrained(prior: Prior, seed: int = 0) -> Prior:
    """A network of the same architecture that has learnt nothing: it renders the bare warp."""
    torch.manual_seed(seed)
    renderer = make_renderer(prior.renderer_name, renderer_config_to_dict(prior.renderer))
    return Prior(renderer.eval(), prior.renderer_name, torch.zeros_like(prior.texture), prior.head)


@torch.no_grad()
def rendered(
    renderer: nn.Module, texture: nn.Module, batch: TrainingSample, *, restores: bool = True
) -> NDArray[np.uint8]:  # [B, S, S, 3]
    """Test frames with their mouths painted.

    Args:
        renderer: a `Renderer`.
        texture: a `NeuralTexture`.
        batch: the frames.
        restores: give back fine detail.
    """
    inputs = batch.inputs
    sampled = texture(inputs.actor_index, inputs.uv, inputs.mesh_mask[:, 0] > 0)
    fields = renderer.predict_fields(inputs, sampled, warp_references(inputs))
    picture = drawn(fields, inputs, restores=restores).clamp(0, 1)
    return pixels(inputs.alpha * picture + (1 - inputs.alpha) * batch.target)


def judged(output: NDArray[np.uint8], batch: TrainingSample) -> Figures:
    """Test frames compared with the truth."""
    return compared(pixels(batch.target), output, boxes_of(batch))


def boxes_of(batch: TrainingSample) -> NDArray[np.int64]:
    """The lips' boxes in whole px, inside the window: left, top, right, bottom. [B, 4]"""
    size = batch.target.shape[-1]
    mouth = batch.mouth_box.cpu().numpy()
    low = np.clip(np.floor(mouth[:, :2]), 0, size - 1)
    return np.concatenate([low, np.clip(np.ceil(mouth[:, 2:]), 1, size)], 1).astype(np.int64)


def drawn(fields: BlendFields, inputs: RenderInputs, *, restores: bool) -> Tensor:
    """The fields over references of the window's own size, sampled and sharpened as
    `dubfew.render.compositing` does at the video's size. [B, 3, S, S]"""
    where = inputs.sampling_grid + fields.offsets
    colours = sample_references(inputs.references, where, "bicubic") + fields.color_correction
    shares = fields.blend_weights[:, : where.shape[1], None]
    picture = (
        (shares * colours).sum(1)
        + fields.blend_weights[:, -1:] * fields.background_fill
        + fields.residual
    )
    if not restores:
        return picture
    energies = local_detail_energy(inputs.references.flatten(0, 1), DETAIL_SCALE)
    energy = sample_references(energies.unflatten(0, inputs.references.shape[:2]), where)
    return restore_high_frequencies(picture, (shares * energy).sum(1), DETAIL_SCALE)


def compared(
    truth: NDArray[np.uint8],  # [B, S, S, 3]
    output: NDArray[np.uint8],  # [B, S, S, 3]
    boxes: NDArray[np.int64],  # [B, 4]
) -> Figures:
    """Figures of windows in the lips' boxes."""
    pairs = [
        (a[top:bottom, left:right], b[top:bottom, left:right])
        for a, b, (left, top, right, bottom) in zip(truth, output, boxes, strict=True)
    ]
    return {
        name: measure.aggregate(np.array([measure.function(a, b) for a, b in pairs]))
        for name, measure in MEASURES.items()
    }


def mean_figures(figures: Iterable[Figures]) -> Figures:
    """Mean of several clips' figures."""
    many = list(figures)
    return {name: float(np.mean([f[name] for f in many])) for name in many[0]} if many else {}


def pixels(pictures: Tensor) -> NDArray[np.uint8]:
    """[B, 3, S, S] in [0, 1] -> [B, S, S, 3]"""
    scaled = pictures.permute(0, 2, 3, 1).cpu().numpy() * 255
    return np.asarray((scaled + 0.5).astype(np.uint8))
