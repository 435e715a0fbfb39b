"""Labeled recordings of synthetic, filmed and silent sound, and training passages cut from them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d
from scipy.signal import resample_poly

from dubfew.data.array_cache import ArrayCache, StoredArrays, hash_arrays
from dubfew.media.mel import (
    SPEECH_SAMPLE_RATE_HZ,
    estimate_channel,
    frame_levels_db,
    speech_level_db,
)
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.speech.encoders import MEL_FRAMES_PER_ROW, ROW_SAMPLES, ROW_SECONDS, AudioEncoder
from dubfew.speech.espeak import Utterance, get_synthesizer, load_sentences
from dubfew.speech.training.augmentation import (
    augment_audio,
    augment_mel,
    breath_noise,
    colored_noise,
    music_noise,
)
from dubfew.speech.training.speech_clip import FilmedSpeech
from dubfew.speech.visemes import (
    MOUTH_LEAD_SECONDS,
    SILENCE_SYMBOL,
    Phone,
    motion_from_phones,
)
from dubfew.utils.arrays import FloatArray

# Rows (20 ms) of a training window: 3 s. That is six times what the network sees to either side;
# longer windows would give fewer independent examples per step for the same time.
WINDOW_ROWS = 150
# Most rows of a passage: 10 s. Longer passages would repeat one augmentation over more of the
# training.
MAX_PASSAGE_ROWS = 500

# Voice variants of espeak-ng that training uses. Those of HELD_OUT_VARIANTS and HELD_OUT_LANGUAGES
# are kept for measuring.
TRAINING_VARIANTS = (
    "", "m1", "m2", "m3", "m4", "m6", "m7", "f1", "f2", "f3", "f5", "Andy", "Annie", "Denis",
    "Gene", "Jacky", "Lee", "Mario", "Michael", "adam", "aunty", "belinda", "benjamin", "boris",
    "caleb", "croak", "david", "ed", "edward", "grandma", "grandpa", "iven", "klatt", "klatt2",
    "klatt3", "linda", "max", "michel", "norbert", "pablo", "paul", "rob", "sandro", "steph",
    "travis", "whisper",
)  # fmt: skip
HELD_OUT_VARIANTS = ("m5", "f4", "Hugo", "shelby", "klatt4")
HELD_OUT_LANGUAGES = ("el", "id", "ja", "ro")

# Ranges of speaking rate (words per minute) and of espeak-ng's pitch (0 to 99) of synthetic
# sentences: from slow to fast speech, from deep to high voices.
_WORDS_PER_MINUTE_RANGE, _PITCH_RANGE = (115, 215), (15, 85)

# Speech counts as active this long before and after a synthetic phone, s: lips move earlier and
# later than the sound.
_ACTIVITY_MARGIN_SECONDS = 0.06
# Film frames this far under the loud ones do not count as speech, dB; and rows over which activity
# is widened, 0.12 s to either side.
_ACTIVITY_RANGE_DB, _ACTIVITY_FILTER_ROWS = 33, 13

# Filmed people move by different amounts. Training scales each clip so that the 90th percentile
# of the lip gap is this (inter-ocular distances); `SpeakingStyle` gives each actor's own amount
# back. The scale stays in the range, because a clip may be a mumble or a shout.
_REFERENCE_LIP_GAP = 0.145
_LIP_GAP_SCALE_RANGE = (0.6, 1.7)

# Silent recordings: rows beyond a window, so that its start can vary; and range of the level of
# the noise that is mixed in, dB.
_SILENT_EXTRA_ROWS = 20
_SILENT_NOISE_DB_RANGE = (15, 50)

# Pauses before the recordings of a window: probability, and longest pause in rows (0.8 s).
_PAUSE_PROBABILITY, _MAX_PAUSE_ROWS = 0.7, 40
# Playing speeds of windows in tenths; time, pitch and formants change together.
_SPEEDS_IN_TENTHS = (9, 10, 11)
# The level that a window is normalized by is wrong by up to this much, dB, so that the network
# does not rely on it.
_MAX_LEVEL_ERROR_DB = 3


@dataclass(frozen=True)
class TrainingPassage:
    """Augmented and encoded sound with its target, from which training windows are cut.

    It has between `WINDOW_ROWS` and `MAX_PASSAGE_ROWS` rows (R).

    Attributes:
        features: features of the audio encoder. [stride * R, width]
        displacement: target displacements of the mouth points. [R, P, 3]
        voice_activity: 1 where there is speech, else 0. [R]
    """

    features: FloatArray
    displacement: FloatArray
    voice_activity: FloatArray

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.voice_activity)

    def cut_window(self, start: int) -> TrainingPassage:
        """Cut `WINDOW_ROWS` rows from a row on."""
        stride = len(self.features) // len(self)
        rows = slice(start, start + WINDOW_ROWS)
        return TrainingPassage(
            self.features[start * stride : (start + WINDOW_ROWS) * stride],
            self.displacement[rows],
            self.voice_activity[rows],
        )


@dataclass(frozen=True)
class EncodedPassage:
    """Augmented and encoded sound, and which rows of its recordings it was made from.

    Attributes:
        features: features of the audio encoder. [stride * R, width]
        rows: row of the recordings, counted through all of them, or -1 in pauses. [R]
    """

    features: FloatArray
    rows: NDArray[np.int64]


class Recording(Protocol):
    """A recording with its target motion, in memory (`LabeledRecording`) or on disk."""

    @property
    def samples(self) -> FloatArray:
        """Return the sound, mono at 16 kHz. [n]"""
        ...

    @property
    def displacement(self) -> FloatArray:
        """Return the target displacements of the mouth points. [R, P, 3]"""
        ...

    @property
    def voice_activity(self) -> FloatArray:
        """Return 1 where there is speech, else 0. [R]"""
        ...

    @property
    def num_rows(self) -> int:
        """Return the number of rows."""
        ...

    @property
    def sound_hash(self) -> str:
        """Return a hash of sound and voice activity."""
        ...


@dataclass(frozen=True)
class LabeledRecording:
    """A recording with its target motion at 50 Hz from 0 s on.

    Attributes:
        samples: mono at 16 kHz. [n]
        displacement: target displacements; no rows in a recording without speech. [R, P, 3]
        voice_activity: 1 where there is speech, else 0; no rows as above. [R]
    """

    samples: FloatArray
    displacement: FloatArray
    voice_activity: FloatArray

    @property
    def num_rows(self) -> int:
        """Return the number of rows."""
        return len(self.voice_activity)

    @cached_property
    def sound_hash(self) -> str:
        """Return a hash of sound and voice activity."""
        return hash_arrays(self.samples, self.voice_activity)


@dataclass(frozen=True)
class StoredRecording:
    """A filmed clip with its target motion on disk, with the members of `Recording`.

    Attributes:
        clip: the clip.
        arrays: its ``displacement`` and ``voice_activity``.
    """

    clip: FilmedSpeech
    arrays: StoredArrays

    @property
    def samples(self) -> FloatArray:
        """Read the sound, mono at 16 kHz. [n]"""
        return self.clip.samples

    @property
    def displacement(self) -> FloatArray:
        """Read the target displacements of the mouth points. [R, P, 3]"""
        return self.arrays.read("displacement")

    @property
    def voice_activity(self) -> FloatArray:
        """Read where there is speech: 1, else 0. [R]"""
        return self.arrays.read("voice_activity")

    @property
    def num_rows(self) -> int:
        """Return the number of rows."""
        return self.arrays.shape("voice_activity")[0]

    @property
    def sound_hash(self) -> str:
        """Return the hash of the sound, which decides the voice activity."""
        return self.clip.sound_hash


def synthesize_sentences(
    num_sentences: int,
    rng: np.random.Generator,
    *,
    languages: Sequence[str],
    variants: Sequence[str],
    progress: ProgressCallback = no_progress,
) -> list[Utterance]:
    """Synthesize random sentences in random voices, rates and pitches.

    Args:
        num_sentences: number of sentences.
        rng: source of randomness.
        languages: language codes to draw from, keys of `load_sentences`.
        variants: voice variants of espeak-ng to draw from; empty text is a language's own voice.
        progress: called before every sentence.

    Raises:
        MissingDependencyError: espeak-ng is not installed.
    """
    texts = load_sentences()
    synthesizer = get_synthesizer()
    utterances = []
    for number in range(num_sentences):
        progress(Progress("synthesise", number, num_sentences))
        language = languages[rng.integers(len(languages))]
        text = texts[language][rng.integers(len(texts[language]))]
        utterances.append(
            synthesizer.synthesize(
                text,
                language,
                variant=variants[rng.integers(len(variants))],
                words_per_minute=int(rng.integers(*_WORDS_PER_MINUTE_RANGE)),
                pitch=int(rng.integers(*_PITCH_RANGE)),
            )
        )
    return utterances


def store_utterances(utterances: Sequence[Utterance]) -> dict[str, NDArray[Any]]:
    """Put utterances into arrays, see `load_utterances`."""
    facts = [
        [each.language, len(each.samples), [*map(astuple, each.phones)]] for each in utterances
    ]
    return {
        "samples": np.concatenate(
            [np.zeros(0, np.float32), *(each.samples for each in utterances)]
        ),
        "facts": np.frombuffer(json.dumps(facts).encode(), np.uint8),
    }


def load_utterances(arrays: StoredArrays) -> list[Utterance]:
    """Read utterances that `store_utterances` put into arrays."""
    samples, utterances, first = arrays.read("samples"), [], 0
    for language, length, phones in json.loads(arrays.read("facts").tobytes()):
        sound = samples[first : first + length]
        utterances.append(Utterance(sound, tuple(Phone(*phone) for phone in phones), language))
        first += length
    return utterances


def training_languages() -> tuple[str, ...]:
    """List the languages that have sentences and are not held out.

    Example:
        >>> "en-us" in training_languages(), "ja" in training_languages()
        (True, False)
    """
    return tuple(code for code in load_sentences() if code not in HELD_OUT_LANGUAGES)


def recording_from_utterance(utterance: Utterance, viseme_basis: FloatArray) -> LabeledRecording:
    """Label a synthetic sentence with the motion of its visemes.

    Args:
        utterance: sound and phones with their times.
        viseme_basis: displacement per unit of each mouth control. [5, P, 3]
    """
    seconds = len(utterance.samples) / SPEECH_SAMPLE_RATE_HZ
    times = np.arange(int(seconds / ROW_SECONDS) + 1) * ROW_SECONDS
    # Mouths are ahead of the sound; phones are annotated in the sound.
    motion = motion_from_phones(utterance.phones, times + MOUTH_LEAD_SECONDS, viseme_basis)
    activity = np.zeros(len(times), np.float32)
    for phone in utterance.phones:
        if phone.symbol != SILENCE_SYMBOL:
            start = phone.start - _ACTIVITY_MARGIN_SECONDS
            end = phone.end + _ACTIVITY_MARGIN_SECONDS
            activity[(times >= start) & (times <= end)] = 1.0
    return LabeledRecording(utterance.samples, motion.displacement, activity)


def recording_from_clip(clip: FilmedSpeech, lag_seconds: float) -> LabeledRecording:
    """Label a filmed clip with its tracked motion, in sync and at the usual amplitude.

    Pauses stay as they were filmed: people breathe in before they speak, which can be predicted.
    Motion in long pauses cannot; there the model's gate keeps the mouth at rest.

    Args:
        clip: sound and tracked motion.
        lag_seconds: delay of the picture against the sound, to be removed, s.
    """
    samples = clip.samples
    rows = int(len(samples) / SPEECH_SAMPLE_RATE_HZ / ROW_SECONDS)
    times = np.arange(rows) * ROW_SECONDS
    motion = clip.motion.resample(times + lag_seconds)
    levels = frame_levels_db(samples)[: rows * MEL_FRAMES_PER_ROW : MEL_FRAMES_PER_ROW]
    is_loud = levels > speech_level_db(samples) - _ACTIVITY_RANGE_DB
    activity = maximum_filter1d(is_loud.astype(np.float32), _ACTIVITY_FILTER_ROWS)
    gap = motion.aperture()[activity > 0] if activity.any() else motion.aperture()
    wide_gap = max(float(np.quantile(gap, 0.9)), 1e-3)
    scale = np.clip(_REFERENCE_LIP_GAP / wide_gap, *_LIP_GAP_SCALE_RANGE)
    return LabeledRecording(samples, motion.displacement * np.float32(scale), activity)


def store_recording(clip: FilmedSpeech, lag_seconds: float, cache: ArrayCache) -> StoredRecording:
    """Label a filmed clip as `recording_from_clip` does, and move its targets to the disk.

    Args:
        clip: sound and tracked motion.
        lag_seconds: delay of the picture against the sound, to be removed, s.
        cache: cache to store it in.
    """

    def compute() -> dict[str, FloatArray]:
        recording = recording_from_clip(clip, lag_seconds)
        return {
            "displacement": recording.displacement,
            "voice_activity": recording.voice_activity,
        }

    key = {"recording": [clip.sound_hash, clip.motion_hash], "lag": lag_seconds}
    return StoredRecording(clip, cache.fetch(key, compute))


def silent_recording(rng: np.random.Generator) -> LabeledRecording:
    """Make a recording without speech: noise, music or breath, with noise over it."""
    length = int((WINDOW_ROWS + _SILENT_EXTRA_ROWS) * ROW_SECONDS * SPEECH_SAMPLE_RATE_HZ)
    kind = rng.integers(3)
    sound = (colored_noise, music_noise, breath_noise)[kind](length, rng)
    level_db = -rng.uniform(*_SILENT_NOISE_DB_RANGE)
    sound = sound + 10 ** (level_db / 20) * colored_noise(length, rng)
    return LabeledRecording(
        sound.astype(np.float32), np.zeros((0, 0, 3), np.float32), np.zeros(0, np.float32)
    )


def sample_passage(
    recordings: Sequence[Recording],
    rng: np.random.Generator,
    num_points: int,
    encoder: AudioEncoder,
) -> TrainingPassage:
    """Cut a random passage from recordings that are played one after the other, and augment it.

    Args:
        recordings: recordings in their order, with random pauses before them; at least one.
        rng: source of randomness.
        num_points: number P of mouth points.
        encoder: computes the features.
    """
    return label_passage(encode_passage(recordings, rng, encoder), recordings, num_points)


def encode_passage(
    recordings: Sequence[Recording], rng: np.random.Generator, encoder: AudioEncoder
) -> EncodedPassage:
    """Cut, augment and encode the sound of a random passage, see `sample_passage`.

    The target motion of the recordings is not looked at, so it may change afterwards.
    """
    samples, rows, activity = _join_with_pauses(recordings, rng)
    # A passage that is played faster is cut from more rows. All of a short recording is taken.
    speed = _SPEEDS_IN_TENTHS[rng.integers(len(_SPEEDS_IN_TENTHS))]
    num_rows = min(max(WINDOW_ROWS, len(rows) * 10 // speed), MAX_PASSAGE_ROWS)
    cut_rows = -(-num_rows * speed // 10)
    start = int(rng.integers(0, max(1, len(rows) - cut_rows + 1)))
    window = samples[start * ROW_SAMPLES : (start + cut_rows) * ROW_SAMPLES]
    window = np.pad(window, (0, cut_rows * ROW_SAMPLES - len(window)))
    padding = max(0, cut_rows - (len(rows) - start))
    rows = np.pad(rows[start : start + cut_rows], (0, padding), constant_values=-1)
    activity = activity[start : start + cut_rows]
    if speed != 10:
        window = resample_poly(window, 10, speed).astype(np.float32)
    nearest = np.minimum((np.arange(num_rows) * speed / 10).round().astype(int), cut_rows - 1)
    window = augment_audio(window, rng)
    # A passage without speech, cut from a recording that has some, keeps the recording's channel:
    # by its own level, noise would be amplified to the level of speech.
    has_speech = activity.any() or not any(each.num_rows for each in recordings)
    channel = estimate_channel(window if has_speech else samples)
    level_error = rng.uniform(-_MAX_LEVEL_ERROR_DB, _MAX_LEVEL_ERROR_DB)
    channel = replace(channel, level_db=channel.level_db + level_error)
    features = encoder.encode(window, channel).frames(0, num_rows * encoder.stride)
    if encoder.is_mel_spectrogram:
        features = augment_mel(features, rng)
    return EncodedPassage(features, rows[nearest])


def label_passage(
    passage: EncodedPassage, recordings: Sequence[Recording], num_points: int
) -> TrainingPassage:
    """Give an encoded passage the target motion of its recordings.

    Args:
        passage: output of `encode_passage`.
        recordings: the recordings that it was made from, or others with as many rows.
        num_points: number P of mouth points.
    """
    displacement = np.zeros((len(passage.rows), num_points, 3), np.float32)
    activity = np.zeros(len(passage.rows), np.float32)
    first = 0
    for recording in recordings:
        inside = (passage.rows >= first) & (passage.rows < first + recording.num_rows)
        if inside.any():
            chosen = passage.rows[inside] - first
            displacement[inside] = recording.displacement[chosen]
            activity[inside] = recording.voice_activity[chosen]
        first += recording.num_rows
    return TrainingPassage(passage.features, displacement, activity)


def _join_with_pauses(
    recordings: Sequence[Recording], rng: np.random.Generator
) -> tuple[FloatArray, NDArray[np.int64], FloatArray]:
    """Join recordings with random pauses before them.

    Returns:
        Samples [R * ROW_SAMPLES], row of the recordings, counted through all of them, or -1 in
        pauses and without speech [R], voice activity [R].
    """
    all_samples, all_rows, all_activity = [], [], []
    first = 0
    for recording in recordings:
        has_pause = rng.random() < _PAUSE_PROBABILITY
        pause = int(rng.integers(0, _MAX_PAUSE_ROWS)) if has_pause else 0
        sound, voice_activity = recording.samples, recording.voice_activity
        # Recordings without speech have no rows: their length is that of the sound.
        num_rows = len(voice_activity) or len(sound) // ROW_SAMPLES
        samples = np.zeros((pause + num_rows) * ROW_SAMPLES, np.float32)
        piece = sound[: num_rows * ROW_SAMPLES]
        samples[pause * ROW_SAMPLES :][: len(piece)] = piece
        rows = np.full(pause + num_rows, -1, np.int64)
        activity = np.zeros(pause + num_rows, np.float32)
        if len(voice_activity):
            rows[pause:] = first + np.arange(num_rows)
            activity[pause:] = voice_activity
        first += len(voice_activity)
        all_samples.append(samples)
        all_rows.append(rows)
        all_activity.append(activity)
    return np.concatenate(all_samples), np.concatenate(all_rows), np.concatenate(all_activity)
