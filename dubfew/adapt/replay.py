"""Other people whom an adaptation goes on seeing, so that the network keeps what it knows.

The set that ships shows synthetic people only (``python -m tools.build_replay_set``). A prior of
one's own may bring its own: ``replay.safetensors`` in its folder.

Source: paper 003, sec. 3.5, mixed training.
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

REPLAY_FORMAT_VERSION = 1
REPLAY_FILE, REPLAY_METADATA_KEY = "replay.safetensors", "dubfew.replay"
JPEG_QUALITY = 90  # of the JPEG pictures, whose colours keep their full resolution
# Positions are whole numbers, from one window outside the window to one window beyond it: steps of
# 0.007 px of a window of 160 px.
POSITION_LEVELS = 65535


@dataclass(frozen=True)
class ReplayPerson:
    """A few frames of one person.

    Attributes:
        windows: N frames that span what the mouth does.
        motion: mouth motion around each of them, inter-ocular distances. [N, T, P, 3]
    """

    windows: Footage
    motion: NDArray[np.float32]

    @classmethod
    def from_footage(cls, footage: Footage, count: int) -> ReplayPerson:
        """The ``count`` frames of some footage that span its mouth shapes."""
        rows = farthest_point_sampling(footage.key, count)
        motion = np.stack([select_motion_window(footage.motion, int(row)) for row in rows])
        return cls(footage.select_frames(rows), motion.astype(np.float32))


class ReplaySampler:
    """Draws training samples of some people; their textures are unwrapped when first needed."""

    def __init__(self, people: Sequence[ReplayPerson], head: HeadModel) -> None:
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
        """A random batch and the texture that the renderer sees of it. [B, C, S, S]

        Colours vary and faces are mirrored as in the prior's own training, and textures hold
        unwrapped colours alone, as those of people do who are new to it.
        """
        samples, textures = [], []
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
            textures.append(torch.cat([seen, empty], 1))
        return collate_samples(samples), torch.cat(textures)

    def _person_texture(self, person: int) -> Tensor:
        """Unwrapped colours of one person. [1, 3, H, W]"""
        if person not in self._textures:
            rgb = unwrap_footage_texture(self.people[person].windows, self.head)
            self._textures[person] = torch.from_numpy(rgb).permute(2, 0, 1)[None]
        return self._textures[person]


def load_replay_for_prior(prior: Prior, head: HeadModel) -> ReplaySampler:
    """The replay set that belongs to a prior: its own, or the one that ships.

    Raises:
        ArtefactError: the set is damaged, or its people were tracked with another head model.
    """
    # A prior of the user's own goes by the whole path of its folder, a shipped one by its name.
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
    """The replay set of synthetic people."""
    return Path(str(files("dubfew.adapt") / "replay")) / REPLAY_FILE


def save_replay(path: Path, people: Sequence[ReplayPerson], header: dict[str, Any]) -> None:
    """Store people small: windows as JPEG, positions in whole numbers, the rest in half precision.

    Args:
        path: the file.
        people: at least one, all with windows of the same size.
        header: says what they are; "head" names the head model.
    """
    size = people[0].windows.window_size
    pictures = [_encode_jpeg(image) for p in people for image in p.windows.images]
    vertices = np.concatenate([p.windows.vertices for p in people])
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
    text = json.dumps({"format_version": REPLAY_FORMAT_VERSION, "window": size, **header})
    write_atomic(path, save(arrays, metadata={REPLAY_METADATA_KEY: text}))


@lru_cache(maxsize=1)
def load_replay(path: Path) -> tuple[list[ReplayPerson], dict[str, Any]]:
    """Read what `save_replay` wrote; read once per process.

    Raises:
        ArtefactError: not a replay set, damaged, or from a newer dubfew.
    """
    try:
        arrays, header = read_tensors_and_header(path.read_bytes(), REPLAY_METADATA_KEY)
        check_format_version(header["format_version"], REPLAY_FORMAT_VERSION, str(path))
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
        stops = np.cumsum(arrays["people"], dtype=np.int64)
        if footage.window_size != size or stops[-1] != len(footage) or min(arrays["people"]) < 2:
            raise ValueError("its parts do not fit together")
    except (OSError, IndexError, *TENSOR_READ_ERRORS) as error:
        raise ArtefactError(f"{path} is not a replay set, or damaged ({error})") from error
    people = [
        ReplayPerson(footage.select_frames(np.arange(a, b)), motion[a:b])
        for a, b in zip([0, *stops[:-1]], stops, strict=True)
    ]
    return people, header


def _encode_jpeg(image: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0, optimize=True)
    return file.getvalue()


def _decode_image(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def _quantize_positions(positions: NDArray, size: int) -> NDArray[np.uint16]:
    """Positions in window px as whole numbers."""
    share = (positions / size + 1) / 3
    return np.rint(np.clip(share, 0, 1) * POSITION_LEVELS).astype(np.uint16)


def _dequantize_positions(quantized: NDArray[np.uint16], size: int) -> NDArray[np.float32]:
    share = quantized.astype(np.float32) / POSITION_LEVELS
    return ((share * 3 - 1) * size).astype(np.float32)
