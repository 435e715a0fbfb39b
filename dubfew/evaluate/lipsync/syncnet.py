"""SyncNet: the network with which papers measure how well a mouth fits its sound.

The weights are the authors' (`syncnet_v2.model` of github.com/joonson/syncnet_python). They are not
shipped; the user gives the path of the file.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dubfew.utils.files import sha256_file
from dubfew.utils.torch_checkpoint import load_torch_weights, load_weights_into

# Name of the weights' file, and the page that has it.
SYNCNET_WEIGHTS_NAME = "syncnet_v2.model"
SYNCNET_PAGE_URL = "https://github.com/joonson/syncnet_python"
# SHA-256 of the released file, as several public projects record it.
SYNCNET_SHA256 = "961e8696f888fce4f3f3a6c3d5b3267cf5b343100b238e79b2659bff2c605442"

# The released weights fix the following numbers.
#
# Edge of a picture, px.
SYNCNET_INPUT_SIZE_PX = 224
# Pictures of a window: 0.2 s at 25 fps.
FRAMES_PER_WINDOW = 5
# Rows of cepstra of the same 0.2 s.
CEPSTRA_PER_WINDOW = 20
# Length of an embedding.
EMBEDDING_SIZE = 1024
# Largest shift of the sound that is tried to either side, in windows of 1/25 s, as in the papers.
# LSE-C depends on it: it is the median over the shifts minus the least.
MAX_SHIFT_WINDOWS = 15


class SyncNet(nn.Module):
    """Embed mouths and sounds into one space, in which a mouth is near the sound that it makes.

    Parameters have the names of the released file, so the numbers of the layers matter.

    Source: Chung and Zisserman 2016, "Out of Time: Automated Lip Sync in the Wild"; the layers are
    those of the second release.
    """

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_audio_layer(1, 64, 3, padding=1),
            nn.Identity(),  # a maximum over 1 x 1 in the released network
            *_audio_layer(64, 192, 3, padding=1),
            nn.MaxPool2d(3, stride=(1, 2)),
            *_audio_layer(192, 384, 3, padding=1),
            *_audio_layer(384, 256, 3, padding=1),
            *_audio_layer(256, 256, 3, padding=1),
            nn.MaxPool2d(3, stride=2),
            *_audio_layer(256, 512, (5, 4)),
        )
        self.netfcaud = _embedding_head()
        self.netcnnlip = nn.Sequential(
            *_visual_layer(3, 96, (FRAMES_PER_WINDOW, 7, 7), stride=(1, 2, 2)),
            nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2)),
            *_visual_layer(96, 256, (1, 5, 5), stride=(1, 2, 2), padding=(0, 1, 1)),
            nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)),
            *_visual_layer(256, 256, (1, 3, 3), padding=(0, 1, 1)),
            *_visual_layer(256, 256, (1, 3, 3), padding=(0, 1, 1)),
            *_visual_layer(256, 256, (1, 3, 3), padding=(0, 1, 1)),
            nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2)),
            *_visual_layer(256, 512, (1, 6, 6)),
        )
        self.netfclip = _embedding_head()

    def embed_audio(
        self,
        cepstra: Tensor,  # [B, 13, 20]
    ) -> Tensor:  # [B, 1024]
        """Embed windows of sound.

        Args:
            cepstra: rows of `dubfew.media.mfcc.mfcc`. [B, 13, 20]

        Returns:
            One vector per window. [B, 1024]
        """
        return self.netfcaud(self.netcnnaud(cepstra[:, None]).flatten(1))

    def embed_frames(
        self,
        frames: Tensor,  # [T, 3, 224, 224]
    ) -> Tensor:  # [T - 4, 1024]
        """Embed all windows of five pictures that follow each other at 25 fps.

        Only the first layer spans time, so overlapping windows share the work on their pictures.

        Args:
            frames: face crops, BGR, 0 to 255. [T, 3, 224, 224]

        Returns:
            One vector per window. [T - 4, 1024]
        """
        features = self.netcnnlip(frames.transpose(0, 1)[None])  # [1, 512, T - 4, 1, 1]
        return self.netfclip(features[0, :, :, 0, 0].T)


def _audio_layer(
    in_channels: int, out_channels: int, kernel: int | tuple[int, int], padding: int = 0
) -> list:
    """A convolution over sound with normalization and ReLU."""
    return [
        nn.Conv2d(in_channels, out_channels, kernel, padding=padding),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    ]


def _visual_layer(
    in_channels: int,
    out_channels: int,
    kernel: tuple[int, int, int],
    stride: tuple[int, int, int] = (1, 1, 1),
    padding: tuple[int, int, int] = (0, 0, 0),
) -> list:
    """A convolution over pictures with normalization and ReLU."""
    convolution = nn.Conv3d(in_channels, out_channels, kernel, stride, padding)
    return [convolution, nn.BatchNorm3d(out_channels), nn.ReLU()]


def _embedding_head() -> nn.Sequential:
    """The fully connected layers that end either network."""
    return nn.Sequential(
        nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, EMBEDDING_SIZE)
    )


def load_released_syncnet(path: Path | str) -> SyncNet:
    """Load SyncNet with the weights of a file; no code in the file is executed.

    A warning says so if it is not the released file.

    Args:
        path: file of the weights.

    Returns:
        The network, in evaluation mode.

    Raises:
        AssetError: The file does not exist, or does not hold SyncNet's weights.
    """
    path = Path(path)
    expected = f"give {SYNCNET_WEIGHTS_NAME} of {SYNCNET_PAGE_URL}"
    stored = load_torch_weights(
        path, expected, missing_message=f"no SyncNet weights at {path}: {expected}"
    )
    # Without memory: the weights come from the file.
    with torch.device("meta"):
        model = SyncNet()
    load_weights_into(model, stored, path, "SyncNet", expected)
    # Other weights are allowed, such as a conversion to another format, but reported.
    if sha256_file(path) != SYNCNET_SHA256:
        warnings.warn(
            f"{path} is not the released {SYNCNET_WEIGHTS_NAME}: its LSE figures compare with "
            "published ones "
            "only if its weights are the same",
            stacklevel=2,
        )
    return model


@dataclass(frozen=True)
class LipSyncScore:
    """SyncNet's score of a mouth with its sound; NaN where it cannot be measured.

    Attributes:
        lse_c: lip-sync error, confidence: distance at the median shift of the sound minus that at
            the best shift; higher is better.
        lse_d: lip-sync error, distance: distance of mouth and sound at the best shift; lower is
            better.
        av_offset: delay of the mouth at the best shift, in windows of 1/25 s, -15 to 15.
    """

    lse_c: float = float("nan")
    lse_d: float = float("nan")
    av_offset: float = float("nan")


class ShiftDistances:
    """Average the distance of mouth and sound at each of 31 shifts, over a stream of windows.

    The sound's embedding is zero beyond the ends of the clip, as in the authors' code. That makes
    the outer shifts of a short clip look worse than they are. With fewer than 16 windows some
    shifts compare nothing but zeros, and there is no result.

    Attributes:
        num_windows: number of windows so far.

    Source: Chung and Zisserman 2016, section 4; Prajwal et al. 2020 (arXiv 2008.10010), section 4,
    name its two numbers LSE-C and LSE-D.
    """

    def __init__(self) -> None:
        self.num_windows = 0
        self._distance_sums = torch.zeros(2 * MAX_SHIFT_WINDOWS + 1, dtype=torch.float64)
        # Windows whose partners have not all arrived; the sound begins 15 windows before the mouth.
        self._pending_mouth = torch.zeros(0, EMBEDDING_SIZE)
        self._pending_audio = torch.zeros(MAX_SHIFT_WINDOWS, EMBEDDING_SIZE)

    def add(self, mouth: Tensor, audio: Tensor) -> None:
        """Add the next windows.

        Args:
            mouth: embeddings of pictures. [B, 1024]
            audio: embeddings of the sound beside them. [B, 1024]
        """
        # Keep the windows whose partners at the largest shift are still to come.
        self.num_windows += len(mouth)
        self._pending_mouth = torch.cat([self._pending_mouth, mouth])
        self._pending_audio = torch.cat([self._pending_audio, audio])
        self._accumulate(max(0, len(self._pending_audio) - 2 * MAX_SHIFT_WINDOWS))

    def _accumulate(self, count: int) -> None:
        """Add the distances of the first pending windows at all shifts, and drop these windows."""
        # Shift 0 is the sound 15 windows before the mouth.
        for shift in range(2 * MAX_SHIFT_WINDOWS + 1):
            partners = self._pending_audio[shift : shift + count]
            self._distance_sums[shift] += (
                F.pairwise_distance(self._pending_mouth[:count], partners).double().sum()
            )
        self._pending_mouth, self._pending_audio = (
            self._pending_mouth[count:],
            self._pending_audio[count:],
        )

    def compute_score(self) -> LipSyncScore:
        """Compute the score of all windows; call it once, at the end."""
        if self.num_windows <= MAX_SHIFT_WINDOWS:
            return LipSyncScore()
        self._pending_audio = torch.cat(
            [self._pending_audio, torch.zeros(MAX_SHIFT_WINDOWS, EMBEDDING_SIZE)]
        )
        self._accumulate(len(self._pending_mouth))
        mean = self._distance_sums / self.num_windows
        # The median stands for shifts that do not fit.
        least, shift = mean.min(dim=0)
        return LipSyncScore(
            float(mean.median() - least), float(least), float(MAX_SHIFT_WINDOWS - shift)
        )
