"""The interface of SyncNets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor, nn

from dubfew.errors import ArtefactError

# Consecutive frames at 25 fps that a SyncNet judges at once, 0.2 s.
# Source: Chung and Zisserman 2016, "Out of Time: Automated Lip Sync in the Wild", section 2.
SYNC_FRAMES = 5


class SyncNetwork(nn.Module, ABC):
    """Base class of SyncNets.

    Attributes:
        config: frozen dataclass of the network's sizes; builds the same network again.
        paper_steps: optimizer steps of the paper's training.
        paper_batch: pairs of a step there.
        paper_learning_rate: rate of Adam there.
        sound: entry of `dubfew.data.sound_features.SOUND_FEATURES` whose windows are judged; one
            for each frame.
    """

    config: Any
    paper_steps: ClassVar[int]
    paper_batch: ClassVar[int]
    paper_learning_rate: ClassVar[float]

    @property
    def sound(self) -> str:
        """Return the name of the sound feature."""
        return str(self.config.sound)

    @property
    @abstractmethod
    def embedding_width(self) -> int:
        """Return the channels of an embedding, the same for faces and sound."""

    @abstractmethod
    def embed_faces(self, frames: Tensor) -> Tensor:
        """Compute what the network makes of frames, whatever sound they are compared with.

        Args:
            frames: RGB crops in [0, 1], in order. [B, 5, 3, H, W]

        Returns:
            Embeddings, whose form is the network's own. [B, ...]
        """

    @abstractmethod
    def embed_sound(self, sound: Tensor) -> Tensor:
        """Compute what the network makes of sound, whatever frames it is compared with.

        Args:
            sound: window of the sound feature around each frame. [B, 5, F, L]

        Returns:
            Embeddings, whose form is the network's own. [B, ...]
        """

    @abstractmethod
    def score_embedded(self, faces: Tensor, sounds: Tensor) -> Tensor:
        """Score pairs of embeddings, see `score`. [B]

        Args:
            faces: embeddings of `embed_faces`. [B, ...]
            sounds: embeddings of `embed_sound`. [B, ...]
        """

    @abstractmethod
    def compute_embedded_loss(self, faces: Tensor, sounds: Tensor, in_sync: Tensor) -> Tensor:
        """Compute the loss of pairs of embeddings, see `compute_loss`. []

        Args:
            faces: embeddings of `embed_faces`. [B, ...]
            sounds: embeddings of `embed_sound`. [B, ...]
            in_sync: 1 for pairs in sync, 0 for others. [B]
        """

    def score(self, frames: Tensor, sound: Tensor) -> Tensor:
        """Score how well frames and sound fit.

        Args:
            frames: RGB crops in [0, 1], in order. [B, 5, 3, H, W]
            sound: window of the sound feature around each frame. [B, 5, F, L]

        Returns:
            About 1 where they fit, about 0 where they do not; 0.5 is undecided. [B]
        """
        return self.score_embedded(self.embed_faces(frames), self.embed_sound(sound))

    def compute_loss(self, frames: Tensor, sound: Tensor, in_sync: Tensor) -> Tensor:
        """Compute the loss of pairs of frames and sound.

        A renderer's loss is that of its paintings as pairs in sync.

        Args:
            frames: RGB crops in [0, 1], in order. [B, 5, 3, H, W]
            sound: window of the sound feature around each frame. [B, 5, F, L]
            in_sync: 1 for pairs in sync, 0 for others. [B]

        Returns:
            Mean over the pairs. []
        """
        faces, sounds = self.embed_faces(frames), self.embed_sound(sound)
        return self.compute_embedded_loss(faces, sounds, in_sync)

    def check_sound(self, name: str) -> None:
        """Check that a renderer hears the feature that this network hears.

        Args:
            name: the renderer's sound feature.

        Raises:
            ArtefactError: It is another one.
        """
        if self.sound != name:
            raise ArtefactError(
                f"the SyncNet hears {self.sound!r}, the renderer {name!r}: train one with the "
                "renderer's 'sound'"
            )

    def forward(self, frames: Tensor, sound: Tensor) -> Tensor:
        """Score frames and sound, see `score`. [B]

        Args:
            frames: see `score`.
            sound: see `score`.
        """
        return self.score(frames, sound)

    def freeze(self) -> SyncNetwork:
        """Prepare the network to judge: gradients reach pictures only, and nothing in it moves."""
        return self.eval().requires_grad_(False)

    def renderer_loss(self, frames: Tensor, sound: Tensor) -> Tensor:
        """Compute the loss of painted frames with the sound that they should fit. []

        Args:
            frames: painted crops, RGB in [0, 1], with gradients. [B, 5, 3, H, W]
            sound: window of the sound feature around each frame. [B, 5, ...]
        """
        return self.compute_loss(frames, sound, frames.new_ones(len(frames)))
