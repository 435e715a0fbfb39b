"""What is stored of an actor: deltas against a prior, a texture, references, a style."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from dubfew.adapt.methods import METHODS
from dubfew.adapt.validation import (
    check_config,
    check_finite_weights,
    check_references,
    check_style,
)
from dubfew.data.footage_io import deserialize_footage, serialize_footage
from dubfew.errors import ArtefactError
from dubfew.prior.checkpoint import Prior
from dubfew.prior.renderers import Renderer
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.references.footage import Footage
from dubfew.speech.style import SpeakingStyle
from dubfew.utils.format_version import check_format_version

ADAPTER_FORMAT_VERSION = 1
ADAPTER_CONFIG_FILE = "adapter_config.json"
ADAPTER_WEIGHTS_FILE = "adapter_model.safetensors"
ADAPTER_TEXTURE_FILE = "texture.safetensors"
ADAPTER_REFERENCES_FILE = "references.safetensors"
ADAPTER_STYLE_FILE = "style.safetensors"
ADAPTER_TRACK_FILE = "track.safetensors"
# What rendering needs of the configuration.
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
    """One actor.

    Attributes:
        config: format version, prior (name and hash), method and its options, head model,
            source (path, frames, hash).
        weights: delta against the prior, as its method understands it.
        texture: neural texture. [C, H, W]
        references: windows of the actor at their own resolution.
        style: speaking style.
        track_bytes: the footage's track, serialised.
    """

    config: dict[str, Any]
    weights: dict[str, Tensor]
    texture: Tensor
    references: Footage
    style: SpeakingStyle
    track_bytes: bytes

    def to_files(self) -> dict[str, bytes]:
        """The artefact as named files, in half precision."""
        return {
            ADAPTER_CONFIG_FILE: json.dumps(
                {"format_version": ADAPTER_FORMAT_VERSION, **self.config}, indent=2
            ).encode(),
            ADAPTER_WEIGHTS_FILE: save_tensors({k: _to_half(v) for k, v in self.weights.items()}),
            ADAPTER_TEXTURE_FILE: save_tensors({"features": _to_half(self.texture)}),
            ADAPTER_REFERENCES_FILE: serialize_footage(self.references),
            ADAPTER_STYLE_FILE: self.style.to_bytes(),
            ADAPTER_TRACK_FILE: self.track_bytes,
        }

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> ActorAdapter:
        """Read what ``to_files`` gave.

        Raises:
            ArtefactError: a file is missing or damaged, or the format is newer.
        """
        try:
            config = json.loads(files[ADAPTER_CONFIG_FILE])
            check_format_version(config["format_version"], ADAPTER_FORMAT_VERSION, "this actor")
            check_config(config, REQUIRED_CONFIG_TYPES)
            head = load_head_model(config["head"])
            weights, texture = (
                load_tensors(files[ADAPTER_WEIGHTS_FILE]),
                load_tensors(files[ADAPTER_TEXTURE_FILE]),
            )
            check_finite_weights(weights, "weight")
            check_finite_weights(texture, "texture")
            references = deserialize_footage(files[ADAPTER_REFERENCES_FILE])
            check_references(references, head)
            style = SpeakingStyle.from_bytes(files[ADAPTER_STYLE_FILE])
            check_style(style)
            return cls(
                config=config,
                weights={name: tensor.float() for name, tensor in weights.items()},
                texture=texture["features"].float(),
                references=references,
                style=style,
                track_bytes=files[ADAPTER_TRACK_FILE],
            )
        except (KeyError, TypeError, ValueError, RecursionError, SafetensorError) as error:
            # Errors quote what they found, which may be anything.
            found = ascii(str(error))[1:-1][:200]
            raise ArtefactError(f"this actor's files are damaged ({found}): adapt anew") from error

    def merge_with_prior(self, prior: Prior) -> Renderer:
        """The prior's renderer with this actor's delta merged in; the prior is left as it is.

        Raises:
            ArtefactError: the adapter belongs to another prior, or is damaged.
        """
        self.check_prior(prior)
        return self.merge_into(deepcopy(prior.renderer))

    def check_prior(self, prior: Prior) -> None:
        """Raises ArtefactError unless this actor was adapted on that prior."""
        wanted = self.config["prior"]
        if wanted["sha256"] != prior.sha256:
            own, given = (sha[:12] or "untrained" for sha in (wanted["sha256"], prior.sha256))
            raise ArtefactError(
                f"this actor was adapted on prior {wanted['name']!r} ({own}), given is another "
                f"({given}): adapt anew, or give that one"
            )
        if self.texture.shape != prior.texture.shape:
            raise ArtefactError(
                f"this actor's texture is {list(self.texture.shape)}, its prior's "
                f"{list(prior.texture.shape)}: adapt anew"
            )

    def merge_into(self, renderer: Renderer) -> Renderer:
        """Merge the delta into a renderer with the prior's weights, in place.

        Raises:
            ArtefactError: the delta does not fit; the renderer may then be changed in part.
        """
        try:
            method, options = METHODS.load(self.config["method"]), self.config["options"]
            return method.apply_delta(renderer, self.weights, options).eval()
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ArtefactError(
                "this actor's weights or their options do not fit its prior: adapt anew"
            ) from error


def _to_half(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().to(torch.float16).contiguous()
