"""SyncNet: how far a mouth and a sound are apart, by the network that the papers measure with.

The weights are the authors' (`syncnet_v2.model` of github.com/joonson/syncnet_python) and are not
shipped: whoever has the file names it.
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

SYNCNET_WEIGHTS_NAME = "syncnet_v2.model"
SYNCNET_PAGE_URL = "https://github.com/joonson/syncnet_python"
# Of the released file, as projects that use it record it.
SYNCNET_SHA256 = "961e8696f888fce4f3f3a6c3d5b3267cf5b343100b238e79b2659bff2c605442"

SYNCNET_INPUT_SIZE_PX = 224  # px, side of a picture
FRAMES_PER_WINDOW = 5  # a window: 0.2 s at 25 fps
CEPSTRA_PER_WINDOW = 20  # the same 0.2 s
EMBEDDING_SIZE = 1024
MAX_SHIFT_WINDOWS = 15  # windows, to either side


class SyncNet(nn.Module):
    """Two networks into one space, where a mouth lies near the sound that it makes.

    Parameters have the released file's names, so the numbering of the layers counts.

    Source: Chung and Zisserman 2016, Out of time: automated lip sync in the wild; layers of the
    second release.
    """

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_audio_layer(1, 64, 3, padding=1),
            nn.Identity(),  # the file counts a maximum over 1 x 1 here
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
        """Embeddings of windows of sound, see :func:`dubfew.evaluate.lipsync.mfcc.mfcc`."""
        return self.netfcaud(self.netcnnaud(cepstra[:, None]).flatten(1))

    def embed_frames(
        self,
        frames: Tensor,  # [T, 3, 224, 224]
    ) -> Tensor:  # [T - 4, 1024]
        """Embeddings of all windows of five of the pictures, which follow each other at 25 fps.

        Only the first layer spans time, so that windows share the pictures that they overlap in.

        Args:
            frames: BGR, 0 to 255. [T, 3, 224, 224]
        """
        found = self.netcnnlip(frames.transpose(0, 1)[None])  # [1, 512, T - 4, 1, 1]
        return self.netfclip(found[0, :, :, 0, 0].T)


def _audio_layer(
    in_channels: int, out_channels: int, kernel: int | tuple[int, int], padding: int = 0
) -> list:
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
    convolution = nn.Conv3d(in_channels, out_channels, kernel, stride, padding)
    return [convolution, nn.BatchNorm3d(out_channels), nn.ReLU()]


def _embedding_head() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, EMBEDDING_SIZE)
    )


def load_syncnet(path: Path | str) -> SyncNet:
    """The network with the weights of a file; nothing in the file is run.

    Warns if it is not the released file.

    Raises:
        AssetError: no such file, or not SyncNet's weights.
    """
    path = Path(path)
    expected = f"give {SYNCNET_WEIGHTS_NAME} of {SYNCNET_PAGE_URL}"
    stored = load_torch_weights(
        path, expected, missing_message=f"no SyncNet weights at {path}: {expected}"
    )
    with torch.device("meta"):
        model = SyncNet()
    load_weights_into(model, stored, path, "SyncNet", expected)
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
    """How well a mouth goes with its sound, as SyncNet sees it. NaN where it cannot be had.

    Attributes:
        lse_c: lip-sync error, confidence: by how much the best shift of the sound is better than
            the median of the shifts. More is better.
        lse_d: lip-sync error, distance: between mouth and sound at the best shift. Less is
            better.
        av_offset: windows of 1/25 s by which the mouth is late at the best shift.
    """

    lse_c: float = float("nan")
    lse_d: float = float("nan")
    av_offset: float = float("nan")


class ShiftDistances:
    """Mean distance of mouth and sound at each of 31 shifts, over windows as they come.

    Beyond the ends of the clip the sound's embedding is zero, as in the authors' code, which makes
    the outer shifts of a short clip look worse than they are. Below 16 windows a shift would be
    compared with nothing else, and there is no result.

    Source: Chung and Zisserman 2016, sec. 4; Prajwal et al. 2020 (Wav2Lip), who call its two
    figures LSE-C and LSE-D.
    """

    def __init__(self) -> None:
        self.num_windows = 0
        self._distance_sums = torch.zeros(2 * MAX_SHIFT_WINDOWS + 1, dtype=torch.float64)
        # Windows whose partners have not all come; the sound begins 15 windows before the mouth.
        self._pending_mouth = torch.zeros(0, EMBEDDING_SIZE)
        self._pending_audio = torch.zeros(MAX_SHIFT_WINDOWS, EMBEDDING_SIZE)

    def add(self, mouth: Tensor, audio: Tensor) -> None:
        """Embeddings of the next windows, in step. [B, 1024] each"""
        self.num_windows += len(mouth)
        self._pending_mouth = torch.cat([self._pending_mouth, mouth])
        self._pending_audio = torch.cat([self._pending_audio, audio])
        self._accumulate(max(0, len(self._pending_audio) - 2 * MAX_SHIFT_WINDOWS))

    def _accumulate(self, count: int) -> None:
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
        """The figures of all windows that were added. To be asked for once, at the end."""
        if self.num_windows <= MAX_SHIFT_WINDOWS:
            return LipSyncScore()
        self._pending_audio = torch.cat(
            [self._pending_audio, torch.zeros(MAX_SHIFT_WINDOWS, EMBEDDING_SIZE)]
        )
        self._accumulate(len(self._pending_mouth))
        mean = self._distance_sums / self.num_windows
        least, shift = mean.min(dim=0)
        return LipSyncScore(
            float(mean.median() - least), float(least), float(MAX_SHIFT_WINDOWS - shift)
        )
