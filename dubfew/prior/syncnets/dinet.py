"""DINet's SyncNet: a map of scores from the mouth in 256 x 256 px and the logits of speech.

Source: Zhang et al. 2023, "DINet: Deformation Inpainting Network for Realistic Face Visually
Dubbing on High Resolution Video" (arXiv 2303.03988), "Loss Function"; the layers as in the
published code. Its training is not published: least squares to 1 and 0 is the counterpart of eq. 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dubfew.prior.syncnets._base import SYNC_FRAMES, SyncNetwork

# The mouth in DINet's crop of 416 x 320: rows 128 to 384, columns 32 to 288. As parts of the crop.
MOUTH_TOP, MOUTH_BOTTOM, MOUTH_LEFT, MOUTH_RIGHT = 4 / 13, 12 / 13, 0.1, 0.9
# Slope of the activation between the two layers of scores.
LEAKY_RELU_SLOPE = 0.2


@dataclass(frozen=True)
class ScoreMapSyncConfig:
    """Sizes of a `ScoreMapSyncNet`.

    Attributes:
        sound: sound feature, 29 logits in windows of five steps.
        features: numbers per step of the sound.
        divisor: divides the channels of all layers, for small networks.
        size: edge of the mouth that is judged, px; a multiple of 32.
    """

    sound: str = "ctc29_espeak"
    features: int = 29
    divisor: int = 1
    size: int = 256


class _Residual(nn.Module):
    """Two convolutions with ReLUs before them, around a shortcut."""

    def __init__(self, width: int, dimensions: int) -> None:
        super().__init__()
        convolution = nn.Conv2d if dimensions == 2 else nn.Conv1d
        self.first = convolution(width, width, 3, padding=1)
        self.second = convolution(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.relu(self.first(F.relu(x))))


class ScoreMapSyncNet(SyncNetwork):
    """The network of the module's docstring; it has no normalization."""

    # Zhang et al. 2023, DINet, "Implementation Details"; its steps are not said.
    paper_steps, paper_batch, paper_learning_rate = 370_000, 20, 1e-4

    def __init__(self, config: ScoreMapSyncConfig | None = None) -> None:
        """Make a network with fresh weights.

        Args:
            config: sizes; those of the published network by default.

        Raises:
            TypeError: The size is no multiple of 32.
        """
        super().__init__()
        self.config = config = config or ScoreMapSyncConfig()
        if config.size % 32 or config.size <= 0:
            raise TypeError(f"'size' is {config.size}: give a multiple of 32")
        # No divisor leaves a layer without channels.
        narrow, width = max(4, 64 // config.divisor), max(4, 128 // config.divisor)
        self._width = width
        face: list[nn.Module] = [
            *(nn.Conv2d(3 * SYNC_FRAMES, narrow, 7, padding=3), nn.ReLU()),
            *(_Residual(narrow, 2), nn.Conv2d(narrow, narrow, 3, padding=1), nn.ReLU()),
            *(nn.AvgPool2d(2), nn.Conv2d(narrow, width, 3, padding=1), nn.ReLU()),
        ]
        # With the pooling before it five halvings: a score stands for 32 x 32 px.
        for block in range(4):
            # The last block looks at single places, as in the published code.
            kernel = 1 if block == 3 else 3
            face += [
                *(_Residual(width, 2), nn.Conv2d(width, width, 3, padding=1), nn.ReLU()),
                *(nn.AvgPool2d(2), nn.Conv2d(width, width, kernel, padding=kernel // 2)),
                nn.ReLU(),
            ]
        self.face = nn.Sequential(*face)
        sound: list[nn.Module] = [nn.Conv1d(config.features, width, 7, padding=3), nn.ReLU()]
        # Nine steps of sound become two; the mean over them follows in `score_map`.
        for _ in range(3):
            sound += [
                *(_Residual(width, 1), nn.Conv1d(width, width, 3, stride=2, padding=1), nn.ReLU())
            ]
        sound += [nn.Conv1d(width, width, 3, padding=1), nn.ReLU()]
        self.sound_encoder = nn.Sequential(*sound)
        self.scores = nn.Sequential(
            nn.Conv2d(2 * width, width, 3, padding=1),
            nn.LeakyReLU(LEAKY_RELU_SLOPE),
            nn.Conv2d(width, 1, 3, padding=1),
        )

    @property
    def embedding_width(self) -> int:
        """Return the channels of an embedding: 128 with all channels."""
        return self._width

    def embed_faces(self, frames: Tensor) -> Tensor:
        """Compute features of places of the mouth.

        Args:
            frames: RGB crops in [0, 1] of DINet's layout, in order. [B, 5, 3, H, W]

        Returns:
            Features of the mouth. [B, 128, size / 32, size / 32]
        """
        return self.face(cut_mouths(frames, self.config.size).flatten(1, 2))

    def embed_sound(self, sound: Tensor) -> Tensor:
        """Compute the code of sound. [B, 128]

        Args:
            sound: window of the sound feature around each frame. [B, 5, 29, 5]
        """
        return self.sound_encoder(join_windows(sound)).mean(2)

    def score_map(self, faces: Tensor, sounds: Tensor) -> Tensor:
        """Score places of the mouth.

        Args:
            faces: features of the mouth. [B, 128, size / 32, size / 32]
            sounds: codes of sound. [B, 128]

        Returns:
            About 1 where mouth and sound fit, else 0. [B, 1, size / 32, size / 32]
        """
        spread = sounds[:, :, None, None].expand(-1, -1, *faces.shape[2:])
        return self.scores(torch.cat([faces, spread], 1))

    def score_embedded(self, faces: Tensor, sounds: Tensor) -> Tensor:
        """Score pairs, see `SyncNetwork.score`: the mean of the map. [B]

        Args:
            faces: see `score_map`.
            sounds: see `score_map`.
        """
        return self.score_map(faces, sounds).mean((1, 2, 3))

    def compute_embedded_loss(self, faces: Tensor, sounds: Tensor, in_sync: Tensor) -> Tensor:
        """Compute the mean square of the map's distance, see `SyncNetwork.compute_loss`.

        Args:
            faces: see `score_map`.
            sounds: see `score_map`.
            in_sync: 1 where frames and sound belong together, else 0. [B]

        Source: Zhang et al. 2023, DINet, eq. 6, for painted frames.
        """
        expected = in_sync.to(faces.dtype)[:, None, None, None]
        return (self.score_map(faces, sounds) - expected).square().mean()


def cut_mouths(frames: Tensor, size: int) -> Tensor:
    """Cut the mouth of DINet's crops, at the size that the network sees.

    Args:
        frames: RGB crops. [B, 5, 3, H, W]
        size: edge of the result, px.

    Returns:
        RGB. [B, 5, 3, size, size]
    """
    batch, count, channels, height, width = frames.shape
    top, bottom = round(MOUTH_TOP * height), round(MOUTH_BOTTOM * height)
    left, right = round(MOUTH_LEFT * width), round(MOUTH_RIGHT * width)
    mouths = frames[..., top:bottom, left:right].flatten(0, 1)
    if mouths.shape[2:] != (size, size):
        mouths = F.interpolate(
            mouths, (size, size), mode="bilinear", antialias=True, align_corners=False
        )
    return mouths.view(batch, count, channels, size, size)


def join_windows(sound: Tensor) -> Tensor:
    """Join the windows of five frames to one that spans all of them.

    Args:
        sound: five steps around each of five frames, 25 steps a second. [B, 5, F, 5]

    Returns:
        Nine steps around the frame in the middle. [B, F, 9]
    """
    return torch.cat([sound[:, 0], sound[:, -1, :, 1:]], 2)


def make_syncnet(settings: Mapping[str, Any]) -> ScoreMapSyncNet:
    """Make the network from settings that differ from `ScoreMapSyncConfig`."""
    return ScoreMapSyncNet(ScoreMapSyncConfig(**settings))
