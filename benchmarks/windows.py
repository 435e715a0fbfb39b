"""Shared parts of the window-level benchmarks: cached footage, test frames, rendering, metrics.

*Window level* means the windows that the network works in (160 px for ``lite``). They are cut and
aligned as by ``dubfew adapt`` and rendered as by ``dubfew render --drive self`` (mesh aligned with
the frame itself, 48 stored references of the known frames, detail restored, soft mask), but neither
enlarged to the video's resolution nor encoded. That is many times cheaper than the product, which
`benchmarks.reenact` measures.

All metrics are those of `dubfew.evaluate`, in the box of the lips, enlarged by 40 %.
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
from dubfew.references.alignment import ALIGNMENT_REFERENCES, align_footage, align_vertices
from dubfew.references.cropping import load_clip_footage
from dubfew.references.detail import local_detail_energy, restore_high_frequencies
from dubfew.references.footage import Footage
from dubfew.references.inputs import RenderInputs, make_footage_inputs
from dubfew.references.selection import farthest_point_sampling, spread_rows
from dubfew.references.warping import sample_references, warp_references

# Known frames unless asked otherwise: as many as in `benchmarks.reenact` of a clip at 25 fps; half
# of a shorter clip.
NUM_KNOWN_FRAMES = 100
# Frames that are rendered and measured. More take longer and are less noisy.
NUM_TEST_FRAMES = 24
# Part of a clip that is its tail, and the most frames of it. The tail is the same however much of
# the clip is known.
TAIL_FRACTION, MAX_TAIL_FRAMES = 0.2, 32
# Frames between the known ones and the tail: nearer ones would nearly show it.
TAIL_GAP_FRAMES = 5
# Scale at which detail is restored, px per window px; the product restores at the video's scale.
WINDOW_DETAIL_SCALE = 1

# Metrics by the names that results have.
WINDOW_METRICS = {
    "psnr": METRICS["psnr_mouth"].measure,
    "ssim": METRICS["ssim_mouth"].measure,
    "sharpness": METRICS["sharpness"].measure,
}
# Value of each of `WINDOW_METRICS`.
WindowMetrics = dict[str, float]
# Takes footage, the target's row and rows to choose from; returns rows that may be references.
ChooseReferences = Callable[[Footage, int, NDArray], NDArray]
# Changes what the renderer sees.
EditInputs = Callable[[RenderInputs], RenderInputs]


@dataclass(frozen=True)
class Variant:
    """One difference from the product.

    Attributes:
        label: label in tables.
        patches: replacements by the dotted name of what they replace in dubfew.
        choose: narrows the rows that may be references.
        edit: changes what the renderer sees.
        aligns: whether meshes are aligned with their images.
        restores: whether fine detail is restored after blending.
        prior: whether training starts from the prior, or else from an untrained network.
        method: adaptation method instead of the one that was asked for.
        mixed: whether frames of other people are mixed in; None for the product's default.
    """

    label: str
    patches: dict[str, object] | None = None
    choose: ChooseReferences | None = None
    edit: EditInputs | None = None
    aligns: bool = True
    restores: bool = True
    prior: bool = True
    method: str | None = None
    mixed: bool | None = None

    def make_sample(
        self, footage: Footage, row: int, bank: NDArray, *rest: object, **named: object
    ) -> TrainingSample:
        """Make a sample with this variant's references and inputs, in place of `make_sample`.

        Args:
            footage: windows of the clip.
            row: the target.
            bank: rows that may be references. [M]
            *rest: further arguments of `make_sample`.
            **named: further arguments of `make_sample`.
        """
        if not named.get("align_mesh", True):
            # A person of the replay set, who is the same in every variant.
            return make_sample(footage, row, bank, *rest, **named)  # type: ignore[arg-type]
        rows = self.choose(footage, row, bank) if self.choose else bank
        made = make_sample(footage, row, rows, *rest, **named)  # type: ignore[arg-type]
        return replace(made, inputs=self.edit(made.inputs)) if self.edit else made


class FootageCache:
    """Footage of clips that is tracked, cut and aligned once and kept in a folder.

    Args:
        folder: folder of the cache.
        size: edge of the windows, px.
        prepared: folder of footage from `save_footage` (``CLIP.safetensors``), read instead of
            tracking the clips, to try things quickly. Aligned meshes in it were aligned with the
            whole clip, test frames included.
    """

    def __init__(self, folder: Path, size: int, prepared: Path | None = None) -> None:
        self.folder = folder
        self.size = size
        self.prepared = prepared
        self.head = load_head_model()
        self._raw: tuple[str, Footage] | None = None

    def raw(self, clip: Path) -> Footage:
        """Load all windows of a clip, meshes as fitted to the landmarks."""
        if self._raw is None or self._raw[0] != clip.name:
            self._raw = (clip.name, self._load(clip))
        return self._raw[1]

    def _load(self, clip: Path) -> Footage:
        """Read a clip's windows from the disk, or track the clip and store them."""
        if self.prepared is not None:
            return self._fitting(load_footage(self.prepared / f"{clip.name}.safetensors")[0])
        path = self._path(clip, "raw")
        if not path.exists():
            track = track_video(clip, head=self.head, progress=show)
            made = load_clip_footage(clip, track, self.head, window_size=self.size, progress=show)
            save_footage(path, made, {"file": clip.name})
        return load_footage(path)[0]

    def _fitting(self, footage: Footage) -> Footage:
        """Return footage whose windows have the right size, or raise."""
        if footage.window_size != self.size:
            raise DubfewError(
                f"prepared footage is {footage.window_size} px wide, the prior takes {self.size}: "
                "leave --prepared out"
            )
        return footage

    def known(self, clip: Path, count: int) -> Footage:
        """Load the first frames of a clip, aligned with each other alone, as ``adapt`` has them.

        Args:
            clip: the clip.
            count: number of frames.
        """
        path = self._path(clip, f"known-{count}")
        if not path.exists():
            first = self.raw(clip).select_frames(range(count))
            save_footage(path, align_footage(first, self.head, progress=show), {"file": clip.name})
        return load_footage(path)[0]

    def _path(self, clip: Path, what: str) -> Path:
        """Return the file of a clip in the cache."""
        kind = "prepared" if self.prepared is not None else "tracked"
        return self.folder / "footage" / f"{clip.name}-{kind}-{self.size}-{what}.safetensors"


@dataclass(frozen=True)
class ClipSplit:
    """A clip cut into known frames, which an actor is adapted to, and test frames.

    Attributes:
        footage: the whole clip; its first ``count`` frames are known.
        count: number of known frames.
        tests: rows of the test frames. [T]
        bank: rows of the references that ``adapt`` would store. [R]
    """

    footage: Footage
    count: int
    tests: NDArray[np.int64]
    bank: NDArray[np.int64]

    @property
    def known(self) -> Footage:
        """Return the known frames."""
        return self.footage.select_frames(range(self.count))


def default_known_frames(frames: int) -> int:
    """Return how many frames of a clip are known unless asked otherwise."""
    return min(NUM_KNOWN_FRAMES, frames // 2)


def tail_start(frames: int) -> int:
    """Return the first frame of a clip's tail."""
    return frames - min(int(frames * TAIL_FRACTION), MAX_TAIL_FRAMES)


def max_known_frames(frames: int) -> int:
    """Return how many frames can be known while the tail can still be tested."""
    return tail_start(frames) - TAIL_GAP_FRAMES


def split_clip(
    cache: FootageCache,
    clip: Path,
    count: int,
    variant: Variant,
    *,
    tail: bool,
    tests: int = NUM_TEST_FRAMES,
) -> ClipSplit:
    """Cut a clip into known frames and test frames.

    Args:
        cache: cache of the clip's footage.
        clip: the clip.
        count: number of known frames.
        variant: says whether meshes are aligned.
        tail: whether test frames are from the clip's tail, or else from all frames behind the known
            ones.
        tests: number of test frames.

    Raises:
        DubfewError: Too many frames are known for the tail to be tested.
    """
    footage = cache.raw(clip)
    if count > max_known_frames(len(footage)):
        raise DubfewError(
            f"{clip.name} has {len(footage)} frames: with {count} known too few are left to test"
        )
    start = tail_start(len(footage)) if tail else count
    rows = spread_rows(start, len(footage) - 1, tests)
    bank = farthest_point_sampling(footage.key[:count], NUM_STORED_REFERENCES)
    if variant.aligns:
        vertices = footage.vertices.copy()
        vertices[:count] = cache.known(clip, count).vertices
        footage = replace(footage, vertices=vertices)
        # Rendering aligns a frame twice; the second time is in `make_sample`.
        for row in rows:
            vertices[row] = _aligned_once(footage, row, bank, cache.head)
    return ClipSplit(footage, count, rows, bank)


def _aligned_once(
    footage: Footage, row: int, bank: NDArray, head: HeadModel
) -> NDArray[np.float32]:  # [V, 3]
    """Align the mesh of a test frame with its image, as the first of a render's two rounds."""
    inputs = make_footage_inputs(
        footage, row, footage.vertices[row], bank, ALIGNMENT_REFERENCES, head
    )
    seen = torch.from_numpy(footage.images[row]).permute(2, 0, 1)[None] / 255
    return align_vertices(inputs, seen, footage.vertices[row][None])[0]


def make_test_batch(
    cut: ClipSplit, variant: Variant, head: HeadModel, references: int
) -> TrainingSample:
    """Make one batch of the test frames, as a render would see them.

    Args:
        cut: the clip.
        variant: makes the samples.
        head: head model of the footage.
        references: references of each frame.
    """
    return collate_samples(
        [
            variant.make_sample(cut.footage, int(row), cut.bank, head, references)
            for row in cut.tests
        ]
    )


def make_untrained_prior(prior: Prior, seed: int = 0) -> Prior:
    """Make a prior of the same architecture with fresh weights, which renders the bare warp.

    Args:
        prior: prior with the architecture.
        seed: seed of the weights.
    """
    torch.manual_seed(seed)
    renderer = make_renderer(prior.renderer_name, renderer_config_to_dict(prior.renderer))
    return Prior(renderer.eval(), prior.renderer_name, torch.zeros_like(prior.texture), prior.head)


@torch.no_grad()
def render_windows(
    renderer: nn.Module, texture: nn.Module, batch: TrainingSample, *, restores: bool = True
) -> NDArray[np.uint8]:  # [B, S, S, 3]
    """Render test frames.

    Args:
        renderer: a `Renderer`.
        texture: a `NeuralTexture` of the actor.
        batch: test frames, B.
        restores: whether fine detail is restored.

    Returns:
        RGB of the whole windows. [B, S, S, 3]
    """
    inputs = batch.inputs
    sampled = texture(inputs.actor_index, inputs.uv, inputs.mesh_mask[:, 0] > 0)
    fields = renderer.predict_fields(inputs, sampled, warp_references(inputs))
    image = compose_windows(fields, inputs, restores=restores).clamp(0, 1)
    return to_uint8_images(inputs.alpha * image + (1 - inputs.alpha) * batch.target)


def measure_batch(output: NDArray[np.uint8], batch: TrainingSample) -> WindowMetrics:
    """Compare rendered test frames with their targets.

    Args:
        output: rendered windows. [B, S, S, 3]
        batch: test frames with their targets.
    """
    return measure_windows(to_uint8_images(batch.target), output, mouth_boxes(batch))


def mouth_boxes(batch: TrainingSample) -> NDArray[np.int64]:
    """Compute the lips' boxes in whole px, inside the window: left, top, right, bottom. [B, 4]"""
    size = batch.target.shape[-1]
    mouth = batch.mouth_box.cpu().numpy()
    low = np.clip(np.floor(mouth[:, :2]), 0, size - 1)
    return np.concatenate([low, np.clip(np.ceil(mouth[:, 2:]), 1, size)], 1).astype(np.int64)


def compose_windows(fields: BlendFields, inputs: RenderInputs, *, restores: bool) -> Tensor:
    """Compose images at the window's size, sampled and sharpened as a render does at the video's.

    Args:
        fields: fields that a renderer predicted.
        inputs: references and sampling grids of the batch.
        restores: whether fine detail is restored.

    Returns:
        RGB, not clamped. [B, 3, S, S]
    """
    grids = inputs.sampling_grid + fields.offsets
    colors = sample_references(inputs.references, grids, "bicubic") + fields.color_correction
    weights = fields.blend_weights[:, : grids.shape[1], None]
    image = (
        (weights * colors).sum(1)
        + fields.blend_weights[:, -1:] * fields.background_fill
        + fields.residual
    )
    if not restores:
        return image
    energies = local_detail_energy(inputs.references.flatten(0, 1), WINDOW_DETAIL_SCALE)
    energy = sample_references(energies.unflatten(0, inputs.references.shape[:2]), grids)
    return restore_high_frequencies(image, (weights * energy).sum(1), WINDOW_DETAIL_SCALE)


def measure_windows(
    truth: NDArray[np.uint8],  # [B, S, S, 3]
    output: NDArray[np.uint8],  # [B, S, S, 3]
    boxes: NDArray[np.int64],  # [B, 4]
) -> WindowMetrics:
    """Measure windows in the lips' boxes.

    Args:
        truth: true windows. [B, S, S, 3]
        output: rendered windows. [B, S, S, 3]
        boxes: left, top, right, bottom, px. [B, 4]
    """
    pairs = [
        (a[top:bottom, left:right], b[top:bottom, left:right])
        for a, b, (left, top, right, bottom) in zip(truth, output, boxes, strict=True)
    ]
    return {
        name: measure.aggregate(np.array([measure.function(a, b) for a, b in pairs]))
        for name, measure in WINDOW_METRICS.items()
    }


def mean_metrics(figures: Iterable[WindowMetrics]) -> WindowMetrics:
    """Average the metrics of several clips; empty without clips."""
    many = list(figures)
    return {name: float(np.mean([f[name] for f in many])) for name in many[0]} if many else {}


def to_uint8_images(images: Tensor) -> NDArray[np.uint8]:
    """Turn images in [0, 1] [B, 3, S, S] into RGB of 8 bits. [B, S, S, 3]"""
    scaled = images.permute(0, 2, 3, 1).cpu().numpy() * 255
    return np.asarray((scaled + 0.5).astype(np.uint8))
