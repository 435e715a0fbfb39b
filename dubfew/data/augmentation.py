"""The same sample as other cameras, lights and encoders would have shown it."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from dubfew.data.samples import TrainingSample
from dubfew.reconstruction.heads.landmark_indices import (
    CHEEK_LANDMARKS,
    CHIN_LANDMARKS,
    INNER_LIPS,
    JAW_LINE,
    MOUTH_POINTS,
    OUTER_LIPS,
)
from dubfew.references.footage import Footage


def _mirrored_point_order() -> list[int]:
    """Row of each mouth point's mirror image. [P]"""
    ring = [*range(10, -1, -1), *range(19, 10, -1)]
    order = ring + [20 + i for i in ring]
    start = len(OUTER_LIPS) + len(INNER_LIPS)
    order += [start + i for i in reversed(range(len(JAW_LINE)))]
    start += len(JAW_LINE)
    order += [start + i for i in range(len(CHIN_LANDMARKS))]
    start += len(CHIN_LANDMARKS)
    order += [start + (i ^ 1) for i in range(len(CHEEK_LANDMARKS))]
    return order


_MIRRORED_POINT_ORDER = torch.tensor(_mirrored_point_order())


def mirror_sample(sample: TrainingSample) -> TrainingSample:
    """The sample seen in a mirror; the neural texture is looked up where it was."""
    i = sample.inputs
    flip = torch.tensor([-1.0, 1.0])
    motion = i.motion.view(*i.motion.shape[:2], len(MOUTH_POINTS), 3)[:, :, _MIRRORED_POINT_ORDER]
    inputs = replace(
        i,
        scene=i.scene.flip(-1),
        alpha=i.alpha.flip(-1),
        mesh_mask=i.mesh_mask.flip(-1),
        mouth_interior=i.mouth_interior.flip(-1),
        uv=i.uv.flip(2),
        references=i.references.flip(-1),
        sampling_grid=i.sampling_grid.flip(3) * flip,
        motion=(motion * torch.tensor([-1.0, 1.0, 1.0])).flatten(2),
    )
    size = i.scene.shape[-1]
    box = sample.mouth_box
    mouth = torch.stack([size - box[:, 2], box[:, 1], size - box[:, 0], box[:, 3]], 1)
    return replace(sample, inputs=inputs, target=sample.target.flip(-1), mouth_box=mouth)


def jitter_sample_color(sample: TrainingSample, rng: np.random.Generator) -> TrainingSample:
    """Another camera's colours for the whole sample, slightly other light on the references."""

    def sample_gain_and_shift(strength: float) -> tuple[Tensor, Tensor]:
        gain = 1 + strength * rng.standard_normal(3) + strength * rng.standard_normal()
        shift = 0.5 * strength * rng.standard_normal(3)
        return (
            torch.tensor(gain, dtype=torch.float32).view(3, 1, 1),
            torch.tensor(shift, dtype=torch.float32).view(3, 1, 1),
        )

    i = sample.inputs
    gain, shift = sample_gain_and_shift(0.08)
    own_gain, own_shift = sample_gain_and_shift(0.02)
    outside = (i.alpha <= 0).float()
    return replace(
        sample,
        inputs=replace(
            i,
            scene=(i.scene * gain + shift).clamp(0, 1) * outside,
            references=(i.references * gain * own_gain + shift + own_shift).clamp(0, 1),
        ),
        target=(sample.target * gain + shift).clamp(0, 1),
    )


# Share of the samples that are re-framed, resampled and compressed.
AFFINE_PROBABILITY, DOWNSCALE_PROBABILITY, JPEG_PROBABILITY = 0.5, 0.35, 0.35
# Faces are symmetric enough: half of the samples double the number of people.
MIRROR_PROBABILITY = 0.5


def transform_frame_affine(footage: Footage, row: int, rng: np.random.Generator) -> Footage:
    """Footage in which one frame is turned, stretched and zoomed, picture and mesh alike.

    Its references stay as they are, so the rest of the sample meets a head pose and a face that
    the clip does not have. Thirty people have few of either.
    """
    turn = np.radians(rng.normal(0, 3))
    stretch = np.exp(rng.normal(0, 0.03))
    zoom = np.exp(rng.uniform(-0.05, 0.12))
    c, s = np.cos(turn), np.sin(turn)
    matrix = zoom * np.array([[c, -s], [s, c]]) @ np.diag([stretch, 1 / stretch])
    centre = np.full(2, footage.window_size / 2)
    back = np.linalg.inv(matrix)
    shift = centre - back @ centre
    # What comes in from outside the window repeats its edge.
    margin = footage.window_size // 4
    padded = np.pad(footage.images[row], [(margin, margin), (margin, margin), (0, 0)], "edge")
    # PIL maps each pixel of the result to its source, centres at +0.5, as meshes have it.
    picture = Image.fromarray(padded).transform(
        (footage.window_size, footage.window_size),
        Image.Transform.AFFINE,
        (*back[0], shift[0] + margin, *back[1], shift[1] + margin),
        Image.Resampling.BICUBIC,
    )
    images = footage.images.copy()
    images[row] = np.asarray(picture)
    vertices, hulls = footage.vertices.copy(), footage.hulls.copy()
    vertices[row, :, :2] = (vertices[row, :, :2] - centre) @ matrix.T + centre
    hulls[row] = (hulls[row] - centre) @ matrix.T + centre
    return replace(footage, images=images, vertices=vertices, hulls=hulls)


def augment_sample(
    sample: TrainingSample, rng: np.random.Generator, *, degrade: bool = False
) -> TrainingSample:
    """Mirror a sample by chance and give it the colors of another camera.

    Args:
        sample: one sample (B = 1).
        rng: random numbers; advanced.
        degrade: also lower the resolution and compress by chance, see `degrade_sample`.
    """
    if rng.random() < MIRROR_PROBABILITY:
        sample = mirror_sample(sample)
    if degrade:
        sample = degrade_sample(sample, rng)
    return jitter_sample_color(sample, rng)


def degrade_sample(sample: TrainingSample, rng: np.random.Generator) -> TrainingSample:
    """As a smaller camera and a stingier encoder would have kept the clip: all pictures alike."""
    truth, references = sample.target, sample.inputs.references
    if rng.random() < DOWNSCALE_PROBABILITY:
        share = float(np.exp(rng.uniform(np.log(0.4), np.log(0.9))))
        truth, references = (
            reduce_resolution(truth, share),
            reduce_resolution(references[0], share)[None],
        )
    if rng.random() < JPEG_PROBABILITY:
        quality = int(rng.integers(35, 90))
        truth = compress_images(truth, quality)
        references = compress_images(references[0], quality)[None]
    outside = (sample.inputs.alpha <= 0).float()
    inputs = replace(sample.inputs, scene=truth * outside, references=references)
    return replace(sample, inputs=inputs, target=truth)


def reduce_resolution(images: Tensor, scale: float) -> Tensor:
    """Pictures [N, 3, S, S] taken down to a share of their size and up again."""
    size = images.shape[-1]
    less = max(8, round(size * scale))
    small = F.interpolate(images, size=(less, less), mode="bicubic", antialias=True)
    return F.interpolate(small, size=(size, size), mode="bicubic").clamp(0, 1)


def compress_images(images: Tensor, quality: int) -> Tensor:
    """Pictures [N, 3, S, S] in [0, 1] after JPEG of that quality."""
    return torch.stack([_jpeg_round_trip(image, quality) for image in images])


def _jpeg_round_trip(image: Tensor, quality: int) -> Tensor:
    pixels: NDArray[np.uint8] = (image.permute(1, 2, 0) * 255 + 0.5).byte().numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=0)
    return torch.from_numpy(np.array(Image.open(buffer))).permute(2, 0, 1).float() / 255
