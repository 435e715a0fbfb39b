"""Vary samples as other cameras, lights and encoders would have shown them.

Every function that draws takes a generator and advances it, so that equal states give equal
samples.
"""

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
from dubfew.utils.luma import LUMA_BT709

# Probabilities that a sample's target is turned and zoomed, that its resolution is lowered, and
# that it is compressed. The other samples stay as filmed, which most footage is like.
AFFINE_PROBABILITY, DOWNSCALE_PROBABILITY, JPEG_PROBABILITY = 0.5, 0.35, 0.35
# Probability of mirroring. Faces are symmetric enough: it doubles the number of people.
MIRROR_PROBABILITY = 0.5
# Strength of the color changes, as a standard deviation of gains: of the whole sample, as cameras
# differ, and of the references against the target, as the light in one clip does.
SAMPLE_COLOR_STRENGTH, REFERENCE_COLOR_STRENGTH = 0.08, 0.02
# Probability that a sample has another grade, and that its target is lit from another side than the
# references. Most footage has neither.
GRADE_PROBABILITY, LAMP_PROBABILITY = 0.3, 0.3
# Ranges of grades, drawn evenly: logarithm of the exposure in linear light (0.4 to 1.6), of the
# power (0.6 to 1.6), the contrast around mid gray, and the saturation. Scenes are met with these.
LOG_EXPOSURE_RANGE, LOG_POWER_RANGE = (-0.92, 0.47), (-0.51, 0.47)
CONTRAST_RANGE, SATURATION_RANGE = (0.4, 1.3), (0.0, 1.5)
# Range of the color of light, as a logarithm of red; blue changes by twice as much the other way:
# about 9,000 to 2,800 K.
WARMTH_RANGE = (-0.1, 0.25)
# Standard deviation of the logarithm of the light from the middle of a window to its edge. A match
# at render takes the most of a lamp away; this is what it leaves, and more.
LAMP_SLOPE = 0.15
# Exponent of a display: exposure is a gain in linear light.
DISPLAY_GAMMA = 2.2
# Standard deviation of the rotation of a frame, degrees, and of the logarithm of its stretch.
# Stronger ones show heads that do not exist.
AFFINE_ROTATION_DEGREES, AFFINE_LOG_STRETCH = 3.0, 0.03
# Range of the logarithm of a frame's zoom. Mostly larger: what a smaller frame lacks at its border
# has to be made up.
AFFINE_LOG_ZOOM = (-0.05, 0.12)
# How windows of a SyncNet vary, as standard deviations: gain of all colors and of each, offset,
# logarithm of the zoom along each axis, shear, and shift in parts of the crop. About as much as
# trackers, lamps and cameras differ; a mouth that leaves the crop would teach nothing.
SYNC_GAIN, SYNC_COLOR_GAIN, SYNC_OFFSET = 0.15, 0.05, 0.08
SYNC_LOG_ZOOM, SYNC_SHEAR, SYNC_SHIFT = 0.06, 0.05, 0.025
# Range of the factor by which a lower resolution shrinks a window, drawn log-uniformly, and its
# least edge, px. At 0.4 a window of 160 px is one of 64 px, a face in a small video.
DOWNSCALE_RANGE, MIN_DOWNSCALED_PX = (0.4, 0.9), 8
# Range of JPEG qualities, the last one excluded: from visible blocks to nearly none.
JPEG_QUALITY_RANGE = (35, 90)


def _mirrored_point_order() -> list[int]:
    """List the row of each mouth point's mirror image. [P]"""
    # Rings of lips run from corner to corner above (11 points) and back below (9).
    ring = [*range(10, -1, -1), *range(19, 10, -1)]
    order = ring + [20 + i for i in ring]
    # The jaw line runs from side to side.
    start = len(OUTER_LIPS) + len(INNER_LIPS)
    order += [start + i for i in reversed(range(len(JAW_LINE)))]
    start += len(JAW_LINE)
    # Landmarks of the chin lie on the middle of the face; those of the cheeks come in pairs.
    order += [start + i for i in range(len(CHIN_LANDMARKS))]
    start += len(CHIN_LANDMARKS)
    order += [start + (i ^ 1) for i in range(len(CHEEK_LANDMARKS))]
    return order


# Order of the mouth points that makes the motion of a mirrored face.
_MIRRORED_POINT_ORDER = torch.tensor(_mirrored_point_order())


def mirror_sample(sample: TrainingSample) -> TrainingSample:
    """Mirror a sample left to right; the neural texture is looked up where it was."""
    i = sample.inputs
    # Positions in [-1, 1] change their sign, motion also changes sides.
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
    # Left and right edges of the box change places.
    size = i.scene.shape[-1]
    box = sample.mouth_box
    mouth = torch.stack([size - box[:, 2], box[:, 1], size - box[:, 0], box[:, 3]], 1)
    return replace(sample, inputs=inputs, target=sample.target.flip(-1), mouth_box=mouth)


def jitter_sample_color(sample: TrainingSample, rng: np.random.Generator) -> TrainingSample:
    """Change the colors of a sample as another camera would, and the references' light a little.

    Args:
        sample: one sample (B = 1).
        rng: random numbers; advanced.
    """

    def sample_gain_and_shift(strength: float) -> tuple[Tensor, Tensor]:
        # Each color channel varies, and the brightness with all three.
        gain = 1 + strength * rng.standard_normal(3) + strength * rng.standard_normal()
        shift = 0.5 * strength * rng.standard_normal(3)
        return (
            torch.tensor(gain, dtype=torch.float32).view(3, 1, 1),
            torch.tensor(shift, dtype=torch.float32).view(3, 1, 1),
        )

    # The same camera for everything, then another light for the references.
    i = sample.inputs
    gain, shift = sample_gain_and_shift(SAMPLE_COLOR_STRENGTH)
    own_gain, own_shift = sample_gain_and_shift(REFERENCE_COLOR_STRENGTH)
    # The shift must not brighten the blanked mouth.
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


def grade_sample(sample: TrainingSample, rng: np.random.Generator) -> TrainingSample:
    """Grade a whole sample as other footage would be: scene, references and target alike.

    One of exposure, power, contrast, saturation and color of the light changes, each as often.

    Args:
        sample: one sample (B = 1).
        rng: random numbers; advanced.
    """
    kind = int(rng.integers(5))
    exposure = np.exp(rng.uniform(*LOG_EXPOSURE_RANGE) / DISPLAY_GAMMA)
    power = np.exp(rng.uniform(*LOG_POWER_RANGE))
    contrast, saturation = rng.uniform(*CONTRAST_RANGE), rng.uniform(*SATURATION_RANGE)
    warmth = rng.uniform(*WARMTH_RANGE)

    def grade(colors: Tensor) -> Tensor:  # [..., 3, H, W]
        if kind == 0:
            return (colors * exposure).clamp(0, 1)
        if kind == 1:
            return colors**power
        if kind == 2:
            return (0.5 + contrast * (colors - 0.5)).clamp(0, 1)
        if kind == 3:
            luma = (colors * torch.from_numpy(LUMA_BT709).float()[:, None, None]).sum(
                -3, keepdim=True
            )
            return (luma + saturation * (colors - luma)).clamp(0, 1)
        gains = torch.tensor([warmth, 0.0, -2 * warmth]).exp()
        return (
            colors * (gains / (gains @ torch.from_numpy(LUMA_BT709).float()))[:, None, None]
        ).clamp(0, 1)

    i = sample.inputs
    target = grade(sample.target)
    inputs = replace(
        i,
        # The blanked mouth stays black, also where black becomes gray.
        scene=grade(i.scene) * (i.alpha <= 0).float(),
        references=grade(i.references),
        cavity=grade(i.cavity) * (i.mouth_interior[:, :1] > 0).float(),
    )
    return replace(sample, inputs=inputs, target=target)


def light_target(sample: TrainingSample, rng: np.random.Generator) -> TrainingSample:
    """Light the target from another side than the references, as a lamp that moves does.

    Args:
        sample: one sample (B = 1).
        rng: random numbers; advanced.
    """
    slope = torch.tensor(LAMP_SLOPE * rng.standard_normal(2), dtype=torch.float32)
    size = sample.target.shape[-1]
    across = (torch.arange(size) + 0.5) * (2 / size) - 1  # -1 to 1
    light = (slope[0] * across[None, :] + slope[1] * across[:, None]).exp()
    inputs = replace(sample.inputs, scene=(sample.inputs.scene * light).clamp(0, 1))
    return replace(sample, inputs=inputs, target=(sample.target * light).clamp(0, 1))


def vary_sync_windows(frames: Tensor, rng: np.random.Generator) -> Tensor:
    """Vary windows of five crops as other faces, cameras and lamps would; each window as a whole.

    Mirrors every second window by chance, and changes place, size and colors.

    Args:
        frames: RGB crops in [0, 1]. [N, T, 3, H, W]
        rng: random numbers; advanced.

    Returns:
        RGB crops in [0, 1]. [N, T, 3, H, W]
    """
    count, length = frames.shape[:2]

    def draw(strength: float, *shape: int) -> Tensor:
        values = strength * rng.standard_normal((count, *shape))
        return torch.from_numpy(values.astype(np.float32))

    matrix = torch.zeros(count, 2, 3)
    matrix[:, [0, 1], [0, 1]] = draw(SYNC_LOG_ZOOM, 2).exp()
    matrix[:, [0, 1], [1, 0]] = draw(SYNC_SHEAR, 2)
    # The grid reaches from -1 to 1, so its numbers are halves of the crop.
    matrix[:, :, 2] = 2 * draw(SYNC_SHIFT, 2)
    mirrored = torch.from_numpy(rng.random(count) < MIRROR_PROBABILITY)
    matrix[mirrored, 0] *= -1
    # All frames of a window are moved alike, as channels of one picture.
    flat = frames.flatten(1, 2)
    grid = F.affine_grid(matrix, list(flat.shape), align_corners=False)
    flat = F.grid_sample(flat, grid, padding_mode="border", align_corners=False)
    gain = 1 + draw(SYNC_GAIN, 1, 1, 1, 1) + draw(SYNC_COLOR_GAIN, 1, 3, 1, 1)
    return (flat.unflatten(1, (length, 3)) * gain + draw(SYNC_OFFSET, 1, 1, 1, 1)).clamp(0, 1)


def transform_frame_affine(footage: Footage, row: int, rng: np.random.Generator) -> Footage:
    """Turn, stretch and zoom one frame of some footage, image and mesh alike.

    The other frames stay: as references they meet a head pose and a face that the clip does not
    have. Thirty people have few of either.

    Args:
        footage: one person's windows; all images are copied, so select few first.
        row: the frame.
        rng: random numbers; advanced.

    Returns:
        New footage.
    """
    turn = np.radians(rng.normal(0, AFFINE_ROTATION_DEGREES))
    stretch = np.exp(rng.normal(0, AFFINE_LOG_STRETCH))
    zoom = np.exp(rng.uniform(*AFFINE_LOG_ZOOM))
    c, s = np.cos(turn), np.sin(turn)
    matrix = zoom * np.array([[c, -s], [s, c]]) @ np.diag([stretch, 1 / stretch])
    # The window's center stays where it is.
    center = np.full(2, footage.window_size / 2)
    back = np.linalg.inv(matrix)
    shift = center - back @ center
    # Pixels from outside the window repeat its edge.
    margin = footage.window_size // 4
    # A quarter of the window is more than rotation and zoom reach beyond it.
    padded = np.pad(footage.images[row], [(margin, margin), (margin, margin), (0, 0)], "edge")
    # PIL maps each pixel of the result to its source, centers at +0.5, as meshes have it.
    picture = Image.fromarray(padded).transform(
        (footage.window_size, footage.window_size),
        Image.Transform.AFFINE,
        (*back[0], shift[0] + margin, *back[1], shift[1] + margin),
        Image.Resampling.BICUBIC,
    )
    images = footage.images.copy()
    images[row] = np.asarray(picture)
    vertices, hulls = footage.vertices.copy(), footage.hulls.copy()
    vertices[row, :, :2] = (vertices[row, :, :2] - center) @ matrix.T + center
    hulls[row] = (hulls[row] - center) @ matrix.T + center
    return replace(footage, images=images, vertices=vertices, hulls=hulls)


def augment_sample(
    sample: TrainingSample, rng: np.random.Generator, *, degrade: bool = False
) -> TrainingSample:
    """Mirror a sample by chance and give it the colors of another camera.

    Args:
        sample: one sample (B = 1).
        rng: random numbers; advanced.
        degrade: also grade it, light it from another side, lower the resolution and compress by
            chance, see `grade_sample`, `light_target` and `degrade_sample`.
    """
    if rng.random() < MIRROR_PROBABILITY:
        sample = mirror_sample(sample)
    if degrade:
        if rng.random() < GRADE_PROBABILITY:
            sample = grade_sample(sample, rng)
        if rng.random() < LAMP_PROBABILITY:
            sample = light_target(sample, rng)
        sample = degrade_sample(sample, rng)
    return jitter_sample_color(sample, rng)


def degrade_sample(sample: TrainingSample, rng: np.random.Generator) -> TrainingSample:
    """Lower resolution and quality by chance, of target and references alike.

    A smaller camera and a stronger compression would have stored the clip so.

    Args:
        sample: one sample (B = 1).
        rng: random numbers; advanced.
    """
    target, references = sample.target, sample.inputs.references
    if rng.random() < DOWNSCALE_PROBABILITY:
        low, high = np.log(DOWNSCALE_RANGE)
        scale = float(np.exp(rng.uniform(low, high)))
        target = reduce_resolution(target, scale)
        references = reduce_resolution(references[0], scale)[None]
    if rng.random() < JPEG_PROBABILITY:
        quality = int(rng.integers(*JPEG_QUALITY_RANGE))
        target = compress_images(target, quality)
        references = compress_images(references[0], quality)[None]
    # The scene is the target with its mouth blanked, in the same quality.
    outside = (sample.inputs.alpha <= 0).float()
    inputs = replace(sample.inputs, scene=target * outside, references=references)
    return replace(sample, inputs=inputs, target=target)


def reduce_resolution(images: Tensor, scale: float) -> Tensor:
    """Shrink images and enlarge them again.

    Args:
        images: RGB in [0, 1]. [N, 3, S, S]
        scale: factor of the size in between, in (0, 1].

    Returns:
        Images of the same size with less detail. [N, 3, S, S]
    """
    size = images.shape[-1]
    reduced = max(MIN_DOWNSCALED_PX, round(size * scale))
    small = F.interpolate(images, size=(reduced, reduced), mode="bicubic", antialias=True)
    return F.interpolate(small, size=(size, size), mode="bicubic").clamp(0, 1)


def compress_images(images: Tensor, quality: int) -> Tensor:
    """Compress images as JPEG and decode them again.

    Args:
        images: RGB in [0, 1]. [N, 3, S, S]
        quality: JPEG quality, 1 to 95; colors keep their full resolution.

    Returns:
        Decoded images in [0, 1]. [N, 3, S, S]
    """
    return torch.stack([_jpeg_round_trip(image, quality) for image in images])


def _jpeg_round_trip(image: Tensor, quality: int) -> Tensor:
    """Compress one image [3, S, S] and decode it. [3, S, S]"""
    # Adding a half before cutting off rounds to the nearest value.
    pixels: NDArray[np.uint8] = (image.permute(1, 2, 0) * 255 + 0.5).byte().numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=0)
    return torch.from_numpy(np.array(Image.open(buffer))).permute(2, 0, 1).float() / 255
