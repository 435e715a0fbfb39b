"""Imitator's network: from features of sound to jaw and expression, as Dubbing for Everyone has it.

A transformer that hears each frame's own sound and remembers what it said before makes features of
the motion, a style vector of a person is added, and five linear layers give the parameters of jaw
and expression. `SpeechEnsemble` is what dubfew uses by default; this network takes its place in a
`SpeechModel`, which sees the mouth's points that the parameters make.

Source: Saunders and Namboodiri 2024, "Dubbing for Everyone: Data-Efficient Visual Dubbing using
Neural Rendering Priors" (arXiv 2401.06126), section 3.6; Thambiraja et al. 2023, "Imitator:
Personalized Speech-driven 3D Facial Animation" (arXiv 2301.00023), section 3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dubfew.media.mel import NUM_MEL_BANDS
from dubfew.speech.encoders import MEL_FRAMES_PER_ROW
from dubfew.speech.network import SpeechPrediction

# Rows of 20 ms per step of the network: it speaks at 25 fps, as Imitator does.
ROWS_PER_STEP = 2
# Steps after which the code of positions repeats, a second. Without repetition a network could not
# speak for longer than it was trained on.
POSITION_PERIOD_STEPS = 25
# Slope of the activation between the layers that decode motion.
LEAKY_RELU_SLOPE = 0.2
# Logit of the probability of speech, which this network does not tell: the model's gate by loudness
# alone closes the mouth.
CERTAIN_VOICE_LOGIT = 20.0


@dataclass(frozen=True)
class ImitatorConfig:
    """Sizes of an `ImitatorNetwork`; stored with the weights.

    The widths are those of the published settings; their features come from wav2vec 2.0 (768).

    Attributes:
        inputs: numbers per frame of the encoder.
        stride: frames of the encoder per row of 20 ms.
        parameters: parameters of jaw (3) and expression; 103 on FLAME.
        components: motion coefficients that the parameters become.
        people: people with a style vector of their own.
        width: numbers of a step's features.
        heads: heads of attention.
        feedforward: width of the layer between two transformers.
        decoder_layers: linear layers from features to parameters.
        memory_steps: steps that are remembered, 2 s.
    """

    inputs: int = NUM_MEL_BANDS
    stride: int = MEL_FRAMES_PER_ROW
    parameters: int = 103
    components: int = 8
    people: int = 1
    width: int = 64
    heads: int = 4
    feedforward: int = 128
    decoder_layers: int = 5
    memory_steps: int = 50

    @property
    def context_rows(self) -> int:
        """Return how many rows are heard before those of a piece, so that it has a past."""
        return ROWS_PER_STEP * self.memory_steps


class ImitatorNetwork(nn.Module):
    """The network of the module's docstring, with the members of `SpeechEnsemble`."""

    def __init__(self, config: ImitatorConfig) -> None:
        """Make an untrained network.

        Args:
            config: sizes.

        Raises:
            TypeError: The width is no multiple of the heads.
        """
        super().__init__()
        self.config = config
        width = config.width
        if width % config.heads:
            raise TypeError(f"'width' is {width} and 'heads' {config.heads}: give a multiple")
        self.listen = nn.Linear(config.inputs, width)
        self.start = nn.Parameter(torch.zeros(width))
        self.query, self.key, self.value, self.attended = (
            nn.Linear(width, width) for _ in range(4)
        )
        # Each step attends to the sound of its own time alone, and one key has all of the weight:
        # queries and keys of sound would have no effect.
        self.sound_value, self.sound_attended = nn.Linear(width, width), nn.Linear(width, width)
        self.feedforward = nn.Sequential(
            nn.Linear(width, config.feedforward), nn.ReLU(), nn.Linear(config.feedforward, width)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.styles = nn.Parameter(0.02 * torch.randn(config.people, width))
        layers: list[nn.Module] = []
        for _ in range(config.decoder_layers - 1):
            layers += [nn.Linear(width, width), nn.LeakyReLU(LEAKY_RELU_SLOPE)]
        self.decoder = nn.Sequential(*layers, nn.Linear(width, config.parameters))
        # Typical size of each parameter, and the motion that a unit of it makes.
        self.scale: Tensor
        self.pose: Tensor
        self.register_buffer("scale", torch.ones(config.parameters))
        self.register_buffer("pose", torch.zeros(config.parameters, config.components))
        # A period of sines; the mean over it is 0.
        step = torch.arange(POSITION_PERIOD_STEPS)[:, None] * (2 * math.pi / POSITION_PERIOD_STEPS)
        waves = step * torch.arange(1, width // 2 + 1)
        self.positions: Tensor
        self.register_buffer("positions", torch.cat([waves.sin(), waves.cos()], 1)[:, :width])

    def forward(
        self,
        frames: Tensor,  # [B, T, inputs]
        people: Tensor | None = None,  # [B]
    ) -> SpeechPrediction:
        """Predict rows of 20 ms; row r is centered on frame ``stride * r``.

        Args:
            frames: features of the encoder. [B, T, inputs]
            people: number of each recording's style; None is the mean of all styles. [B]

        Returns:
            ceil(T / stride) rows.
        """
        parameters = self.predict_parameters(frames, people)
        rows = -(-frames.shape[1] // self.config.stride)
        # Between two steps lies the mean of both.
        coefficients = (parameters @ self.pose).transpose(1, 2)
        middle = (coefficients + torch.cat([coefficients[..., 1:], coefficients[..., -1:]], -1)) / 2
        both = torch.stack([coefficients, middle], -1).flatten(2)[..., :rows].transpose(1, 2)
        return SpeechPrediction(both, both.new_full(both.shape[:2], CERTAIN_VOICE_LOGIT))

    def predict_parameters(self, frames: Tensor, people: Tensor | None = None) -> Tensor:
        """Predict parameters at 25 fps, see `forward`.

        Args:
            frames: features of the encoder. [B, T, inputs]
            people: number of each recording's style; None is the mean of all styles. [B]

        Returns:
            Three parameters of the jaw, rad, then expressions. [B, ceil(T / (2 * stride)), P]
        """
        style = (
            self.styles.mean(0).expand(len(frames), -1) if people is None else self.styles[people]
        )
        features = self._speak(self._hear(frames), style)
        return self.decoder(features + style[:, None]) * self.scale

    def _hear(self, frames: Tensor) -> Tensor:  # [B, T, inputs] -> [B, S, width]
        """Average the sound of each step, 20 ms to either side of it."""
        step = ROWS_PER_STEP * self.config.stride
        rest = -frames.shape[1] % step
        padded = F.pad(frames.transpose(1, 2), (0, rest), mode="replicate") if rest else (
            frames.transpose(1, 2)
        )  # fmt: skip
        reach = step // 2
        heard = F.avg_pool1d(padded, 2 * reach + 1, step, reach, count_include_pad=False)
        return self.listen(heard.transpose(1, 2))

    def _speak(self, sound: Tensor, style: Tensor) -> Tensor:
        """Run the transformer, which is fed what it has said.

        Args:
            sound: what is heard at each step. [B, S, width]
            style: style of each recording. [B, width]

        Returns:
            Features of the motion. [B, S, width]
        """
        batch, steps, width = sound.shape
        heads = self.config.heads
        told = self.sound_attended(self.sound_value(sound))
        said = self.start.expand(batch, -1)
        keys: list[Tensor] = []
        values: list[Tensor] = []
        found = []
        for step in range(steps):
            x = said + style + self.positions[step % POSITION_PERIOD_STEPS]
            keys.append(self.key(x).view(batch, heads, -1))
            values.append(self.value(x).view(batch, heads, -1))
            del keys[: -self.config.memory_steps], values[: -self.config.memory_steps]
            attended = F.scaled_dot_product_attention(
                self.query(x).view(batch, heads, 1, -1),
                torch.stack(keys, 2),
                torch.stack(values, 2),
            )
            x = self.norms[0](x + self.attended(attended.reshape(batch, width)))
            x = self.norms[1](x + told[:, step])
            said = self.norms[2](x + self.feedforward(x))
            found.append(said)
        return torch.stack(found, 1)
