"""Replay: frames of other people in an adaptation, so that the renderer keeps what it knows.

The set that ships has synthetic people only (``python -m tools.build_replay_set``). A prior of the
user's own may bring its own set: ``replay.safetensors`` in its folder.

Source: Saunders and Namboodiri 2024, "Dubbing for Everyone: Data-Efficient Visual Dubbing using
Neural Rendering Priors" (arXiv 2401.06126), section 3.5, mixed training.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import save
from torch import Tensor

from dubfew.data.samples import TrainingSample, collate_samples, unwrap_footage_texture
from dubfew.data.sampling import REPLAY_SAMPLING, draw_sample
from dubfew.errors import ArtefactError
from dubfew.prior.checkpoint import Prior
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.references.footage import Footage, resize_footage
from dubfew.references.inputs import select_motion_window
from dubfew.references.selection import farthest_point_sampling
from dubfew.textures import sample_texture
from dubfew.utils.files import write_atomic
from dubfew.utils.format_version import check_format_version
from dubfew.utils.safetensors_io import TENSOR_READ_ERRORS, read_tensors_and_header

# Version of the file. Higher whenever this dubfew's files would be misread by an older one.
REPLAY_FORMAT_VERSION = 1
# Name of the file in a prior's folder, and of its JSON header in the file's metadata.
REPLAY_FILE, REPLAY_METADATA_KEY = "replay.safetensors", "dubfew.replay"
# Quality of the stored JPEG images, whose colors keep their full resolution. Lower shows blocks in
# the targets, which the renderer would learn; higher makes the shipped set larger.
JPEG_QUALITY = 90
# Stored positions are whole numbers from 0 to this, from one window's edge before the window to
# one after it: steps of 0.007 px of a window of 160 px. The largest number of 16 bits.
POSITION_LEVELS = 65535


@dataclass(frozen=True)
class ReplayPerson:
    """A few frames of one person.

    Attributes:
        windows: N frames that span the person's mouth shapes.
        motion: mouth motion in the T frames around each of them, inter-ocular distances.
            [N, T, P, 3]
    """

    windows: Footage
    motion: NDArray[np.float32]

    @classmethod
    def from_footage(cls, footage: Footage, count: int) -> ReplayPerson:
        """Select the frames that span the mouth shapes of some footage.

        Args:
            footage: windows of one person, consecutive frames.
            count: number of frames to select.
        """
        rows = farthest_point_sampling(footage.key, count)
        motion = np.stack([select_motion_window(footage.motion, int(row)) for row in rows])
        return cls(footage.select_frames(rows), motion.astype(np.float32))


class ReplaySampler:
    """Draws training samples of some people; their textures are unwrapped when first needed."""

    def __init__(self, people: Sequence[ReplayPerson], head: HeadModel) -> None:
        """Draw from the given people.

        Args:
            people: at least one person, with windows of the size that the renderer takes.
            head: head model that they were tracked with.
        """
        self.people = people
        self.head = head
        self._textures: dict[int, Tensor] = {}

    def sample_replay_batch(
        self,
        num_samples: int,
        num_references: int,
        num_channels: int,
        generator: np.random.Generator,
    ) -> tuple[TrainingSample, Tensor]:
        """Draw a batch of random people and look up their textures.

        Colors vary and faces are mirrored as in the prior's training. Textures hold unwrapped
        colors alone, like those of people who are new to the prior.

        Args:
            num_samples: frames of the batch, B.
            num_references: references of each sample.
            num_channels: features of a texture, C.
            generator: random numbers; advanced.

        Returns:
            The batch, and the features that the renderer sees beside it. [B, C, S, S]
        """
        samples, textures = [], []
        # People are drawn anew for each sample, so that a batch shows several.
        for _ in range(num_samples):
            person = int(generator.integers(len(self.people)))
            sample = draw_sample(
                self.people[person].windows,
                self.head,
                num_references,
                REPLAY_SAMPLING,
                generator,
                motion_windows=self.people[person].motion,
            )
            inputs = sample.inputs
            seen = sample_texture(
                self._person_texture(person), inputs.uv, inputs.mesh_mask[:, 0] > 0
            )
            empty = seen.new_zeros(1, num_channels - 3, *seen.shape[2:])
            samples.append(sample)
            # The features behind the colors are 0, as of anybody without a learned texture.
            textures.append(torch.cat([seen, empty], 1))
        return collate_samples(samples), torch.cat(textures)

    def _person_texture(self, person: int) -> Tensor:
        """Return the unwrapped colors of one person. [1, 3, H, W]"""
        if person not in self._textures:
            rgb = unwrap_footage_texture(self.people[person].windows, self.head)
            self._textures[person] = torch.from_numpy(rgb).permute(2, 0, 1)[None]
        return self._textures[person]


def load_replay_for_prior(prior: Prior, head: HeadModel) -> ReplaySampler:
    """Load the replay set that belongs to a prior: its own, or the one that ships.

    Args:
        prior: prior whose renderer will see the samples.
        head: head model of the actor.

    Raises:
        ArtefactError: The set is damaged, or its people were tracked with another head model.
    """
    # The name of a prior of the user's own is the absolute path of its folder.
    own = Path(prior.name) / REPLAY_FILE
    path = own if own.is_absolute() and own.exists() else bundled_replay_path()
    people, header = load_replay(path)
    if header["head"] != head.name:
        raise ArtefactError(
            f"the replay set {path} is of head model {header['head']!r}, the actor's is "
            f"{head.name!r}: adapt without replay, or give the prior its own set"
        )
    size = prior.renderer.config.window
    return ReplaySampler(
        [ReplayPerson(resize_footage(p.windows, size), p.motion) for p in people], head
    )


def bundled_replay_path() -> Path:
    """Return the path of the shipped set of synthetic people."""
    return Path(str(files("dubfew.adapt") / "replay")) / REPLAY_FILE


def save_replay(path: Path, people: Sequence[ReplayPerson], header: dict[str, Any]) -> None:
    """Store people in few bytes: windows as JPEG, positions in 16 bits, the rest in half precision.

    Args:
        path: file to write, whole or not at all.
        people: at least one person, all with windows of the same size.
        header: facts about the set, JSON values; "head" names the head model.
    """
    size = people[0].windows.window_size
    pictures = [_encode_jpeg(image) for p in people for image in p.windows.images]
    vertices = np.concatenate([p.windows.vertices for p in people])
    # Half precision holds depths around 0 well, and metres from the camera badly.
    middle = vertices[..., 2].mean(1, keepdims=True)
    arrays = {
        "pictures": np.frombuffer(b"".join(pictures), np.uint8),
        "lengths": np.array([len(p) for p in pictures], np.int32),
        "people": np.array([len(p.windows) for p in people], np.int32),
        "places": _quantize_positions(vertices[..., :2], size),
        "depths": (vertices[..., 2] - middle).astype(np.float16),
        "middles": middle[:, 0].astype(np.float32),
        "hulls": _quantize_positions(np.concatenate([p.windows.hulls for p in people]), size),
        "keys": np.concatenate([p.windows.key for p in people]).astype(np.float16),
        "motion": np.concatenate([p.motion for p in people]).astype(np.float16),
        "frames": np.concatenate([p.windows.frames for p in people]).astype(np.int32),
    }
    # The header is part of the file, so that the two cannot be separated.
    text = json.dumps({"format_version": REPLAY_FORMAT_VERSION, "window": size, **header})
    write_atomic(path, save(arrays, metadata={REPLAY_METADATA_KEY: text}))


@lru_cache(maxsize=1)
def load_replay(path: Path) -> tuple[list[ReplayPerson], dict[str, Any]]:
    """Read a set that `save_replay` wrote, once per process.

    Returns:
        The people, and the header.

    Raises:
        ArtefactError: The file is not a replay set, is damaged, or was written by a newer dubfew.
    """
    try:
        arrays, header = read_tensors_and_header(path.read_bytes(), REPLAY_METADATA_KEY)
        check_format_version(header["format_version"], REPLAY_FORMAT_VERSION, str(path))
        # One array holds all people's frames; "people" says how many each has.
        size, motion = int(header["window"]), arrays["motion"].astype(np.float32)
        depths = arrays["depths"].astype(np.float32) + arrays["middles"][:, None]
        ends = np.cumsum(arrays["lengths"], dtype=np.int64)
        data = arrays["pictures"].tobytes()
        footage = Footage(
            images=np.stack(
                [_decode_image(data[a:b]) for a, b in zip([0, *ends[:-1]], ends, strict=True)]
            ),
            vertices=np.concatenate(
                [_dequantize_positions(arrays["places"], size), depths[..., None]], 2
            ),
            hulls=_dequantize_positions(arrays["hulls"], size),
            key=arrays["keys"].astype(np.float32),
            motion=motion[:, motion.shape[1] // 2],
            frames=arrays["frames"].astype(np.int64),
        )
        # Rows of each person end here.
        stops = np.cumsum(arrays["people"], dtype=np.int64)
        if footage.window_size != size or stops[-1] != len(footage) or min(arrays["people"]) < 2:
            raise ValueError("its arrays do not fit together")
    except (OSError, IndexError, *TENSOR_READ_ERRORS) as error:
        raise ArtefactError(f"{path} is not a replay set, or damaged ({error})") from error
    people = [
        ReplayPerson(footage.select_frames(np.arange(a, b)), motion[a:b])
        for a, b in zip([0, *stops[:-1]], stops, strict=True)
    ]
    return people, header


def _encode_jpeg(image: NDArray[np.uint8]) -> bytes:
    """Encode an RGB image [S, S, 3] as JPEG, the same bytes for the same image."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0, optimize=True)
    return file.getvalue()


def _decode_image(data: bytes) -> NDArray[np.uint8]:
    """Decode a JPEG file to RGB. [S, S, 3]"""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def _quantize_positions(positions: NDArray, size: int) -> NDArray[np.uint16]:
    """Turn positions in window px into whole numbers; those outside the range are clipped."""
    fraction = (positions / size + 1) / 3
    return np.rint(np.clip(fraction, 0, 1) * POSITION_LEVELS).astype(np.uint16)


def _dequantize_positions(quantized: NDArray[np.uint16], size: int) -> NDArray[np.float32]:
    """Turn the whole numbers of `_quantize_positions` back into window px."""
    fraction = quantized.astype(np.float32) / POSITION_LEVELS
    return ((fraction * 3 - 1) * size).astype(np.float32)
