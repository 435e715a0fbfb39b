"""Neural textures: what is particular to one actor's skin, as an image on the head's surface."""

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
