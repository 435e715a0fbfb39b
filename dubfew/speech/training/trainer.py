"""The training loop of the speech model: a scout, the selection of clips, the ensemble."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from copy import deepcopy
from dataclasses import asdict, astuple, dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from numpy.typing import NDArray
from torch import Tensor, nn

from dubfew.data.array_cache import ArrayCache
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.speech.encoders import AudioEncoder, load_encoder
from dubfew.speech.espeak import load_sentences
from dubfew.speech.model import SpeechModel
from dubfew.speech.network import (
    MAX_FEATURES,
    FeatureProjection,
    LinearPredictor,
    SpeechEnsemble,
    SpeechNetworkConfig,
)
from dubfew.speech.training.batches import PassageEncoder, PassagePool
from dubfew.speech.training.cached_encoder import CachedEncoder
from dubfew.speech.training.clip_sync import SyncedClips, measure_lag, select_synced_clips
from dubfew.speech.training.closure_classifier import fit_closure_classifier
from dubfew.speech.training.config import RandomStream, SpeechTrainConfig
from dubfew.speech.training.examples import (
    TRAINING_VARIANTS,
    LabeledRecording,
    StoredRecording,
    TrainingPassage,
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
from dubfew.training.accelerator import PlainSettings, configured_accelerator, share_work
from dubfew.training.interruption import Interruption, deferred_interrupts
from dubfew.training.resume_state import RunState, resume_run, save_run_state
from dubfew.training.schedules import LearningRateSchedule, warmup_cosine
from dubfew.utils.arrays import FloatArray
from dubfew.utils.signal import LagEstimate

# Standard deviation of the noise on projected features, which have a variance of 1, and fraction of
# channels that are dropped. Film is minutes, so both are large.
_FEATURE_NOISE, _DROPOUT = 0.3, 0.3
# Steps between two progress reports; more often would cost as much as a step.
REPORT_EVERY_STEPS = 10
# Steps between two stored states: half a minute of one core, against a tenth of a second to store.
CHECKPOINT_STEPS = 100
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
    accelerator: Accelerator | None = None,
    state_folder: Path | None = None,
    progress: ProgressCallback = no_progress,
) -> TrainedSpeechModel:
    """Train a speech model from scratch, or go on from a stored state.

    A scout network learns from synthetic speech alone. It measures the lag of each clip's picture
    against its sound and whether the two belong together. The networks of the ensemble then learn
    from synthetic and filmed speech, one after the other; after the first one, clips that were left
    out are measured again. The linear predictor is solved for at the end.

    The same seed gives the same result on the same machine in a fresh process. (espeak-ng's voices
    depend a little on everything that it has spoken before in a process.) So does a training that
    was interrupted and goes on.

    Args:
        clips: filmed speakers, may be empty.
        config: sizes and rates; None takes the defaults.
        encoder: audio encoder of the network; None is the default.
        cache: holds what is encoded, for this training and later ones; None keeps it in a
            temporary folder while the training lasts.
        accelerator: processes that share the training and call this function together, with a
            cache in a folder of all of them; None is this process alone.
        state_folder: folder for states. One is written every `CHECKPOINT_STEPS` steps, after each
            network and on a signal; a training goes on from the latest. None keeps no state.
        progress: called for every synthesized sentence, every 10th step and the last one.

    Raises:
        ArtefactError: The state belongs to another training, or is damaged.
        KeyboardInterrupt: A signal asked for the end; the state is stored.
    """
    with ExitStack() as stack:
        if cache is None:
            folder = tempfile.TemporaryDirectory(prefix="dubfew-speech-")
            cache = ArrayCache(Path(stack.enter_context(folder)))
        if accelerator is None:
            accelerator = stack.enter_context(configured_accelerator(PlainSettings()))
        config, encoder = config or SpeechTrainConfig(), encoder or load_encoder()
        return _fit_speech_model(clips, config, encoder, cache, accelerator, state_folder, progress)


def _fit_speech_model(
    clips: Sequence[FilmedSpeech],
    config: SpeechTrainConfig,
    encoder: AudioEncoder,
    cache: ArrayCache,
    accelerator: Accelerator,
    state_folder: Path | None,
    progress: ProgressCallback,
) -> TrainedSpeechModel:
    """Train a speech model, see `fit_speech_model`."""
    torch.manual_seed(config.seed)
    film = [[clip.name, clip.sound_hash, clip.motion_hash] for clip in clips]
    # What the networks are trained in is stored, too: on another machine the axes of the same space
    # may point the other way, and a network that goes on there would have learned another one.
    with accelerator.main_process_first():
        # How lips move the rest of the lower face is learned from the film, if there is any.
        viseme_basis = (
            cache.fetch(
                {"viseme_basis": film},
                lambda: {"basis": fit_viseme_basis(clip.motion for clip in clips)},
            ).read("basis")
            if clips
            else load_viseme_basis()
        )
        synthetic = _synthesize_recordings(viseme_basis, config, cache, progress)
        # Lags are not known yet, but directions of motion do not depend on them.
        filmed = [store_recording(clip, 0.0, cache) for clip in clips]
    network_config = SpeechNetworkConfig(
        inputs=encoder.feature_dim,
        stride=encoder.stride,
        projected=MAX_FEATURES if encoder.feature_dim > MAX_FEATURES else 0,
        dropout=_DROPOUT,
        hears_closures=True,
        detects_speech=True,
    )
    same = {"film": film, "config": asdict(config), "encoder": encoder.metadata()}
    passage_encoder = PassageEncoder(encoder, config.seed, cache, accelerator=accelerator)
    basis, passage_encoder.projection = _fit_space(
        network_config, config, synthetic, filmed, passage_encoder, same
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
        accelerator=accelerator,
        progress=progress,
        scout_steps=config.scout_steps * bool(clips),
    )
    run.prepare_networks()
    # Scout and selection of clips, then the ensemble, then statistics of its predictions.
    if state_folder is not None:
        run.keep_states(state_folder, same)
    synced = _sync_clips(run, clips) if clips else SyncedClips()
    ensemble, synced = _train_ensemble(run, clips, synced)
    cached_encoder = CachedEncoder(encoder, cache)
    model = build_speech_model(ensemble, basis, synced.recordings or synthetic, cached_encoder)
    # The model outlives the cache.
    model.encoder = encoder
    return TrainedSpeechModel(model, viseme_basis, dict(synced.lag_estimates), synced.names)


def _fit_space(
    network_config: SpeechNetworkConfig,
    config: SpeechTrainConfig,
    synthetic: Sequence[LabeledRecording],
    filmed: Sequence[StoredRecording],
    passage_encoder: PassageEncoder,
    same: Mapping[str, Any],
) -> tuple[FloatArray, FeatureProjection | None]:
    """Compute the directions of motion and the projection of wide features, or read them.

    Args:
        network_config: sizes of the networks.
        config: settings of the training.
        synthetic: synthetic sentences.
        filmed: filmed recordings.
        passage_encoder: encodes passages, not projected.
        same: what decides the result, in JSON's types.

    Returns:
        Directions [K, P, 3], and the projection if the networks take one.
    """
    projection = FeatureProjection(network_config)
    passages: Iterable[TrainingPassage] = ()
    if network_config.projected and not passage_encoder.cache.has({"space": same}):
        # Components of all kinds of speech that there are, in a first version of each.
        spoken = passage_encoder.encode_synthetic(synthetic, config.num_projection_passages)
        film = passage_encoder.encode_filmed(filmed, versions=1)
        passages = chain(spoken, (each.cut_window(0, len(each)) for each in film))

    def compute() -> dict[str, NDArray[Any]]:
        found = projection
        if network_config.projected:
            found = fit_feature_projection(network_config, passages)
        basis = compute_motion_basis(synthetic, filmed, network_config.components)
        return {"basis": basis, **{name: each.numpy() for name, each in found.state_dict().items()}}

    accelerator = passage_encoder.accelerator
    with accelerator.main_process_first() if accelerator else nullcontext():
        arrays = passage_encoder.cache.fetch({"space": same}, compute)
    projection.load_state_dict(
        {name: torch.from_numpy(arrays.read(name)) for name in projection.state_dict()}
    )
    return arrays.read("basis"), projection if network_config.projected else None


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
class _ClipState:
    """What the training has found out about its clips, a part of the stored state.

    Attributes:
        lag_estimates: lag and correlation of each clip, by name; empty before they are measured.
        measured_twice: whether clips that were left out have been measured again.
    """

    lag_estimates: dict[str, LagEstimate] = field(default_factory=dict)
    measured_twice: bool = False

    def state_dict(self) -> dict[str, Any]:
        """Return the state in Python's own types."""
        lags = {name: [*map(float, astuple(lag))] for name, lag in self.lag_estimates.items()}
        return {"lags": lags, "measured_twice": self.measured_twice}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state."""
        self.lag_estimates = {name: LagEstimate(*lag) for name, lag in state["lags"].items()}
        self.measured_twice = state["measured_twice"]


@dataclass(frozen=True)
class _TrainedNetwork:
    """A network with what trains it.

    Attributes:
        wrapped: network as Accelerate wraps it, whose gradients all processes average.
        optimizer: optimizer of its weights.
        first_step: steps of the training before its first one.
        steps: its steps.
        schedule: rates of the optimizer.
    """

    wrapped: nn.Module
    optimizer: AcceleratedOptimizer
    first_step: int
    steps: int
    schedule: LearningRateSchedule


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
    accelerator: Accelerator
    progress: ProgressCallback
    scout_steps: int
    state: RunState = field(default_factory=RunState)
    clip_state: _ClipState = field(default_factory=_ClipState)
    trained: list[_TrainedNetwork] = field(default_factory=list)
    save_state: Callable[[], None] | None = None

    @property
    def cache(self) -> ArrayCache:
        """Return the cache of what is encoded."""
        return self.passage_encoder.cache

    @property
    def total_steps(self) -> int:
        """Return the steps of all networks."""
        return self.scout_steps + self.config.steps * self.network_config.members

    def prepare_networks(self) -> None:
        """Make the scout's network and those of the ensemble, with an optimizer for each."""
        # The axes of the motion space are needed on both sides: here, and where networks train.
        self.scout, self.ensemble = self.new_ensemble(members=1), self.new_ensemble()
        self.motion_loss.to(self.accelerator.device)
        first_step = 0
        for network, steps in [
            (self.scout.networks[0], self.scout_steps),
            *((each, self.config.steps) for each in self.ensemble.networks),
        ]:
            # A copy, which may be on another device than the ensemble that predicts.
            copied = deepcopy(network)
            optimizer = torch.optim.AdamW(
                copied.parameters(), lr=self.config.peak_learning_rate, weight_decay=_WEIGHT_DECAY
            )
            wrapped, optimizer = self.accelerator.prepare(copied, optimizer)
            schedule = LearningRateSchedule(optimizer, partial(_rate_factor, steps))
            self.trained.append(_TrainedNetwork(wrapped, optimizer, first_step, steps, schedule))
            first_step += steps

    def keep_states(self, folder: Path, same: Mapping[str, Any]) -> None:
        """Go on from the latest state in a folder, and store states there from now on.

        Args:
            folder: folder of the states.
            same: what has to be the same when the training goes on, in JSON's types.
        """
        digest = hashlib.sha256(json.dumps(same["film"]).encode()).hexdigest()
        fingerprint = {
            **same["config"],
            "encoder": same["encoder"],
            "film": digest[:12],
            "processes": self.accelerator.num_processes,
        }
        fingerprint = json.loads(json.dumps(fingerprint))  # as a state has it
        self.accelerator.register_for_checkpointing(self.clip_state)
        self.state = resume_run(self.accelerator, folder, fingerprint, folder_option="--work")
        self.save_state = lambda: save_run_state(self.accelerator, folder, self.state, fingerprint)

    def new_ensemble(self, *, members: int | None = None) -> SpeechEnsemble:
        """Make an untrained ensemble, by default with the configured number of networks."""
        config = self.network_config
        # The scout, of one network, measures lags alone.
        if members is not None:
            config = replace(config, members=members, hears_closures=False, detects_speech=False)
        ensemble = SpeechEnsemble(config, self.motion_loss.gap_per_coefficient.cpu())
        if self.passage_encoder.projection is not None:
            ensemble.projection = self.passage_encoder.projection
        return ensemble

    def set_filmed(self, recordings: Sequence[StoredRecording]) -> None:
        """Take these filmed recordings into the pool, instead of those that were in it."""
        filmed = self.passage_encoder.encode_filmed(recordings, self.config.num_filmed_versions)
        self.pool = replace(self.pool, filmed=filmed)

    def train_network(self, number: int, target: nn.Module) -> None:
        """Train one network by gradient descent, or what is left of its training.

        Args:
            number: which one it is: 0 for the scout, then those of the ensemble from 1 on.
            target: network that gets the weights.
        """
        trained = self.trained[number]
        trained.wrapped.train()
        steps_done = min(max(self.state.step - trained.first_step, 0), trained.steps)
        # Where there is no state to store, a signal ends the training at once.
        context = nullcontext(Interruption()) if self.save_state is None else deferred_interrupts()
        with context as interruption:
            for step in range(steps_done, trained.steps):
                loss = self._train_step(number, step)
                self.state = replace(self.state, step=self.state.step + 1)
                is_last = step + 1 == trained.steps
                if (step + 1) % REPORT_EVERY_STEPS == 0 or is_last:
                    self.progress(
                        Progress("train", self.state.step, self.total_steps, {"loss": loss.item()})
                    )
                self._finish_step(interruption, is_last=is_last)
        if interruption.requested:  # behind the last step, whose state is stored
            raise KeyboardInterrupt
        target.load_state_dict(self.accelerator.unwrap_model(trained.wrapped).state_dict())
        target.eval()

    def _train_step(self, number: int, step: int) -> Tensor:
        """Do one step of one network; returns the loss. []"""
        trained, config, accelerator = self.trained[number], self.config, self.accelerator
        trained.schedule.set_step(step)
        # Each step and process has its own stream, so that no state of it has to be stored.
        rng = RandomStream.TRAINING_BATCH.start(
            config.seed, number, step, accelerator.process_index
        )
        torch.manual_seed(int(rng.integers(2**63)))
        batch = self.pool.sample_batch(config, rng, config.filmed_fraction).to(accelerator.device)
        predicted = trained.wrapped(self._add_noise(batch.features))
        # Filmed targets move to where they agree with the prediction.
        target = batch.target
        if step > trained.steps // _ALIGN_AFTER_ONE_IN and batch.is_filmed.any():
            target = self.motion_loss.align_target(predicted, target, batch.is_filmed)
        loss = self.motion_loss(predicted, target, batch.voice_activity)
        trained.optimizer.zero_grad()
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(trained.wrapped.parameters(), MAX_GRADIENT_NORM)
        trained.optimizer.step()
        return loss

    def _finish_step(self, interruption: Interruption, *, is_last: bool) -> None:
        """Store the state where it is time, and end where a signal asked for it."""
        if self.save_state is None:
            return
        if interruption.requested:
            self.accelerator.set_trigger()
        # The processes end at the same step, whichever of them got the signal.
        is_interrupted = self.accelerator.check_trigger()
        if is_interrupted or is_last or self.state.step % CHECKPOINT_STEPS == 0:
            self.save_state()
        if is_interrupted:
            raise KeyboardInterrupt

    def measure_clips(
        self, ensemble: SpeechEnsemble, clips: Sequence[FilmedSpeech]
    ) -> dict[str, LagEstimate]:
        """Estimate each clip's lag of picture against sound, by the clip's name."""
        model = self.build_model(ensemble)
        found = share_work(self.accelerator, clips, partial(measure_lag, model))
        return {clip.name: lag for clip, lag in zip(clips, found, strict=True)}

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


def _rate_factor(steps: int, step: int) -> float:
    """Compute the factor of the learning rate: it rises, then falls along a cosine to 0."""
    warmup_steps = _WARMUP_FRACTION * steps
    return warmup_cosine(step + 1, steps, warmup_steps=warmup_steps, decay_start=warmup_steps)


def _sync_clips(run: _TrainingRun, clips: Sequence[FilmedSpeech]) -> SyncedClips:
    """Train the scout on synthetic speech alone, and select the clips that it finds in sync."""
    run.train_network(0, run.scout.networks[0])
    # A training that goes on may have measured them already.
    if not run.clip_state.lag_estimates:
        run.fit_linear_predictor(run.scout.linear)
        run.clip_state.lag_estimates = run.measure_clips(run.scout, clips)
    return _select_clips(run, clips)


def _select_clips(run: _TrainingRun, clips: Sequence[FilmedSpeech]) -> SyncedClips:
    """Select the clips that are in sync by what was measured last."""
    with run.accelerator.main_process_first():
        return select_synced_clips(
            clips, run.clip_state.lag_estimates, run.config.min_correlation, run.cache
        )


def _train_ensemble(
    run: _TrainingRun, clips: Sequence[FilmedSpeech], synced: SyncedClips
) -> tuple[SpeechEnsemble, SyncedClips]:
    """Train all networks and the linear predictor.

    Returns:
        The ensemble, and the clips that it was trained on in the end.
    """
    ensemble = run.ensemble
    run.set_filmed(synced.recordings)
    for number, network in enumerate(ensemble.networks):
        run.train_network(number + 1, network)
        if number == 0 and clips and not run.clip_state.measured_twice:
            _measure_unused_clips(run, clips, synced)
            synced = _select_clips(run, clips)
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


def _measure_unused_clips(
    run: _TrainingRun, clips: Sequence[FilmedSpeech], synced: SyncedClips
) -> None:
    """Measure the clips that were left out once more, with the first network of the ensemble.

    It has seen real mouths and judges better than the scout. Clips that it was trained on keep
    their first estimate: a network agrees with what it has learned, in sync or not.
    """
    run.fit_linear_predictor(run.ensemble.linear)
    first = run.new_ensemble(members=1)
    first.networks[0].load_state_dict(run.ensemble.networks[0].state_dict())
    first.linear.load_state_dict(run.ensemble.linear.state_dict())
    unused = [clip for clip in clips if clip.name not in synced.names]
    run.clip_state.lag_estimates |= run.measure_clips(first, unused)
    run.clip_state.measured_twice = True
