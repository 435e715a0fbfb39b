"""The training loop of the speech model: a scout, the selection of clips, the ensemble."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dubfew.data.array_cache import ArrayCache
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.speech.encoders import AudioEncoder, load_encoder
from dubfew.speech.espeak import load_sentences
from dubfew.speech.model import SpeechModel
from dubfew.speech.network import (
    MAX_FEATURES,
    LinearPredictor,
    SpeechEnsemble,
    SpeechNetworkConfig,
)
from dubfew.speech.training.batches import PassageEncoder, PassagePool
from dubfew.speech.training.cached_encoder import CachedEncoder
from dubfew.speech.training.clip_sync import SyncedClips, measure_lags, select_synced_clips
from dubfew.speech.training.closure_classifier import fit_closure_classifier
from dubfew.speech.training.config import RandomStream, SpeechTrainConfig
from dubfew.speech.training.examples import (
    TRAINING_VARIANTS,
    LabeledRecording,
    StoredRecording,
    load_utterances,
    recording_from_utterance,
    store_recording,
    store_utterances,
    synthesize_sentences,
    training_languages,
)
from dubfew.speech.training.feature_projection import fit_feature_projection
from dubfew.speech.training.loss import MotionLoss
from dubfew.speech.training.motion_basis import build_speech_model, compute_motion_basis
from dubfew.speech.training.ridge_regression import (
    PROJECTED_RIDGE_FRACTION,
    RIDGE_FRACTION,
    solve_linear_predictor,
)
from dubfew.speech.training.speech_clip import FilmedSpeech
from dubfew.speech.training.speech_detector import fit_speech_detector
from dubfew.speech.training.vowel_hold import hold_some_vowels
from dubfew.speech.viseme_basis import load_viseme_basis
from dubfew.speech.visemes import fit_viseme_basis
from dubfew.training import MAX_GRADIENT_NORM
from dubfew.training.schedules import LearningRateSchedule, warmup_cosine
from dubfew.utils.arrays import FloatArray
from dubfew.utils.signal import LagEstimate

# Standard deviation of the noise on projected features, which have a variance of 1, and fraction of
# channels that are dropped. Film is minutes, so both are large.
_FEATURE_NOISE, _DROPOUT = 0.3, 0.3
# Steps between two progress reports; more often would cost as much as a step.
REPORT_EVERY_STEPS = 10
# Fraction of the steps over which the learning rate rises, so that the first gradients, which are
# large and point anywhere, do not throw the weights far away.
_WARMUP_FRACTION = 0.1
# Decoupled weight decay of AdamW: a little, against overfitting to minutes of film.
_WEIGHT_DECAY = 0.02
# Filmed targets may move in time after one part in three of the steps. Before that the network
# predicts next to nothing and could only shift them at random.
_ALIGN_AFTER_ONE_IN = 3


@dataclass(frozen=True)
class TrainedSpeechModel:
    """A trained model, and what the training measured of its clips.

    Attributes:
        model: ready to predict.
        viseme_basis: viseme basis that the synthetic targets were made with. [5, P, 3]
        lag_estimates: lag and correlation of each clip while it was not trained on, by name.
        used_clips: names of the clips that were trained on.
    """

    model: SpeechModel
    viseme_basis: FloatArray
    lag_estimates: dict[str, LagEstimate]
    used_clips: tuple[str, ...]


def fit_speech_model(
    clips: Sequence[FilmedSpeech],
    config: SpeechTrainConfig | None = None,
    *,
    encoder: AudioEncoder | None = None,
    cache: ArrayCache | None = None,
    progress: ProgressCallback = no_progress,
) -> TrainedSpeechModel:
    """Train a speech model from scratch.

    A scout network learns from synthetic speech alone. It measures the lag of each clip's picture
    against its sound and whether the two belong together. The networks of the ensemble then learn
    from synthetic and filmed speech, one after the other; after the first one, clips that were left
    out are measured again. The linear predictor is solved for at the end.

    The same seed gives the same result on the same machine in a fresh process. (espeak-ng's voices
    depend a little on everything that it has spoken before in a process.)

    Args:
        clips: filmed speakers, may be empty.
        config: sizes and rates; None takes the defaults.
        encoder: audio encoder of the network; None is the default.
        cache: holds what is encoded, for this training and later ones; None keeps it in a
            temporary folder while the training lasts.
        progress: called for every synthesized sentence, every 10th step and the last one.
    """
    if cache is None:
        with tempfile.TemporaryDirectory(prefix="dubfew-speech-") as folder:
            return fit_speech_model(
                clips, config, encoder=encoder, cache=ArrayCache(Path(folder)), progress=progress
            )
    config = config or SpeechTrainConfig()
    encoder = encoder or load_encoder()
    torch.manual_seed(config.seed)
    # How lips move the rest of the lower face is learned from the film, if there is any.
    viseme_basis = fit_viseme_basis(clip.motion for clip in clips) if clips else load_viseme_basis()
    synthetic = _synthesize_recordings(viseme_basis, config, cache, progress)
    network_config = SpeechNetworkConfig(
        inputs=encoder.feature_dim,
        stride=encoder.stride,
        projected=MAX_FEATURES if encoder.feature_dim > MAX_FEATURES else 0,
        dropout=_DROPOUT,
        hears_closures=True,
        detects_speech=True,
    )
    # Lags are not known yet, but directions of motion do not depend on them.
    filmed = [store_recording(clip, 0.0, cache) for clip in clips]
    basis = compute_motion_basis(synthetic, filmed, network_config.components)
    passage_encoder = PassageEncoder(encoder, config.seed, cache)
    if network_config.projected:
        # Components of all kinds of speech that there are, in a first version of each.
        passages = passage_encoder.encode_synthetic(synthetic, config.num_projection_passages)
        film = passage_encoder.encode_filmed(filmed, versions=1)
        passage_encoder.projection = fit_feature_projection(
            network_config, chain(passages, (each.cut_window(0, len(each)) for each in film))
        )
    pool = PassagePool(
        passage_encoder.encode_synthetic(synthetic, config.num_synthetic_passages),
        passage_encoder.encode_silent(config.num_silent_passages),
    )
    run = _TrainingRun(
        motion_loss=MotionLoss(basis),
        basis=basis,
        network_config=network_config,
        synthetic_recordings=synthetic,
        passage_encoder=passage_encoder,
        pool=pool,
        config=config,
        progress=progress,
        total_steps=config.scout_steps * bool(clips) + config.steps * network_config.members,
    )
    # Scout and selection of clips, then the ensemble, then statistics of its predictions.
    synced = _sync_clips(run, clips) if clips else SyncedClips()
    ensemble, synced = _train_ensemble(run, clips, synced)
    cached_encoder = CachedEncoder(encoder, cache)
    model = build_speech_model(ensemble, basis, synced.recordings or synthetic, cached_encoder)
    # The model outlives the cache.
    model.encoder = encoder
    return TrainedSpeechModel(model, viseme_basis, dict(synced.lag_estimates), synced.names)


def _synthesize_recordings(
    viseme_basis: FloatArray,
    config: SpeechTrainConfig,
    cache: ArrayCache,
    progress: ProgressCallback,
) -> list[LabeledRecording]:
    """Synthesize sentences, hold a vowel in some of them, and label them with viseme motion."""

    def compute() -> dict[str, NDArray[Any]]:
        rng = RandomStream.SENTENCES.start(config.seed)
        utterances = synthesize_sentences(
            config.num_utterances,
            rng,
            languages=training_languages(),
            variants=TRAINING_VARIANTS,
            progress=progress,
        )
        return store_utterances(hold_some_vowels(utterances, config.held_vowel_fraction, rng))

    # Stored, because espeak-ng's voices depend a little on what it has spoken before.
    key = {
        "sentences": load_sentences(),
        "languages": training_languages(),
        "variants": TRAINING_VARIANTS,
        "count": config.num_utterances,
        "held": config.held_vowel_fraction,
        "seed": config.seed,
    }
    utterances = load_utterances(cache.fetch(key, compute))
    return [recording_from_utterance(utterance, viseme_basis) for utterance in utterances]


@dataclass
class _TrainingRun:
    """Everything that the networks of one training share, and the number of steps done."""

    motion_loss: MotionLoss
    basis: FloatArray
    network_config: SpeechNetworkConfig
    synthetic_recordings: list[LabeledRecording]
    passage_encoder: PassageEncoder
    pool: PassagePool
    config: SpeechTrainConfig
    progress: ProgressCallback
    total_steps: int
    steps_done: int = 0

    def new_ensemble(self, *, members: int | None = None) -> SpeechEnsemble:
        """Make an untrained ensemble, by default with the configured number of networks."""
        config = self.network_config
        # The scout, of one network, measures lags alone.
        if members is not None:
            config = replace(config, members=members, hears_closures=False, detects_speech=False)
        ensemble = SpeechEnsemble(config, self.motion_loss.gap_per_coefficient)
        if self.passage_encoder.projection is not None:
            ensemble.projection = self.passage_encoder.projection
        return ensemble

    @property
    def cache(self) -> ArrayCache:
        """Return the cache of what is encoded."""
        return self.passage_encoder.cache

    def set_filmed(self, recordings: Sequence[StoredRecording]) -> None:
        """Take these filmed recordings into the pool, instead of those that were in it."""
        filmed = self.passage_encoder.encode_filmed(recordings, self.config.num_filmed_versions)
        self.pool = replace(self.pool, filmed=filmed)

    def train_network(self, network: nn.Module, number: int, steps: int) -> None:
        """Train one network by gradient descent, in place.

        Args:
            network: network to train.
            number: which one it is: 0 for the scout, then those of the ensemble from 1 on.
            steps: optimizer steps.
        """
        optimizer = torch.optim.AdamW(
            network.parameters(), lr=self.config.peak_learning_rate, weight_decay=_WEIGHT_DECAY
        )
        # The rate rises linearly, then falls along a cosine to 0 at the last step.
        warmup_steps = _WARMUP_FRACTION * steps
        schedule = LearningRateSchedule(
            optimizer,
            lambda step: warmup_cosine(
                step + 1, steps, warmup_steps=warmup_steps, decay_start=warmup_steps
            ),
        )
        network.train()
        for step in range(steps):
            schedule.set_step(step)
            rng = RandomStream.TRAINING_BATCH.start(self.config.seed, number, step)
            batch = self.pool.sample_batch(self.config, rng, self.config.filmed_fraction)
            predicted = network(self._add_noise(batch.features))
            # Filmed targets move to where they agree with the prediction.
            target = batch.target
            if step > steps // _ALIGN_AFTER_ONE_IN and batch.is_filmed.any():
                target = self.motion_loss.align_target(predicted, target, batch.is_filmed)
            loss = self.motion_loss(predicted, target, batch.voice_activity)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), MAX_GRADIENT_NORM)
            optimizer.step()
            self.steps_done += 1
            if (step + 1) % REPORT_EVERY_STEPS == 0 or step + 1 == steps:
                self.progress(
                    Progress("train", self.steps_done, self.total_steps, {"loss": loss.item()})
                )
        network.eval()

    def _add_noise(self, features: Tensor) -> Tensor:
        """Add noise to projected features; without it, networks learn the voices by heart."""
        if not self.network_config.projected:
            return features
        return features + _FEATURE_NOISE * torch.randn_like(features)

    def fit_linear_predictor(self, predictor: LinearPredictor) -> None:
        """Solve for the linear predictor's weights, from film alone if there is any."""
        rng = RandomStream.LINEAR_BATCH.start(self.config.seed)
        solve_linear_predictor(
            predictor,
            (
                self.pool.sample_batch(self.config, rng, filmed_fraction=1.0)
                for _ in range(self.config.num_linear_batches)
            ),
            self.basis,
            PROJECTED_RIDGE_FRACTION if self.network_config.projected else RIDGE_FRACTION,
        )

    def build_model(self, ensemble: SpeechEnsemble) -> SpeechModel:
        """Wrap an ensemble whose statistics are measured on synthetic speech."""
        return build_speech_model(
            ensemble,
            self.basis,
            self.synthetic_recordings,
            CachedEncoder(self.passage_encoder.encoder, self.cache),
        )


def _sync_clips(run: _TrainingRun, clips: Sequence[FilmedSpeech]) -> SyncedClips:
    """Train the scout on synthetic speech alone, and select the clips that it finds in sync."""
    scout = run.new_ensemble(members=1)
    run.train_network(scout.networks[0], 0, run.config.scout_steps)
    run.fit_linear_predictor(scout.linear)
    lag_estimates = measure_lags(run.build_model(scout), clips)
    return select_synced_clips(clips, lag_estimates, run.config.min_correlation, run.cache)


def _train_ensemble(
    run: _TrainingRun, clips: Sequence[FilmedSpeech], synced: SyncedClips
) -> tuple[SpeechEnsemble, SyncedClips]:
    """Train all networks and the linear predictor.

    Returns:
        The ensemble, and the clips that it was trained on in the end.
    """
    ensemble = run.new_ensemble()
    run.set_filmed(synced.recordings)
    for number, network in enumerate(ensemble.networks):
        run.train_network(network, number + 1, run.config.steps)
        if number == 0 and clips:
            synced = _resync_unused_clips(run, ensemble, clips, synced)
            run.set_filmed(synced.recordings)
    run.fit_linear_predictor(ensemble.linear)
    if ensemble.closure is not None:
        fit_closure_classifier(ensemble.closure, run.pool.synthetic)
    if ensemble.detector is not None:
        count = run.config.num_detector_recordings
        # Of hours of film, as many recordings as there are sentences, from all of it.
        film = synced.recordings[:: max(1, -(-len(synced.recordings) // count))]
        fit_speech_detector(
            ensemble,
            CachedEncoder(run.passage_encoder.encoder, run.cache),
            [*run.synthetic_recordings[:count], *film],
            count,
            RandomStream.DETECTOR.start(run.config.seed),
        )
    return ensemble, synced


def _resync_unused_clips(
    run: _TrainingRun, ensemble: SpeechEnsemble, clips: Sequence[FilmedSpeech], synced: SyncedClips
) -> SyncedClips:
    """Measure the clips that were left out once more, with the first network of the ensemble.

    It has seen real mouths and judges better than the scout. Clips that it was trained on keep
    their first estimate: a network agrees with what it has learned, in sync or not.
    """
    run.fit_linear_predictor(ensemble.linear)
    first = run.new_ensemble(members=1)
    first.networks[0].load_state_dict(ensemble.networks[0].state_dict())
    first.linear.load_state_dict(ensemble.linear.state_dict())
    unused = [clip for clip in clips if clip.name not in synced.names]
    lag_estimates = dict(synced.lag_estimates) | measure_lags(run.build_model(first), unused)
    return select_synced_clips(clips, lag_estimates, run.config.min_correlation, run.cache)
