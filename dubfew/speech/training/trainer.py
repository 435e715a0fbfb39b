"""The training loop of the speech model."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from dubfew.media import Audio
from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.speech.encoders import AudioEncoder, load_encoder
from dubfew.speech.model import SpeechModel
from dubfew.speech.motion_lag import estimate_lag, reliable_lag
from dubfew.speech.network import LinearPredictor, SpeechEnsemble, SpeechNetworkConfig
from dubfew.speech.training.batches import SpeechBatch, sample_speech_batch
from dubfew.speech.training.config import SpeechTrainConfig
from dubfew.speech.training.examples import (
    TRAINING_VARIANTS,
    LabeledRecording,
    recording_from_clip,
    recording_from_utterance,
    synthesize_sentences,
    training_languages,
)
from dubfew.speech.training.loss import MotionLoss
from dubfew.speech.training.motion_basis import build_speech_model, compute_motion_basis
from dubfew.speech.training.ridge_regression import solve_linear_predictor
from dubfew.speech.training.speech_clip import SpeechClip
from dubfew.speech.training.vowel_hold import hold_random_vowel
from dubfew.speech.viseme_basis import load_viseme_basis
from dubfew.speech.visemes import fit_viseme_basis
from dubfew.utils.arrays import FloatArray
from dubfew.utils.signal import LagEstimate

# Three seconds of film correlate by chance at some larger lag, and a clip trained on with a wrong
# lag does harm: this much holds nearly every lag that containers and encoders make.
MAX_TRAINING_LAG_SECONDS = 0.12
REPORT_EVERY_STEPS = 10  # steps


@dataclass(frozen=True)
class TrainedSpeechModel:
    """A model and what was found out about its clips.

    Attributes:
        model: ready to predict.
        viseme_basis: the controls' fields that its synthetic targets were made with. [5, P, 3]
        lag_estimates: what was found out about each clip while it was not trained on.
        used_clips: names of the clips that were trained on.
    """

    model: SpeechModel
    viseme_basis: FloatArray
    lag_estimates: dict[str, LagEstimate]
    used_clips: tuple[str, ...]


def fit_speech_model(
    clips: list[SpeechClip],
    config: SpeechTrainConfig | None = None,
    *,
    encoder: AudioEncoder | None = None,
    progress: ProgressCallback = no_progress,
) -> TrainedSpeechModel:
    """Train from nothing: the same result for the same seed on the same machine.

    That holds for a fresh process; espeak-ng varies its voices a little with all that it has
    said before in one.

    First a network hears synthetic speech alone; it measures each clip's lag of picture against
    sound and whether the two belong together. The networks of the model then learn from both, one
    after the other; after the first of them clips that were left out are measured once more.

    Args:
        clips: filmed speakers, may be empty.
        config: None takes the defaults.
        encoder: what the network hears; None is mel bands.
        progress: told about every sentence said, every 10th step and the last.
    """
    config = config or SpeechTrainConfig()
    encoder = encoder or load_encoder()
    rng = np.random.default_rng(config.seed)
    torch.manual_seed(config.seed)
    fields = fit_viseme_basis([clip.motion for clip in clips]) if clips else load_viseme_basis()
    said = synthesize_sentences(
        config.num_utterances,
        rng,
        languages=training_languages(),
        variants=TRAINING_VARIANTS,
        progress=progress,
    )
    said = [
        hold_random_vowel(each, rng) if rng.random() < config.held_vowel_fraction else each
        for each in said
    ]
    synthetic = [recording_from_utterance(utterance, fields) for utterance in said]
    network_config = SpeechNetworkConfig(inputs=encoder.feature_dim, stride=encoder.stride)
    filmed = [recording_from_clip(clip, 0.0) for clip in clips]
    basis = compute_motion_basis(synthetic, filmed, network_config.components)
    total = config.scout_steps * bool(clips) + config.steps * network_config.members
    loss_of = MotionLoss(basis)
    course = _TrainingRun(loss_of, basis, synthetic, config, rng, encoder, progress, total)
    syncs: dict[str, LagEstimate] = {}
    used: tuple[str, ...] = ()
    takes: list[LabeledRecording] = []
    if clips:
        scout = SpeechEnsemble(replace(network_config, members=1), loss_of.gap_per_coefficient)
        course.train_network(scout.networks[0], [], config.scout_steps)
        course.fit_linear_predictor(scout.linear, [])
        syncs = measure_lags(build_speech_model(scout, basis, synthetic, encoder), clips)
        used, takes = _select_synced_clips(clips, syncs, config.min_correlation)
    ensemble = SpeechEnsemble(network_config, loss_of.gap_per_coefficient)
    for number, network in enumerate(ensemble.networks):
        course.train_network(network, takes, config.steps)
        if number == 0 and clips:
            course.fit_linear_predictor(ensemble.linear, takes)
            first = SpeechEnsemble(replace(network_config, members=1), loss_of.gap_per_coefficient)
            first.networks[0].load_state_dict(network.state_dict())
            first.linear.load_state_dict(ensemble.linear.state_dict())
            # A clip that is trained on already no longer says whether it should be.
            fresh = [clip for clip in clips if clip.name not in used]
            syncs |= measure_lags(build_speech_model(first, basis, synthetic, encoder), fresh)
            used, takes = _select_synced_clips(clips, syncs, config.min_correlation)
    course.fit_linear_predictor(ensemble.linear, takes)
    model = build_speech_model(ensemble, basis, takes or synthetic, encoder)
    return TrainedSpeechModel(model, fields, syncs, used)


def _select_synced_clips(
    clips: list[SpeechClip], lag_estimates: dict[str, LagEstimate], min_correlation: float
) -> tuple[tuple[str, ...], list[LabeledRecording]]:
    """Clips whose mouth follows their sound, with their lag taken out."""
    chosen = [clip for clip in clips if lag_estimates[clip.name].r_best >= min_correlation]
    takes = [recording_from_clip(clip, reliable_lag(lag_estimates[clip.name])) for clip in chosen]
    return tuple(clip.name for clip in chosen), takes


@dataclass
class _TrainingRun:
    """What all networks of one training share."""

    motion_loss: MotionLoss
    basis: FloatArray
    synthetic_recordings: list[LabeledRecording]
    config: SpeechTrainConfig
    rng: np.random.Generator
    encoder: AudioEncoder
    progress: ProgressCallback
    total_steps: int
    steps_done: int = 0

    def train_network(
        self, network: nn.Module, filmed_recordings: list[LabeledRecording], steps: int
    ) -> None:
        """Train a network from where it is."""
        config = self.config
        optimiser = torch.optim.AdamW(
            network.parameters(), lr=config.peak_learning_rate, weight_decay=0.02
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: _learning_rate_factor((step + 1) / steps)
        )
        network.train()
        for step in range(steps):
            batch = self._sample_batch(filmed_recordings, config.filmed_fraction)
            predicted = network(batch.features)
            wanted = batch.target
            # Before it knows anything it could only shift at random.
            if step > steps // 3 and batch.is_filmed.any():
                wanted = self.motion_loss.align_target(predicted, wanted, batch.is_filmed)
            loss = self.motion_loss(predicted, wanted, batch.voice_activity)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            self.steps_done += 1
            if (step + 1) % REPORT_EVERY_STEPS == 0 or step + 1 == steps:
                self.progress(
                    Progress("train", self.steps_done, self.total_steps, {"loss": loss.item()})
                )
        network.eval()

    def fit_linear_predictor(
        self, predictor: LinearPredictor, filmed_recordings: list[LabeledRecording]
    ) -> None:
        """Solve for the linear reader, from film if there is any."""
        solve_linear_predictor(
            predictor,
            (
                self._sample_batch(filmed_recordings, 1.0)
                for _ in range(self.config.num_linear_batches)
            ),
            self.basis,
        )

    def _sample_batch(
        self, filmed_recordings: list[LabeledRecording], filmed_fraction: float
    ) -> SpeechBatch:
        return sample_speech_batch(
            self.synthetic_recordings,
            filmed_recordings,
            self.config,
            self.rng,
            self.encoder,
            filmed_fraction,
        )


def measure_lags(model: SpeechModel, clips: list[SpeechClip]) -> dict[str, LagEstimate]:
    """Lag of each clip's picture against its sound, as this model hears it."""
    syncs = {}
    for clip in clips:
        grid = np.arange(0, len(clip.samples) / SPEECH_SAMPLE_RATE_HZ, 0.01)
        syncs[clip.name] = estimate_lag(
            model.predict(Audio(clip.samples, SPEECH_SAMPLE_RATE_HZ), grid, lead=0.0),
            clip.motion,
            max_lag=MAX_TRAINING_LAG_SECONDS,
        )
    return syncs


def _learning_rate_factor(fraction_done: float) -> float:
    """Learning rate after a share of the steps: up over a tenth, then down a cosine to 0."""
    if fraction_done < 0.1:
        return fraction_done / 0.1
    return 0.5 * (1 + math.cos(math.pi * (fraction_done - 0.1) / 0.9))
