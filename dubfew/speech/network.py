"""The networks: from encoder features to motion coefficients and voice activity at 50 Hz."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dubfew.media.mel import NUM_MEL_BANDS
from dubfew.speech.encoders import MEL_FRAMES_PER_ROW

# Rows that the linear predictor sees, at most, and their spacing: every second row within a quarter
# of a second to either side.
MAX_LINEAR_TAPS, TAP_SPACING_ROWS = 13, 2
# Principal components that wider features are reduced to, and rows of them that the linear
# predictor sees at most (0.16 s to either side). On held-out people, 96 to 192 components predict
# as well as all 384 features of Whisper's second block, at a fraction of the cost; 64 predict
# worse. Rows farther away than this cost correlation.
MAX_FEATURES, MAX_PROJECTED_TAPS = 96, 9

# Numbers per row that the linear predictor sees, at most: wide encoders get fewer taps, because the
# equations for the weights need the square of this in memory (32 MB).
MAX_LINEAR_COLUMNS = 2000

# Gaps predicted by the networks between which the lips are blended from fully closed to the
# prediction, inter-ocular distances. Higher values shut lips that are open on film: with (0.03,
# 0.06), r of the gap falls from 0.43 to 0.39 on held-out people, and closures of synthetic /p b m/
# rise from 88 to 96 %.
CLOSING_GAP_RANGE = (0.01, 0.03)
# The same where a classifier hears closures: probability of /p b m/ from which the lips begin to
# close and at which they are closed, and gaps predicted by the networks below which a heard closure
# is believed fully and above which it is not. Without the classifier the networks' low gaps in /v/,
# /w/ and /u/ are taken for closures, too (of their rows in held-out languages, 74, 30 and 24 % are
# shut; with it 57, 10 and 3 %). Higher probabilities lose /p b m/, lower ones shut more of /v/ and
# /w/; a wider range of gaps shuts lips that are open on film.
CLOSURE_PROBABILITY_RANGE, HEARD_GAP_RANGE = (0.1, 0.3), (0.02, 0.05)
# Rows to either side that the detector of speech looks at (1 s): single rows of music resemble
# vowels, seconds of it do not. With half a second, speech over music falls among music.
SPEECH_DETECTOR_REACH_ROWS = 50
# Logit of the detector at which a sound counts half as speech, and factor on the distance from it.
# On film, 95 % of the loud rows of every clip but one lie above -1; of music by sampled
# instruments, 80 % lie below -3.
_SPEECH_THRESHOLD, _SPEECH_STEEPNESS = -1.6, 5.0
# The lips are closed only where a low gap is a dip or rest. A dip: within the window the gap is
# larger by the first range (no closure at its lower end, full closure at its upper end). Rest:
# within the window the gap is nowhere larger than the second range. Otherwise uncertain stretches,
# in which the prediction is low throughout, would be spoken with lips shut. The window reaches 7
# rows (0.14 s) to either side, about a syllable.
CLOSURE_DIP_RANGE, REST_GAP_RANGE, CLOSURE_WINDOW_ROWS = (0.01, 0.03), (0.02, 0.04), 7


class SpeechPrediction(NamedTuple):
    """Prediction for every row.

    Attributes:
        coefficients: motion coefficients, before gating. [B, R, K]
        voice_logits: logit of the probability that there is speech. [B, R]
        detected_logits: the same by the detector of speech; None without one. [B, R]
    """

    coefficients: Tensor
    voice_logits: Tensor
    detected_logits: Tensor | None = None


@dataclass(frozen=True)
class SpeechNetworkConfig:
    """Sizes of a `SpeechEnsemble`; stored with the weights.

    Attributes:
        channels: channels of every block.
        dilations: dilations of the blocks, in order; they set how far the network sees.
        components: motion coefficients per row.
        members: number of networks.
        dropout: fraction of channels that are dropped in training.
        inputs: numbers per frame of the encoder.
        stride: frames of the encoder per output row.
        projected: principal components that the frames are reduced to; 0 takes them as they are.
        hears_closures: whether a classifier of /p b m/ decides where the lips close. Models of
            format 2 have none.
        detects_speech: whether a detector tells speech from music and noise. Models of format 2
            have none.
    """

    channels: int = 64
    dilations: tuple[int, ...] = (1, 2, 4, 8, 1, 2, 4)
    components: int = 8
    members: int = 3
    dropout: float = 0.2
    inputs: int = NUM_MEL_BANDS
    stride: int = MEL_FRAMES_PER_ROW
    projected: int = 0
    hears_closures: bool = False
    detects_speech: bool = False

    @property
    def width(self) -> int:
        """Return how many numbers per frame the networks see."""
        return self.projected or self.inputs

    @property
    def context_rows(self) -> int:
        """Compute how many output rows on either side one row depends on, rounded up."""
        return max(
            sum(self.dilations) + 2 + CLOSURE_WINDOW_ROWS,
            self.num_taps // 2 * TAP_SPACING_ROWS + 1,
            SPEECH_DETECTOR_REACH_ROWS + 1 if self.detects_speech else 0,
        )

    @property
    def num_taps(self) -> int:
        """Compute how many rows the linear predictor sees, an odd number."""
        most = MAX_PROJECTED_TAPS if self.projected else MAX_LINEAR_TAPS
        return max(1, min(most, (MAX_LINEAR_COLUMNS // self.width - 1) // 2 * 2 + 1))


class FeatureProjection(nn.Module):
    """A fixed linear map of an encoder's frames to principal components of unit variance.

    Its weights are computed by `fit_feature_projection`, not trained by gradient descent.
    """

    def __init__(self, config: SpeechNetworkConfig) -> None:
        super().__init__()
        self.mean: Tensor
        self.directions: Tensor
        self.register_buffer("mean", torch.zeros(config.inputs))
        self.register_buffer("directions", torch.zeros(config.inputs, config.projected))

    def forward(self, frames: Tensor) -> Tensor:
        """Project frames. [..., inputs] -> [..., projected]"""
        return (frames - self.mean) @ self.directions


class _DilatedBlock(nn.Module):
    """A dilated convolution and a mix of channels, around a shortcut."""

    def __init__(self, channels: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.wide = nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.norm = nn.BatchNorm1d(channels)
        self.mix = nn.Conv1d(channels, channels, 1)
        self.drop = nn.Dropout1d(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block; the shape stays. [B, C, T]"""
        y = nn.functional.gelu(self.norm(self.wide(x)))
        return x + self.drop(self.mix(y))


class SpeechNetwork(nn.Module):
    """One network of the ensemble: temporal convolutions that see half a second to either side."""

    def __init__(self, config: SpeechNetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.stem = nn.Conv1d(config.width, config.channels, 5, stride=config.stride, padding=2)
        self.blocks = nn.ModuleList(
            _DilatedBlock(config.channels, dilation, config.dropout)
            for dilation in config.dilations
        )
        self.head = nn.Conv1d(config.channels, config.components + 1, 1)

    def forward(
        self,
        frames: Tensor,  # [B, T, width]
    ) -> SpeechPrediction:
        """Predict rows; row r is centered on frame ``stride * r``.

        Args:
            frames: features of the encoder, projected if the configuration says so. [B, T, width]

        Returns:
            ceil(T / stride) rows.
        """
        # The stem brings frames to rows, the blocks look around, the head has one more channel for
        # voice activity.
        x = nn.functional.gelu(self.stem(frames.transpose(1, 2)))
        for block in self.blocks:
            x = block(x)
        out = self.head(x).transpose(1, 2)
        return SpeechPrediction(out[..., :-1], out[..., -1])


class LinearPredictor(nn.Module):
    """A linear map of the frames around each row to motion coefficients.

    Its weights are solved for by `solve_linear_predictor`, not trained by gradient descent.
    """

    def __init__(self, config: SpeechNetworkConfig) -> None:
        super().__init__()
        self.map = nn.Conv1d(
            config.width,
            config.components,
            config.num_taps,
            stride=config.stride,
            dilation=TAP_SPACING_ROWS * config.stride,
            padding=config.num_taps // 2 * TAP_SPACING_ROWS * config.stride,
        )

    def forward(self, frames: Tensor) -> Tensor:  # [B, T, width] -> [B, R, K]
        """Predict coefficients [B, R, K] from frames [B, T, width]."""
        return self.map(frames.transpose(1, 2)).transpose(1, 2)


class ClosureClassifier(nn.Module):
    """A logistic regression that tells /p b m/, in which the lips meet, from all other sounds.

    Its weights are fitted by `fit_closure_classifier`. It sees the rows that the linear predictor
    sees.
    """

    def __init__(self, config: SpeechNetworkConfig) -> None:
        super().__init__()
        self.map = nn.Conv1d(
            config.width,
            1,
            config.num_taps,
            stride=config.stride,
            dilation=TAP_SPACING_ROWS * config.stride,
            padding=config.num_taps // 2 * TAP_SPACING_ROWS * config.stride,
        )

    def forward(self, frames: Tensor) -> Tensor:  # [B, T, width] -> [B, R]
        """Compute the logit of a closure of the lips for each row."""
        return self.map(frames.transpose(1, 2))[:, 0]


class SpeechDetector(nn.Module):
    """A logistic regression that tells speech from music and noise by two seconds of features.

    Its weights are fitted by `fit_speech_detector`.
    """

    def __init__(self, config: SpeechNetworkConfig) -> None:
        super().__init__()
        self.stride = config.stride
        self.map = nn.Linear(3 * config.width, 1)

    def summarize(self, frames: Tensor) -> Tensor:  # [B, T, width] -> [B, R, 3 * width]
        """Compute mean, spread and speed of each feature around each row.

        Args:
            frames: projected features. [B, T, width]
        """
        rows = frames[:, :: self.stride].transpose(1, 2)
        steps = nn.functional.pad(rows[..., 1:] - rows[..., :-1], (1, 0))
        mean = _mean_near(rows)
        spread = (_mean_near(rows**2) - mean**2).clamp_min(1e-6).sqrt()
        speed = (_mean_near(steps**2) + 1e-5).sqrt()
        return torch.cat([mean, spread, speed], 1).transpose(1, 2)

    def forward(self, frames: Tensor) -> Tensor:  # [B, T, width] -> [B, R]
        """Compute the logit of speech for each row."""
        return self.map(self.summarize(frames))[..., 0]


class SpeechEnsemble(nn.Module):
    """The mean of several networks and a linear predictor, with lips closed where they close.

    From minutes of film, a network learns much that is chance, and chance differs from one network
    to the next, so their mean is better. Least squares over all film errs differently from all of
    them, but predicts no closures. Therefore the lips stay together where the networks bring them
    nearly together and a classifier hears /p b m/, or where the networks predict rest.
    """

    def __init__(
        self,
        config: SpeechNetworkConfig,
        opening: Tensor,  # [K]
    ) -> None:
        """Make untrained networks.

        Args:
            config: sizes.
            opening: lip gap per unit of each coefficient. [K]
        """
        super().__init__()
        self.config = config
        self.projection = FeatureProjection(config) if config.projected else nn.Identity()
        self.networks = nn.ModuleList(SpeechNetwork(config) for _ in range(config.members))
        self.linear = LinearPredictor(config)
        self.closure = ClosureClassifier(config) if config.hears_closures else None
        self.detector = SpeechDetector(config) if config.detects_speech else None
        self.opening: Tensor
        self.register_buffer("opening", opening.clone())

    def forward(
        self,
        frames: Tensor,  # [B, T, inputs]
    ) -> SpeechPrediction:
        """Predict rows from frames of the encoder, see `SpeechNetwork.forward`."""
        frames = self.projection(frames)
        found = [network(frames) for network in self.networks]
        motions = [each.coefficients for each in found]
        voices = [each.voice_logits for each in found]
        # Half of the motion is the networks' mean, half the linear predictor's.
        motion = torch.stack(motions).mean(0)
        mean = (motion + self.linear(frames)) / 2
        closed = self._find_closures(frames, motion @ self.opening)
        # Close the lips by the smallest change of the coefficients that removes the gap.
        gap = (mean @ self.opening).clamp_min(0)
        direction = self.opening / (self.opening @ self.opening)
        voice = torch.stack(voices).mean(0)
        detected = None
        if self.detector is not None:
            detected = _SPEECH_STEEPNESS * (self.detector(frames) - _SPEECH_THRESHOLD)
        return SpeechPrediction(mean - (gap * closed)[..., None] * direction, voice, detected)

    def _find_closures(self, frames: Tensor, predicted_gap: Tensor) -> Tensor:
        """Compute how far the lips are to be closed, from 0 to 1. [B, R]

        Args:
            frames: projected features. [B, T, width]
            predicted_gap: mean gap of the networks. [B, R]
        """
        largest_gap_near = nn.functional.max_pool1d(
            predicted_gap[:, None], 2 * CLOSURE_WINDOW_ROWS + 1, 1, CLOSURE_WINDOW_ROWS
        )[:, 0]
        is_low = 1 - _smoothstep(predicted_gap, CLOSING_GAP_RANGE)
        is_rest = 1 - _smoothstep(largest_gap_near, REST_GAP_RANGE)
        if self.closure is None:
            # Without a classifier, every low gap that is a dip counts.
            is_dip = _smoothstep(largest_gap_near - predicted_gap, CLOSURE_DIP_RANGE)
            return is_low * torch.maximum(is_dip, is_rest)
        heard = _smoothstep(self.closure(frames).sigmoid(), CLOSURE_PROBABILITY_RANGE)
        is_near = 1 - _smoothstep(predicted_gap, HEARD_GAP_RANGE)
        return torch.maximum(heard * is_near, is_low * is_rest)


def _smoothstep(x: Tensor, edges: tuple[float, float]) -> Tensor:
    """Rise from 0 at the first edge to 1 at the second, with a continuous slope."""
    t = ((x - edges[0]) / (edges[1] - edges[0])).clamp(0, 1)
    return t * t * (3 - 2 * t)


def _mean_near(rows: Tensor) -> Tensor:  # [B, C, R]
    """Average rows within `SPEECH_DETECTOR_REACH_ROWS`; ends average fewer."""
    reach = SPEECH_DETECTOR_REACH_ROWS
    return nn.functional.avg_pool1d(rows, 2 * reach + 1, 1, reach, count_include_pad=False)
