"""The adapter: everything that is stored of an actor, as a handful of named files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from dubfew.adapt.methods import METHODS
from dubfew.adapt.validation import (
    check_config,
    check_crops,
    check_faces,
    check_finite_weights,
    check_references,
    check_style,
)
from dubfew.data.clip_footage import ClipFootage
from dubfew.data.clip_shards import deserialize_clip, serialize_clip
from dubfew.data.footage_io import deserialize_footage, serialize_footage
from dubfew.errors import ArtefactError
from dubfew.prior.checkpoint import Prior
from dubfew.prior.renderers import Renderer
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.likeness import FacePictures
from dubfew.references.footage import Footage
from dubfew.references.selection import spread_rows
from dubfew.speech.style import SpeakingStyle
from dubfew.utils.format_version import check_format_version

# Version of an actor's files. Higher whenever this dubfew's files would be misread by an older one.
ADAPTER_FORMAT_VERSION = 1
# Names of an actor's files in the registry and in exports. Changing one makes stored actors
# unreadable.
ADAPTER_CONFIG_FILE = "adapter_config.json"
ADAPTER_WEIGHTS_FILE = "adapter_model.safetensors"
ADAPTER_TEXTURE_FILE = "texture.safetensors"
ADAPTER_REFERENCES_FILE = "references.safetensors"
ADAPTER_STYLE_FILE = "style.safetensors"
ADAPTER_TRACK_FILE = "track.safetensors"
ADAPTER_FACES_FILE = "faces.safetensors"
ADAPTER_CROPS_FILE = "crops.safetensors"
# Tracks of clips that were added later: the second clip has the number 2.
ADAPTER_ADDED_TRACK_FILE = "track-{number}.safetensors"
# Most clips that are added to an actor. The references of each are fewer then.
MAX_ADDED_TRACKS = 15
ADAPTER_ADDED_TRACK_FILES = tuple(
    ADAPTER_ADDED_TRACK_FILE.format(number=number) for number in range(2, MAX_ADDED_TRACKS + 2)
)
# Crops that are stored of an actor of a painting renderer: pictures at other times, of which
# renders show a few to the network. More make the actor larger.
NUM_STORED_CROPS = 16
# Keys of the configuration that rendering needs, as paths, and the types of their values.
REQUIRED_CONFIG_TYPES: dict[tuple[str, ...], type] = {
    ("prior", "name"): str,
    ("prior", "sha256"): str,
    ("method",): str,
    ("options",): dict,
    ("head",): str,
    ("source", "path"): str,
    ("source", "sha256"): str,
    ("source", "complete"): bool,
}


@dataclass(frozen=True)
class ActorAdapter:
    """One actor on top of a prior.

    Attributes:
        config: prior (name and hash), method and its options, head model, speech model, source
            (path, frames, hash) and training, as JSON.
        weights: delta against the prior's weights; the method knows how to apply it.
        texture: neural texture. [C, H, W]
        references: windows of the actor in the footage's own resolution.
        style: speaking style.
        track_bytes: track of the footage, as `Track.to_bytes` gives it.
        faces: a few pictures of the actor's face with the landmarks in them, px, by which other
            faces are compared with it; actors of an older dubfew have none.
        crops: pictures for a painting renderer; None for actors of blending ones.
        added_tracks: tracks of the clips that were added later, in their order.
    """

    config: dict[str, Any]
    weights: dict[str, Tensor]
    texture: Tensor
    references: Footage
    style: SpeakingStyle
    track_bytes: bytes
    faces: FacePictures = ()
    crops: ClipFootage | None = None
    added_tracks: tuple[bytes, ...] = ()

    def to_files(self) -> dict[str, bytes]:
        """Serialize the actor as files by name, weights and texture in half precision."""
        # Equal actors give equal bytes: safetensors sorts names, and JSON keeps the order of keys.
        files = {
            ADAPTER_CONFIG_FILE: json.dumps(
                {"format_version": ADAPTER_FORMAT_VERSION, **self.config}, indent=2
            ).encode(),
            ADAPTER_WEIGHTS_FILE: save_tensors({k: _to_half(v) for k, v in self.weights.items()}),
            ADAPTER_TEXTURE_FILE: save_tensors({"features": _to_half(self.texture)}),
            ADAPTER_REFERENCES_FILE: serialize_footage(self.references),
            ADAPTER_STYLE_FILE: self.style.to_bytes(),
            ADAPTER_TRACK_FILE: self.track_bytes,
        }
        if self.faces:
            files[ADAPTER_FACES_FILE] = _faces_to_bytes(self.faces)
        if self.crops is not None:
            files[ADAPTER_CROPS_FILE] = serialize_clip(self.crops)
        files |= dict(zip(ADAPTER_ADDED_TRACK_FILES, self.added_tracks, strict=False))
        return files

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> ActorAdapter:
        """Read the files of `to_files`, which may come from anybody.

        Raises:
            ArtefactError: A file is missing or damaged, or a newer dubfew wrote the actor.
        """
        try:
            config = json.loads(files[ADAPTER_CONFIG_FILE])
            check_format_version(config["format_version"], ADAPTER_FORMAT_VERSION, "this actor")
            check_config(config, REQUIRED_CONFIG_TYPES)
            # Shapes of the arrays depend on the head model.
            head = load_head_model(config["head"])
            weights, texture = (
                load_tensors(files[ADAPTER_WEIGHTS_FILE]),
                load_tensors(files[ADAPTER_TEXTURE_FILE]),
            )
            check_finite_weights(weights, "weight")
            check_finite_weights(texture, "texture")
            references = deserialize_footage(files[ADAPTER_REFERENCES_FILE])
            check_references(references, head)
            # The track stays as bytes: few callers need it, and they check it themselves.
            style = SpeakingStyle.from_bytes(files[ADAPTER_STYLE_FILE])
            check_style(style, head)
            return cls(
                config=config,
                weights={name: tensor.float() for name, tensor in weights.items()},
                texture=texture["features"].float(),
                references=references,
                style=style,
                track_bytes=files[ADAPTER_TRACK_FILE],
                faces=_faces_from_bytes(files.get(ADAPTER_FACES_FILE)),
                crops=_crops_from_bytes(files.get(ADAPTER_CROPS_FILE), config["head"]),
                added_tracks=tuple(files[n] for n in ADAPTER_ADDED_TRACK_FILES if n in files),
            )
        except (KeyError, TypeError, ValueError, RecursionError, SafetensorError) as error:
            # The messages quote values from the files: escape and shorten them.
            found = ascii(str(error))[1:-1][:200]
            raise ArtefactError(f"this actor's files are damaged ({found}): adapt anew") from error

    def merge_with_prior(self, prior: Prior) -> Renderer:
        """Copy the prior's renderer and merge this actor's delta into the copy.

        Raises:
            ArtefactError: The adapter belongs to another prior, or is damaged.
        """
        self.check_prior(prior)
        return self.merge_into(deepcopy(prior.renderer))

    def check_prior(self, prior: Prior) -> None:
        """Check that this actor was adapted on a prior.

        Raises:
            ArtefactError: The prior has other weights, or a texture of another shape.
        """
        expected = self.config["prior"]
        if expected["sha256"] != prior.sha256:
            own, given = (sha[:12] or "untrained" for sha in (expected["sha256"], prior.sha256))
            raise ArtefactError(
                f"this actor was adapted on prior {expected['name']!r} ({own}), given is another "
                f"({given}): adapt anew, or give that one"
            )
        # The hash covers the prior's texture, but not the one in the adapter's file.
        if self.texture.shape != prior.texture.shape:
            raise ArtefactError(
                f"this actor's texture is {list(self.texture.shape)}, its prior's "
                f"{list(prior.texture.shape)}: adapt anew"
            )

    def merge_into(self, renderer: Renderer) -> Renderer:
        """Merge the delta into a renderer that has the prior's weights, in place.

        Raises:
            ArtefactError: The delta does not fit. The renderer may have changed in part.
        """
        try:
            method, options = METHODS.load(self.config["method"]), self.config["options"]
            return method.apply_delta(renderer, self.weights, options).eval()
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ArtefactError(
                "this actor's weights or their options do not fit its prior: adapt anew"
            ) from error


def _faces_to_bytes(faces: FacePictures) -> bytes:
    """Serialize pictures of one size and the landmarks in them."""
    return save_tensors(
        {
            "images": torch.from_numpy(np.stack([image for image, _ in faces])),
            "landmarks": torch.from_numpy(np.stack([points[:, :2] for _, points in faces])),
        }
    )


def _faces_from_bytes(data: bytes | None) -> FacePictures:
    """Read what `_faces_to_bytes` gave; None, of an older dubfew, gives no pictures."""
    if data is None:
        return ()
    tensors = load_tensors(data)
    images, landmarks = tensors["images"].numpy(), tensors["landmarks"].numpy()
    check_faces(images, landmarks)
    return tuple(zip(images, landmarks, strict=True))


def select_stored_crops(clip: ClipFootage) -> ClipFootage:
    """Select the pictures that are stored of an actor, spread over the footage, without sound."""
    rows = spread_rows(0, len(clip) - 1, NUM_STORED_CROPS)
    return replace(clip.select_frames(rows), samples=np.zeros(0, np.float32), sound_start=0.0)


def _crops_from_bytes(data: bytes | None, head: str) -> ClipFootage | None:
    """Read and check stored crops; None for actors without any."""
    if data is None:
        return None
    crops = deserialize_clip(data, "this actor")
    check_crops(crops, head)
    # Decoded here, so that damaged pictures are an error before a render.
    try:
        return replace(crops, images=crops.images[:])
    except OSError as error:
        raise ValueError(f"a crop is no picture: {error}") from error


def _to_half(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().to(torch.float16).contiguous()
