"""Training samples of painting renderers, and the inputs that training and rendering share."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dubfew.data.clip_footage import ClipFootage
from dubfew.data.clip_inputs import ClipInputs, ClipSample
from dubfew.data.sound_features import SOUND_FEATURES, SoundFeature, cut_sound_window
from dubfew.data.sound_features._base import CLIP_FPS
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.heads.landmark_indices import OUTER_LIPS
from dubfew.reconstruction.rasterizer.batch import rasterize_batch, rasterizes_on_device
from dubfew.reconstruction.rasterizer.interpolation import interpolate_attributes
from dubfew.reconstruction.rasterizer.raster import rasterize_mesh

# Least distance between a window and its references, frames: nearer ones show the same mouth.
MIN_REFERENCE_GAP_FRAMES = 10
# Sound features of clips that a process keeps, bytes. All of HDTF's 16 hours take 0.75 GB.
FEATURE_CACHE_BYTES = 1 << 30
# Enlargement of the box of the lips in which pictures are measured, as for blending renderers.
MOUTH_BOX_SCALE = 1.4


@dataclass(frozen=True)
class ClipSampleForm:
    """Sizes of a sample, which follow from a renderer's configuration and the stage.

    Attributes:
        frames: consecutive frames, T.
        references: pictures of the person at other times, N.
        shrink: divisor of the layout's size.
        sound: entry of ``SOUND_FEATURES``, or "none".
        textured: whether texture coordinates are needed, which takes rasterizing.
    """

    frames: int
    references: int
    shrink: int
    sound: str
    textured: bool


class SoundFeatureCache:
    """Features of whole recordings, the latest ones kept in half precision."""

    def __init__(self, name: str, max_bytes: int = FEATURE_CACHE_BYTES) -> None:
        """Keep features of one kind.

        Args:
            name: entry of ``SOUND_FEATURES``, or "none".
            max_bytes: memory of all features that are kept.
        """
        self.feature: SoundFeature | None = None if name == "none" else SOUND_FEATURES.load(name)
        self.max_bytes = max_bytes
        self._kept: OrderedDict[int, NDArray[np.float16]] = OrderedDict()

    def cut_windows(
        self, key: int, samples: NDArray[np.float32], seconds: NDArray[np.float64]
    ) -> Tensor:
        """Cut the windows of some frames.

        Args:
            key: number of the recording; the same number is taken for the same recording.
            samples: mono at 16 kHz. [n]
            seconds: times of the frames since the first sample, s. [T]

        Returns:
            Windows, bands first; of no size where nothing is heard. [1, T, F, L]
        """
        if self.feature is None:
            return torch.zeros(1, len(seconds), 0, 0)
        steps = self._extract(key, samples)
        windows = [cut_sound_window(self.feature, cast("Any", steps), float(t)) for t in seconds]
        return torch.from_numpy(np.stack(windows).astype(np.float32))[None]

    def _extract(self, key: int, samples: NDArray[np.float32]) -> NDArray[np.float16]:
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        assert self.feature is not None
        # Silence stands in for sound that a clip does not have.
        heard = samples if len(samples) else np.zeros(1600, np.float32)
        self._kept[key] = steps = self.feature.extract(heard).astype(np.float16)
        while sum(each.nbytes for each in self._kept.values()) > self.max_bytes:
            if len(self._kept) == 1:
                break
            self._kept.popitem(last=False)
        return steps


def find_windows(frames: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Find the rows at which windows of consecutive frames begin.

    Args:
        frames: numbers of the frames, rising. [N]
        length: frames of a window, T.

    Returns:
        Rows of the first frames; if there is no whole window, all rows. [M]

    Example:
        >>> find_windows(np.array([0, 1, 2, 5, 6, 7, 8]), 3).tolist()
        [0, 3, 4]
    """
    rows = np.arange(max(0, len(frames) - length + 1))
    whole = rows[frames[rows + length - 1] - frames[rows] == length - 1]
    return whole if len(whole) else np.arange(len(frames))


def window_rows(frames: NDArray[np.int64], row: int, length: int) -> NDArray[np.int64]:
    """Return the rows of a window that begins at a row; a last row is repeated at a gap.

    Args:
        frames: number in its file of each stored frame, rising; a step above 1 is a gap. [N]
        row: first row of the window.
        length: frames of the window.

    Returns:
        Rows. [length]
    """
    rows = np.arange(row, row + length)
    inside = np.minimum(rows, len(frames) - 1)
    consecutive = frames[inside] - frames[row] == inside - row
    last = inside[consecutive].max()
    return np.minimum(inside, last)


def draw_references(
    frames: NDArray[np.int64],
    window: NDArray[np.int64],
    count: int,
    rng: np.random.Generator,
    candidates: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Draw the rows of a window's references.

    Args:
        frames: numbers of the frames. [N]
        window: rows of the window. [T]
        count: references, N.
        rng: random numbers; advanced.
        candidates: rows to draw from; all by default.

    Returns:
        Rows at least `MIN_REFERENCE_GAP_FRAMES` away, or the most distant ones of a short clip.
        Different ones where there are enough. [N]
    """
    rows = np.arange(len(frames)) if candidates is None else candidates
    distance = np.maximum(frames[window].min() - frames[rows], frames[rows] - frames[window].max())
    far = rows[distance >= MIN_REFERENCE_GAP_FRAMES]
    if not len(far):
        far = rows[distance == distance.max()]
    return rng.choice(far, count, replace=len(far) < count)


def make_clip_inputs(
    images: NDArray[np.uint8],  # [T, H, W, 3]
    masks: NDArray[np.bool_],  # [T, H, W]
    vertices: NDArray[np.float32],  # [T, V, 3]
    references: NDArray[np.uint8],  # [N, H, W, 3]
    sound: Tensor,  # [1, T, F, L]
    head: HeadModel,
    form: ClipSampleForm,
    actor_index: int = 0,
) -> ClipInputs:
    """Make the inputs of one window (B = 1), from crops in the layout's full size.

    Args:
        images: RGB crops; nothing inside the mask is used. [T, H, W, 3]
        masks: the blanked parts. [T, H, W]
        vertices: meshes to render, crop px. [T, V, 3]
        references: RGB crops of the same person. [N, H, W, 3]
        sound: windows of the sound feature. [1, T, F, L]
        head: head model of the meshes.
        form: sizes of the inputs.
        actor_index: row of the neural texture.
    """
    mask = shrink_masks(masks, form.shrink)
    # The true mouth is blanked here, so that no renderer can copy it.
    scene = shrink_images(images, form.shrink) * (1 - mask)
    frames, _, height, width = scene.shape
    uv = torch.zeros(frames, height, width, 2)
    covered = torch.zeros(frames, 1, height, width)
    # Depth orders the triangles only, so that it keeps its scale.
    meshes = vertices * np.array([1 / form.shrink, 1 / form.shrink, 1], np.float32)
    # A backend that takes batches on the device gets the meshes there, see
    # `rasterize_clip_inputs`; the default one runs here, in the processes that make batches.
    deferred = form.textured and rasterizes_on_device()
    if form.textured and not deferred:
        for t, mesh in enumerate(meshes):
            raster = rasterize_mesh(mesh, head.faces, height, width)
            uv[t] = torch.from_numpy(interpolate_attributes(raster, head.faces, head.uv))
            covered[t, 0] = torch.from_numpy(raster.coverage.astype(np.float32))
    return ClipInputs(
        scene=scene[None],
        mask=mask[None],
        references=shrink_images(references, form.shrink)[None],
        sound=sound,
        uv=uv[None],
        mesh_mask=covered[None],
        # No channels yet: the texture is sampled on the device, where its gradient is needed.
        texture=torch.zeros(1, frames, 0, height, width),
        actor_index=torch.tensor([actor_index]),
        vertices=torch.from_numpy(meshes.astype(np.float32))[None] if deferred else torch.zeros(0),
    )


def rasterize_clip_inputs(inputs: ClipInputs, head: HeadModel) -> ClipInputs:
    """Rasterize the meshes of inputs that carry them, on their device and all at once.

    Args:
        inputs: batch; without meshes it is returned as it is.
        head: head model of the meshes.

    Returns:
        The same batch with texture coordinates and the meshes' coverage.
    """
    if not inputs.vertices.numel():
        return inputs
    batch, frames, height, width = inputs.shape
    faces = torch.from_numpy(head.faces.astype(np.int64)).to(inputs.vertices.device)
    uv = torch.from_numpy(np.asarray(head.uv, np.float32)).to(inputs.vertices.device)
    raster = rasterize_batch(inputs.vertices.flatten(0, 1), faces, height, width)
    return replace(
        inputs,
        uv=raster.interpolate(faces, uv).unflatten(0, (batch, frames)),
        mesh_mask=raster.coverage[:, None].to(inputs.mask).unflatten(0, (batch, frames)),
        vertices=torch.zeros(0, device=inputs.vertices.device),
    )


def rasterize_clip_sample(sample: ClipSample, head: HeadModel) -> ClipSample:
    """Rasterize the meshes of a sample's inputs, see `rasterize_clip_inputs`."""
    return replace(sample, inputs=rasterize_clip_inputs(sample.inputs, head))


def make_clip_sample(
    clip: ClipFootage,
    rows: NDArray[np.int64],
    reference_rows: NDArray[np.int64],
    head: HeadModel,
    form: ClipSampleForm,
    features: SoundFeatureCache,
    *,
    clip_key: int = 0,
    actor_index: int = 0,
) -> ClipSample:
    """Make the sample of one window (B = 1).

    Args:
        clip: the person's crops.
        rows: rows of the window. [T]
        reference_rows: rows of the references. [N]
        head: head model of the clip.
        form: sizes of the sample.
        features: extracts the sound.
        clip_key: number by which the sound is kept.
        actor_index: row of the neural texture.
    """
    images = clip.images[rows]
    no_meshes = np.zeros((len(rows), 0, 3), np.float32)
    seconds = clip.frames[rows] / CLIP_FPS - clip.sound_start
    inputs = make_clip_inputs(
        images,
        clip.unpack_masks(rows),
        np.asarray(clip.vertices[rows]) if form.textured else no_meshes,
        clip.images[reference_rows],
        features.cut_windows(clip_key, clip.samples, seconds),
        head,
        form,
        actor_index,
    )
    landmarks = torch.from_numpy(np.asarray(clip.landmarks[rows]) / form.shrink).float()
    return ClipSample(inputs, shrink_images(images, form.shrink)[None], landmarks[None])


def shrink_images(images: NDArray[np.uint8], factor: int) -> Tensor:
    """Average images [M, H, W, 3] over squares of pixels. RGB in [0, 1], [M, 3, h, w]

    Args:
        images: RGB, 0 to 255. [M, H, W, 3]
        factor: edge of the squares, px; it divides H and W.
    """
    tensor = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 255
    return torch.nn.functional.avg_pool2d(tensor, factor) if factor > 1 else tensor


def shrink_masks(masks: NDArray[np.bool_], factor: int) -> Tensor:
    """Shrink masks [M, H, W] so that every pixel with a masked part is masked. [M, 1, h, w]

    Args:
        masks: True inside. [M, H, W]
        factor: edge of the squares, px; it divides H and W.
    """
    tensor = torch.from_numpy(np.ascontiguousarray(masks))[:, None].float()
    return torch.nn.functional.max_pool2d(tensor, factor) if factor > 1 else tensor


def compute_clip_mouth_box(landmarks: Tensor) -> Tensor:
    """Compute the box of the lips in every frame, enlarged by 40 %.

    Args:
        landmarks: landmarks, crop px. [..., 478, 2]

    Returns:
        Left, top, right, bottom, crop px. [..., 4]
    """
    lips = landmarks[..., list(OUTER_LIPS), :]
    low, high = lips.amin(-2), lips.amax(-2)
    center, half = (low + high) / 2, (high - low) / 2 * MOUTH_BOX_SCALE
    return torch.cat([center - half, center + half], -1)
