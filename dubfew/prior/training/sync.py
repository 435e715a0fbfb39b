"""The training of a SyncNet: pairs of five frames and sound, half of them out of sync.

    dubfew prior sync CONFIG.json

CONFIG has the fields of `SyncTrainConfig`. Data are crops of ``dubfew prior prepare --layout``. The
sound of a pair out of sync is from the same clip, at least 0.2 s away, so that neither voice nor
light tells it.

Source: Prajwal et al. 2020, "A Lip Sync Expert Is All You Need for Speech to Lip Generation In The
Wild" (arXiv 2008.10010), section 3.2, for pairs and loss; Muaz et al. 2023, SIDGAN, section 3.4,
and Zhang et al. 2023, DINet, "Implementation Details", for rates, batches and steps.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import set_seed
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Adam
from torch.utils.data import DataLoader, Dataset

from dubfew.data.augmentation import vary_sync_windows
from dubfew.data.clip_footage import ClipFootage
from dubfew.data.clip_samples import (
    SoundFeatureCache,
    find_windows,
    shrink_images,
    window_rows,
)
from dubfew.data.clip_shards import LAG_KEY, open_layout_clips
from dubfew.data.sound_features._base import CLIP_FPS
from dubfew.errors import ArtefactError, DubfewError
from dubfew.prior.syncnets import SYNC_FRAMES, SYNCNETS, SyncNetwork, make_syncnet
from dubfew.prior.syncnets._embedding import EmbeddingSyncNet
from dubfew.prior.syncnets._file import SyncNetInfo, load_syncnet, save_syncnet
from dubfew.prior.training.batches import check_held_out_disjoint
from dubfew.prior.training.config import (
    MIXED_PRECISIONS,
    check_field_types,
    list_excluded_people,
)
from dubfew.prior.training.logging import TrainingLog
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.training.accelerator import configured_accelerator
from dubfew.training.resume_state import RunState, resume_run, save_run_state

# Name of the result in the folder of a run.
SYNCNET_FILE = "syncnet.safetensors"
# Share of held-out pairs that a SyncNet has to tell right; one that guesses has 0.5. Below, its
# gradient says little of lips. The expert of Wav2Lip has 0.91 (its section 3).
MIN_SYNC_ACCURACY = 0.8
# Held-out pairs, half of them in sync, and how many are scored at a time.
HELD_OUT_PAIRS, SCORED_AT_ONCE = 400, 20
# Seed of the held-out pairs, so that all checkpoints are measured with the same ones.
HELD_OUT_SEED = 8151


@dataclass(frozen=True)
class SyncTrainConfig:
    """Everything that decides a SyncNet's training; the fields are the keys of the JSON file.

    Attributes:
        data: folder of prepared crops of the training people.
        out: folder for resume states, log and the finished SyncNet.
        held_out: folder of prepared crops of held-out people, by whom its accuracy is measured.
        exclude: people who must not take part, by identity, file or SHA-256: a list, or a text
            file with one on each line.
        network: entry of `dubfew.prior.syncnets.SYNCNETS`.
        settings: sizes that differ from the paper's.
        start: file of a trained SyncNet of the same form, whose weights the training starts from;
            "" for fresh ones. SIDGAN's learned from VoxCeleb2 first, then from AVSpeech. "aps" also
            starts from a "wav2lip" of the same width.
        layout: crop layout of the data.
        shrink: divides the size of the crops.
        windows: windows of one clip that are compared with each other: each one's frames with its
            own sound, and with that of all others that are out of sync. So few windows give many
            pairs. 1 for pairs of windows of their own, as the papers have them.
        lips: weight of a second task: gap and width of the lips in the five frames are read off
            both embeddings by one linear layer. 0 for the papers' training, which stays at chance
            until frames and sound have found something in common: very long, with little film.
        augment: whether crops are mirrored, moved and lit at random, to make more of few people.
        steps: optimizer steps; 0 for those of the paper.
        batch: windows per step, each with frames of its own; 0 for those of the paper.
        accumulate: batches per step.
        learning_rate: rate of Adam; 0 for that of the paper.
        mixed_precision: "no", "bf16", or "fp16" (GPUs only).
        seed: seed of everything random.
        checkpoint: steps from one resume state to the next, each with a measurement.
        workers: processes that prepare batches; 0 prepares them in the training's own process.
        tensorboard: whether curves are written to ``out``/tensorboard.
    """

    data: str
    out: str
    held_out: str = ""
    exclude: str | list[str] = field(default_factory=list)
    network: str = "aps"
    settings: dict[str, Any] = field(default_factory=dict)
    start: str = ""
    layout: str = "sidgan"
    shrink: int = 1
    windows: int = 1
    lips: float = 0.0
    augment: bool = False
    steps: int = 0
    batch: int = 0
    accumulate: int = 1
    learning_rate: float = 0.0
    mixed_precision: str = "no"
    seed: int = 0
    checkpoint: int = 1000
    workers: int = 0
    tensorboard: bool = False

    def __post_init__(self) -> None:
        check_field_types(self)
        if self.network not in SYNCNETS:
            SYNCNETS.load(self.network)  # raises
        for name in ("accumulate", "checkpoint", "shrink", "windows"):
            if getattr(self, name) < 1:
                raise ArtefactError(f"{name!r} is {getattr(self, name)}: give at least 1")
        for name in ("steps", "batch", "workers", "seed", "learning_rate", "lips"):
            if not getattr(self, name) >= 0:
                raise ArtefactError(f"{name!r} is {getattr(self, name)}: it cannot be below 0")
        if self.mixed_precision not in MIXED_PRECISIONS:
            raise ArtefactError(
                f"'mixed_precision' is {self.mixed_precision!r}: there are "
                f"{', '.join(MIXED_PRECISIONS)}"
            )

    @classmethod
    def load(cls, path: Path) -> SyncTrainConfig:
        """Read a JSON file.

        Raises:
            ArtefactError: The file cannot be read or is not JSON, a key is not a field, or a value
                has another type or is out of range.
        """
        try:
            return cls(**json.loads(path.read_text()))
        except OSError as error:
            raise ArtefactError(f"no training configuration at {path}") from error
        except (ValueError, TypeError) as error:
            raise ArtefactError(f"{path} is not a configuration of a SyncNet: {error}") from error

    def with_paper_values(self, network: SyncNetwork) -> SyncTrainConfig:
        """Return the configuration with the paper's values for those that are 0.

        Raises:
            ArtefactError: The batch is no multiple of the windows.
        """
        batch = self.batch or network.paper_batch
        if batch % self.windows:
            raise ArtefactError(
                f"'batch' is {batch} and 'windows' {self.windows}: give a multiple of the windows"
            )
        return dataclasses.replace(
            self,
            steps=self.steps or network.paper_steps,
            batch=batch,
            learning_rate=self.learning_rate or network.paper_learning_rate,
        )


@dataclass(frozen=True)
class SyncPair:
    """Pairs of frames and sound.

    Attributes:
        frames: RGB crops in [0, 1]. [N, 5, 3, H, W]
        sound: window of the sound feature around each frame. [M, 5, F, L]
        frame_rows: row of ``frames`` of each pair. [B]
        sound_rows: row of ``sound`` of each pair. [B]
        seen_lips: gap and width of the lips in each window of frames, relative to those of all
            people: differences from the mean in standard deviations. [N, 10]
        heard_lips: the same where the sound was recorded. [M, 10]
        in_sync: 1 where they belong together, else 0. [B]
    """

    frames: Tensor
    sound: Tensor
    seen_lips: Tensor
    heard_lips: Tensor
    frame_rows: Tensor
    sound_rows: Tensor
    in_sync: Tensor

    def to(self, device: torch.device) -> SyncPair:
        """Return the same pairs on another device."""
        return SyncPair(*(getattr(self, f.name).to(device) for f in dataclasses.fields(self)))

    def embed(self, network: SyncNetwork) -> tuple[Tensor, Tensor]:
        """Embed frames and sound, each once. [N, ...] and [M, ...]

        Args:
            network: embeds them.
        """
        return network.embed_faces(self.frames), network.embed_sound(self.sound)

    def join(self, faces: Tensor, sounds: Tensor) -> tuple[Tensor, Tensor]:
        """Give every pair its embeddings. [B, ...] and [B, ...]

        Args:
            faces: embeddings of all frames. [N, ...]
            sounds: embeddings of all sound. [M, ...]
        """
        return faces[self.frame_rows], sounds[self.sound_rows]


class LipReadout(nn.Module):
    """Reads gap and width of the lips in five frames off embeddings of frames or of sound.

    One layer for both, so that they have to mean the same by the same directions.
    """

    def __init__(self, width: int) -> None:
        """Make a layer with fresh weights.

        Args:
            width: numbers of an embedding.
        """
        super().__init__()
        self.layer = nn.Linear(width, 2 * SYNC_FRAMES)

    def forward(self, embedded: Tensor) -> Tensor:
        """Read the lips. [N, 10]

        Args:
            embedded: embeddings; maps are averaged. [N, C, ...]
        """
        codes = embedded.flatten(2).mean(2) if embedded.dim() > 2 else embedded
        # Embeddings of some networks have length 1 already.
        return self.layer(F.normalize(codes, dim=1) * codes.shape[1] ** 0.5)


class SyncPairs(Dataset[SyncPair]):
    """Pairs of many people. Item ``i`` depends on the seed and its number alone."""

    def __init__(
        self,
        clips: Sequence[ClipFootage],
        length: int,
        *,
        sound: str,
        shrink: int = 1,
        windows: int = 1,
        augment: bool = False,
        seed: int = 0,
        first_index: int = 0,
    ) -> None:
        """Describe the items; nothing is drawn yet.

        Args:
            clips: crops with sound, each longer than 0.6 s without a gap.
            length: number of items.
            sound: entry of ``SOUND_FEATURES``.
            shrink: divides the size of the crops.
            windows: windows of an item, see `SyncTrainConfig`.
            augment: whether they are varied at random.
            seed: seed of all items.
            first_index: number of the first item, where a stopped training goes on.
        """
        self.clips = clips
        self.length = length
        self.shrink = shrink
        self.windows = windows
        self.augment = augment
        self.seed = seed
        self.first_index = first_index
        self.features = SoundFeatureCache(sound)
        # A longer clip shows more of its person, but not in proportion.
        weight = np.sqrt([len(clip) for clip in clips])
        self.clip_probabilities = weight / weight.sum()
        lips = [clip.measure_lips() for clip in clips]
        joined = np.concatenate(lips)
        spread = np.maximum(joined.std(0), 1e-6)
        self.lips = [(each - joined.mean(0)) / spread for each in lips]

    def __len__(self) -> int:
        return self.length - self.first_index

    def __getitem__(self, index: int) -> SyncPair:
        number = self.first_index + index
        rng = np.random.default_rng((self.seed, number))
        key = int(rng.choice(len(self.clips), p=self.clip_probabilities))
        starts = find_windows(self.clips[key].frames, SYNC_FRAMES)
        if self.windows > 1:
            return self._draw_group(key, starts, rng)
        clip = self.clips[key]
        start = int(rng.choice(starts))
        # Every second pair is out of sync, at least as far away as the window is long.
        in_sync = number % 2 == 0
        heard = start
        if not in_sync:
            distance = np.abs(clip.frames[starts] - clip.frames[start])
            heard = int(rng.choice(starts[distance >= SYNC_FRAMES]))
        row = torch.zeros(1, dtype=torch.long)
        return SyncPair(
            *self._cut(key, [start], [heard], rng), row, row, torch.tensor([float(in_sync)])
        )

    def _draw_group(self, key: int, starts: NDArray[np.int64], rng: Generator) -> SyncPair:
        """Draw windows of one clip and all pairs of them that are in or out of sync."""
        numbers = self.clips[key].frames
        count = min(self.windows, len(starts))
        while True:
            chosen = rng.choice(starts, count, replace=False)
            distance = np.abs(numbers[chosen][:, None] - numbers[chosen])
            seen, heard = (torch.from_numpy(rows) for rows in np.nonzero(distance >= SYNC_FRAMES))
            # Windows that are all near each other say nothing of sync.
            if len(seen):
                break
        # Half of the pairs are in sync: each window as often as out of sync.
        return SyncPair(
            *self._cut(key, chosen, chosen, rng),
            torch.cat([seen, seen]),
            torch.cat([seen, heard]),
            torch.cat([torch.ones(len(seen)), torch.zeros(len(seen))]),
        )

    def _cut(
        self, key: int, seen: Iterable[int], heard: Iterable[int], rng: Generator
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Cut frames, sound and lips of windows that begin at some rows of a clip."""
        clip = self.clips[key]
        frames, sounds, lips = [], [], self.lips[key]
        seen_lips, heard_lips = [], []
        for start in seen:
            rows = window_rows(clip.frames, int(start), SYNC_FRAMES)
            frames.append(shrink_images(clip.images[rows], self.shrink))
            seen_lips.append(lips[rows].ravel())
        for start in heard:
            rows = window_rows(clip.frames, int(start), SYNC_FRAMES)
            seconds = clip.frames[rows] / CLIP_FPS - clip.sound_start
            sounds.append(self.features.cut_windows(key, clip.samples, seconds))
            heard_lips.append(lips[rows].ravel())
        pictures, sound = torch.stack(frames), torch.cat(sounds)
        if self.augment:
            pictures = vary_sync_windows(pictures, rng)
        shown, told = (torch.from_numpy(np.stack(each)) for each in (seen_lips, heard_lips))
        return pictures, sound, shown, told


def collate_pairs(pairs: Sequence[SyncPair]) -> SyncPair:
    """Join several pairs to one batch; all need the same sizes."""
    frames, sounds = (
        np.cumsum([0, *(len(getattr(pair, name)) for pair in pairs)])
        for name in ("frames", "sound")
    )
    return SyncPair(
        torch.cat([pair.frames for pair in pairs]),
        torch.cat([pair.sound for pair in pairs]),
        torch.cat([pair.seen_lips for pair in pairs]),
        torch.cat([pair.heard_lips for pair in pairs]),
        torch.cat([pair.frame_rows + int(n) for pair, n in zip(pairs, frames, strict=False)]),
        torch.cat([pair.sound_rows + int(n) for pair, n in zip(pairs, sounds, strict=False)]),
        torch.cat([pair.in_sync for pair in pairs]),
    )


def select_sync_clips(clips: Sequence[ClipFootage]) -> list[ClipFootage]:
    """Select the clips that have sound and are long enough for pairs out of sync."""
    kept = []
    for clip in clips:
        starts = find_windows(clip.frames, SYNC_FRAMES)
        whole = len(starts) and clip.frames[starts[-1]] - clip.frames[starts[0]] >= 2 * SYNC_FRAMES
        if len(clip.samples) and whole and len(clip) >= SYNC_FRAMES:
            kept.append(clip)
    return kept


@torch.no_grad()
def measure_sync_accuracy(
    network: SyncNetwork, clips: Sequence[ClipFootage], *, shrink: int = 1, device: Any = "cpu"
) -> float | None:
    """Measure which share of pairs a SyncNet tells right, half of them in sync.

    Args:
        network: the SyncNet.
        clips: crops of people that it has not learned from.
        shrink: divides the size of the crops.
        device: device of the network.

    Returns:
        Share from 0 to 1; None without clips.
    """
    if not clips:
        return None
    was_training = network.training
    network.eval()
    pairs = SyncPairs(clips, HELD_OUT_PAIRS, sound=network.sound, shrink=shrink, seed=HELD_OUT_SEED)
    right = 0
    for first in range(0, HELD_OUT_PAIRS, SCORED_AT_ONCE):
        batch = collate_pairs([pairs[k] for k in range(first, first + SCORED_AT_ONCE)])
        batch = batch.to(device)
        score = network.score_embedded(*batch.join(*batch.embed(network)))
        right += int(((score > 0.5) == (batch.in_sync > 0.5)).sum())
    network.train(was_training)
    return right / HELD_OUT_PAIRS


def train_syncnet(
    config: SyncTrainConfig,
    progress: ProgressCallback = no_progress,
    *,
    force: bool = False,
) -> tuple[Path, SyncNetInfo]:
    """Train a SyncNet, or go on where an interrupted run with the same ``out`` stopped.

    Args:
        config: everything that decides the training.
        progress: function that is called after every step.
        force: write the SyncNet even if it is worse than `MIN_SYNC_ACCURACY`, or unmeasured.

    Returns:
        File of the SyncNet, and what it is.

    Raises:
        ArtefactError: The configuration does not fit, or ``out`` holds another training.
        DubfewError: The data is missing or has no sound, the loss is not finite any more, or the
            SyncNet tells too few pairs right. A run with more steps goes on from its state.
    """
    with configured_accelerator(config) as accelerator:
        set_seed(config.seed)
        out = Path(config.out)
        network = make_syncnet(config.network, config.settings)
        if config.start:
            _copy_weights(network, config)
        # Numbers that the user left out come from the network's paper, so the network is made
        # first.
        config = config.with_paper_values(network)
        people = open_layout_clips(
            Path(config.data), config.layout, list_excluded_people(config.exclude)
        )
        others = open_layout_clips(Path(config.held_out), config.layout) if config.held_out else []
        # An accuracy on people that were trained on says nothing.
        check_held_out_disjoint(people, others)
        clips, held_out = (
            select_sync_clips([clip for clip, _ in part]) for part in (people, others)
        )
        if not clips:
            raise DubfewError(f"no clip in {config.data} has sound and 0.6 s without a gap")
        parameters = list(network.parameters())
        readout = None
        if config.lips:
            readout = LipReadout(network.embedding_width)
            parameters += readout.parameters()
            readout = accelerator.prepare(readout)
        model, optimizer = accelerator.prepare(network, Adam(parameters, config.learning_rate))
        # A run that goes on with other data or settings would be neither one nor the other
        # training.
        fingerprint = _compute_fingerprint(config, [header for _, header in people])
        state = resume_run(accelerator, out, fingerprint)
        log = TrainingLog(accelerator, out, state.step)
        model.train()
        losses: list[Tensor] = []
        for pair in _iterate_batches(config, network.sound, clips, state.step):
            pair = pair.to(accelerator.device)
            with accelerator.accumulate(model):
                faces, sounds = pair.embed(network)
                loss = network.compute_embedded_loss(*pair.join(faces, sounds), pair.in_sync)
                if readout is not None:
                    seen = F.mse_loss(readout(faces), pair.seen_lips)
                    loss = loss + config.lips * (
                        seen + F.mse_loss(readout(sounds), pair.heard_lips)
                    )
                accelerator.backward(loss)
                optimizer.step()
                optimizer.zero_grad()
            losses.append(loss.detach())
            # Losses of accumulated batches belong to one step.
            if not accelerator.sync_gradients:
                continue
            step, values = state.step + 1, {"loss": float(torch.stack(losses).mean())}
            losses = []
            # Stopping here keeps the last checkpoint; training on would overwrite it with NaN.
            if not np.isfinite(values["loss"]):
                raise DubfewError(
                    f"the loss is {values['loss']} at step {step}: lower the learning rate, or "
                    "train without mixed precision"
                )
            state = RunState(step, state.best)
            # The last step is a checkpoint, too, whatever the interval is.
            at_checkpoint = step % config.checkpoint == 0 or step == config.steps
            if at_checkpoint:
                accuracy = measure_sync_accuracy(
                    network, held_out, shrink=config.shrink, device=accelerator.device
                )
                if accuracy is not None:
                    values["accuracy_heldout"] = accuracy
                    state = RunState(step, accuracy)
            log.write_step(step, values, None)
            if at_checkpoint:
                save_run_state(accelerator, out, state, fingerprint)
            progress(Progress("sync", step, config.steps, values))
        log.close()
    info = SyncNetInfo(
        config.network, config.settings, config.layout, state.step, state.best, len(clips)
    )
    # A SyncNet near chance would teach a renderer noise, and its loss would still fall.
    _check_accuracy(info, force=force)
    save_syncnet(out / SYNCNET_FILE, network, info)
    return out / SYNCNET_FILE, info


def _copy_weights(network: SyncNetwork, config: SyncTrainConfig) -> None:
    """Start from the weights of another training.

    Raises:
        AssetError: The file does not exist or is no SyncNet.
        ArtefactError: Its network is of another form.
    """
    known, info = load_syncnet(Path(config.start))
    # A network of plain strides learns faster, and the other one goes on from there.
    if (info.name, config.network) == ("wav2lip", "aps"):
        assert isinstance(known, EmbeddingSyncNet)
        assert isinstance(network, EmbeddingSyncNet)
        if known.config.divisor == network.config.divisor:
            network.copy_plain(known)
            return
    if (info.name, info.settings) != (config.network, config.settings):
        raise ArtefactError(
            f"'start' names a SyncNet {info.name!r} with the settings {info.settings}, and "
            f"{config.network!r} with {config.settings} is trained: both must be the same"
        )
    network.load_state_dict(known.state_dict())


def _check_accuracy(info: SyncNetInfo, *, force: bool) -> None:
    """Refuse a SyncNet that tells too few pairs right."""
    if force or (info.accuracy is not None and info.accuracy >= MIN_SYNC_ACCURACY):
        return
    if info.accuracy is None:
        raise DubfewError(
            "no people are held out, so nobody knows how good the SyncNet is: name some with "
            "'held_out', or write it anyway with --force"
        )
    raise DubfewError(
        f"the SyncNet tells {info.accuracy:.0%} of the held-out pairs right, expected "
        f"{MIN_SYNC_ACCURACY:.0%} or more: train it for more steps or with more people (the run "
        "goes on where it stopped), or write it anyway with --force"
    )


def _iterate_batches(
    config: SyncTrainConfig, sound: str, clips: Sequence[ClipFootage], steps_done: int
) -> Iterator[SyncPair]:
    """Iterate over the batches from a step on, the same in any run."""
    items = config.batch // config.windows
    per_step = config.accumulate * items
    pairs = SyncPairs(
        clips,
        config.steps * per_step,
        sound=sound,
        shrink=config.shrink,
        windows=config.windows,
        augment=config.augment,
        seed=config.seed,
        first_index=steps_done * per_step,
    )
    batches = (config.steps - steps_done) * config.accumulate
    yield from DataLoader(
        pairs,
        batch_sampler=[list(range(n * items, (n + 1) * items)) for n in range(batches)],
        collate_fn=collate_pairs,
        num_workers=config.workers,
        # The loader draws a seed for its workers. With torch's own generator a resumed run would
        # go on with other random numbers than an uninterrupted one.
        generator=torch.Generator(),
    )


def _compute_fingerprint(
    config: SyncTrainConfig, headers: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Compute what has to be the same when a run goes on; steps may be added."""
    kept = dataclasses.asdict(config)
    for name in ("data", "out", "held_out", "exclude", "steps", "checkpoint", "workers",
                 "tensorboard"):  # fmt: skip
        del kept[name]
    # States that are older than these keys go on.
    for name, default in (("start", ""), ("windows", 1), ("lips", 0.0), ("augment", False)):
        if kept[name] == default:
            del kept[name]
    people = sorted(
        str(header.get("sha256") or header.get("file"))
        # Sound that has moved since is other data.
        + (f" {header[LAG_KEY]}" if header.get(LAG_KEY) else "")
        for header in headers
    )
    return {**kept, "people": people}
