"""Neural textures of training people, one parameter each, for several processes."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from dubfew.data.clip_index import SourceClip
from dubfew.data.clip_inputs import ClipSample
from dubfew.errors import ArtefactError
from dubfew.textures import TEXTURE_SIZE, sample_texture
from dubfew.textures.neural import INITIAL_FEATURE_STD
from dubfew.training.resume_state import LATEST_STATE_FILE, UNFINISHED_STATE_FOLDER
from dubfew.utils.files import write_atomic
from dubfew.utils.safetensors_io import TENSOR_READ_ERRORS

if TYPE_CHECKING:
    from accelerate import Accelerator

# Folder of a run for the textures of its training people, apart from the prior.
TEXTURES_FOLDER = "textures"


class SeparateTextures(nn.Module):
    """Base of texture modules whose people each have a parameter of their own.

    People who are not in a batch cost nothing in that step, and `average_gradients` sends only
    textures that a process has seen. Therefore the module is not wrapped for several processes.

    Attributes:
        features: textures of all N people, the keys of resume states. [C, H, W] each
    """

    features: nn.ParameterList

    def average_gradients(self, accelerator: Accelerator) -> None:
        """Give every process the mean of all processes' gradients.

        A texture without a gradient in any process keeps none, so that Adam's moments for it do
        not move either.
        """
        if accelerator.num_processes == 1:
            return
        parameters = list(self.features)
        has_gradient = torch.tensor([float(p.grad is not None) for p in parameters])
        counts = accelerator.reduce(has_gradient.to(accelerator.device), "sum").tolist()
        # All processes reduce the same textures in the same order, whatever they saw themselves.
        for parameter, count in zip(parameters, counts, strict=True):
            if count:
                own = parameter.grad
                if own is None:
                    own = torch.zeros_like(parameter)
                parameter.grad = accelerator.reduce(own, "mean")


class RandomTextures(SeparateTextures):
    """One neural texture per person that starts random; none where a renderer has no texture.

    Source: Saunders and Namboodiri 2024 (arXiv 2401.06126), sections 3.3 and 3.4.
    """

    def __init__(self, identities: list[str], num_channels: int, size: int = TEXTURE_SIZE) -> None:
        """Draw the features.

        Args:
            identities: names of the people, in the order of their rows.
            num_channels: features of a texture, C; 0 for renderers without a texture.
            size: edge of a texture, texels.
        """
        super().__init__()
        self.identities = identities
        self.num_channels, self.size = num_channels, size
        self.features = nn.ParameterList(
            torch.randn(num_channels, size, size) * INITIAL_FEATURE_STD
            for _ in (identities if num_channels else ())
        )

    def forward(self, sample: ClipSample) -> Tensor:
        """Look up the textures of a batch at every pixel.

        Args:
            sample: batch; ``actor_index`` counts the people.

        Returns:
            Features, 0 beside the mesh. [B, T, C, H, W]
        """
        inputs = sample.inputs
        if not self.num_channels:
            return inputs.texture
        # As a list: reading numbers one by one would wait for the GPU each time.
        rows = inputs.actor_index.tolist()
        return sample_clip_texture(
            torch.stack([self.features[row] for row in rows]), inputs.uv, inputs.mesh_mask
        )

    def make_new_actor_texture(self) -> Tensor:
        """Make the texture that a prior stores: nothing of anybody, zeros. [C, H, W]"""
        return torch.zeros(self.num_channels, self.size, self.size)

    def save_each(self, folder: Path) -> None:
        """Store each person's texture in a file of its own, which can be deleted by itself.

        Args:
            folder: folder to write to; nothing is written for renderers without a texture.
        """
        if not self.num_channels:
            return
        folder.mkdir(parents=True, exist_ok=True)
        for identity, features in zip(self.identities, self.features, strict=True):
            content = save({"features": features.detach().cpu().half().contiguous()})
            write_atomic(texture_path(folder, identity), content)


def sample_clip_texture(
    texture: Tensor,  # [B, C, Ht, Wt]
    uv: Tensor,  # [B, T, H, W, 2]
    mesh_mask: Tensor,  # [B, T, 1, H, W]
) -> Tensor:  # [B, T, C, H, W]
    """Look up one texture per row of a batch at every pixel of its windows.

    Args:
        texture: learned features. [B, C, Ht, Wt]
        uv: texture coordinates in [0, 1]. [B, T, H, W, 2]
        mesh_mask: 1 where the mesh covers the pixel. [B, T, 1, H, W]

    Returns:
        Features, 0 beside the mesh. [B, T, C, H, W]
    """
    frames = uv.shape[1]
    repeated = texture.repeat_interleave(frames, 0)
    sampled = sample_texture(repeated, uv.flatten(0, 1), mesh_mask.flatten(0, 1)[:, 0] > 0)
    return sampled.unflatten(0, (-1, frames))


def texture_path(folder: Path, identity: str) -> Path:
    """Return the file of a person's texture; its name begins with the person's.

    Args:
        folder: folder of the textures.
        identity: name of the person in the prepared data; any text.
    """
    # The same safe spelling as samples of shards have: identities may be any text.
    return folder / f"{SourceClip(Path(), identity, identity).sample_key}.safetensors"


def load_person_texture(folder: Path, identity: str) -> Tensor | None:
    """Read a person's texture.

    Args:
        folder: folder that `RandomTextures.save_each` filled.
        identity: name of the person.

    Returns:
        Features [C, H, W]; None where the person's texture is not there (any more).

    Raises:
        ArtefactError: The file is damaged.
    """
    path = texture_path(folder, identity)
    if not path.exists():
        return None
    try:
        return load_file(path)["features"].float()
    except (OSError, *TENSOR_READ_ERRORS) as error:
        raise ArtefactError(f"{path} is no texture of a training, or damaged ({error})") from error


def purge_run(out: Path, names: Collection[str]) -> list[str]:
    """Delete people's textures from the folder of a training.

    Resume states hold the textures of everybody: they are deleted as well, so that the training
    cannot go on. The finished prior holds no textures.

    Args:
        out: folder of the training, ``out`` of its configuration.
        names: identities.

    Returns:
        Identities whose textures were deleted.
    """
    folder = out / TEXTURES_FOLDER
    gone = []
    for name in sorted(names):
        path = texture_path(folder, name)
        if path.exists():
            path.unlink()
            gone.append(name)
    if gone:
        (out / LATEST_STATE_FILE).unlink(missing_ok=True)
        for state in (*out.glob("state-*"), out / UNFINISHED_STATE_FOLDER):
            shutil.rmtree(state, ignore_errors=True)
    return gone
