"""Neural textures: learned features of one actor's skin, as an image on the head's surface."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dubfew.utils.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from dubfew.textures.neural import (
        TEXTURE_CHANNELS,
        TEXTURE_SIZE,
        NeuralTexture,
        sample_texture,
        texture_regularization_loss,
    )
    from dubfew.textures.unwrap import unwrap_texture

__all__ = [
    "TEXTURE_CHANNELS",
    "TEXTURE_SIZE",
    "NeuralTexture",
    "sample_texture",
    "texture_regularization_loss",
    "unwrap_texture",
]

__getattr__ = lazy_exports(
    __name__,
    {name: "unwrap" if name == "unwrap_texture" else "neural" for name in __all__},
)
