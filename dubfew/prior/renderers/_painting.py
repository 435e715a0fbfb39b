"""The interface of painting renderers: networks that draw every pixel of a crop.

The renderers of papers (StyleSync's generator, DINet, SIDGAN, IPTalker) paint. They see windows of
frames whose mouth is blanked, pictures of the same person at other times, sound, and where their
paper has one a neural texture, and return the frames with a mouth. Blending renderers
(`dubfew.prior.renderers._base.Renderer`) move and mix an actor's own pixels instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor, nn

from dubfew.data.layouts import LAYOUTS, CropLayout
from dubfew.errors import ArtefactError

if TYPE_CHECKING:
    from dubfew.data.clip_inputs import ClipInputs

# ``sound`` of a renderer that hears nothing.
NO_SOUND = "none"


@dataclass(frozen=True)
class PaintingRendererConfig:
    """Part of the configuration that all painting renderers have; subclasses add their own.

    The fields are keys of stored priors. Every switch of a paper's ablations is a field.

    Attributes:
        layout: entry of `dubfew.data.layouts.LAYOUTS`: the crop that is painted.
        shrink: whole number that divides the layout's size, for small networks.
        frames: frames that the network needs at once, T. 1 for networks that paint each frame by
            itself, which take windows of any length.
        references: pictures of the person at other times, N.
        sound: entry of `dubfew.data.sound_features.SOUND_FEATURES`, or "none".
        texture_channels: features of the neural texture, C; 0 for renderers without one.
    """

    layout: str = "face256"
    shrink: int = 1
    frames: int = 1
    references: int = 1
    sound: str = "mel16"
    texture_channels: int = 0

    def load_layout(self) -> CropLayout:
        """Load the layout at the network's size.

        Raises:
            ArtefactError: The layout does not exist, or cannot be shrunk by ``shrink``.
        """
        try:
            return LAYOUTS.load(self.layout).shrunk(self.shrink)
        except ValueError as error:
            raise ArtefactError(str(error)) from error


class PaintingRenderer(nn.Module):
    """Base class of renderers that paint: subclasses implement ``paint``.

    Attributes:
        config: sizes of the network; builds the same network again.
    """

    config: PaintingRendererConfig

    def encode_references(self, references: Tensor) -> tuple[Tensor, ...]:
        """Compute what depends on the references alone, which a render does once for all frames.

        Args:
            references: RGB of other frames, for each window. [B, N, 3, H, W]

        Returns:
            What `paint` takes as ``known``; nothing if the network sees references and frames
            together.
        """
        return ()

    def paint(self, inputs: ClipInputs, known: tuple[Tensor, ...] = ()) -> Tensor:
        """Paint a batch of windows; every subclass implements it.

        Args:
            inputs: blanked frames, references, sound and, for renderers with a texture, its
                features. [B, T, ...]
            known: result of `encode_references` for the inputs' references; computed if empty.

        Returns:
            RGB in [0, 1] of every frame of the windows. [B, T, 3, H, W]

        Raises:
            NotImplementedError: The class is the base class.
        """
        raise NotImplementedError

    def forward(self, inputs: ClipInputs, known: tuple[Tensor, ...] = ()) -> Tensor:
        """Paint a batch of windows, see `paint`. [B, T, 3, H, W]"""
        return self.paint(inputs, known)
