"""Training windows: sound, wanted motion and voice activity, from synthetic and real speech."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import maximum_filter1d
from scipy.signal import resample_poly

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
from dubfew.speech.training.speech_clip import SpeechClip
from dubfew.speech.visemes import SILENCE_SYMBOL, motion_from_phones
from dubfew.utils.arrays import FloatArray

WINDOW_ROWS = 150  # of a window: 3 s
# Voices that speak to the training; those of HELD_OUT_VARIANTS and HELD_OUT_LANGUAGES are kept
# for measuring.
TRAINING_VARIANTS = (
    "", "m1", "m2", "m3", "m4", "m6", "m7", "f1", "f2", "f3", "f5", "Andy", "Annie", "Denis",
    "Gene", "Jacky", "Lee", "Mario", "Michael", "adam", "aunty", "belinda", "benjamin", "boris",
    "caleb", "croak", "david", "ed", "edward", "grandma", "grandpa", "iven", "klatt", "klatt2",
    "klatt3", "linda", "max", "michel", "norbert", "pablo", "paul", "rob", "sandro", "steph",
    "travis", "whisper",
)  # fmt: skip
HELD_OUT_VARIANTS = ("m5", "f4", "Hugo", "shelby", "klatt4")
HELD_OUT_LANGUAGES = ("el", "id", "ja", "ro")
# Filmed people move by different amounts; training brings their 90th percentile of the gap here
# (what style later gives back to each).
_REFERENCE_LIP_GAP = 0.145


@dataclass(frozen=True)
class TrainingWindow:
    """One training window.

    Attributes:
        features: of the encoder. [stride * ROWS, width]
        displacement: wanted motion. [ROWS, P, 3]
        voice_activity: 1 where somebody speaks. [ROWS]
    """

    features: FloatArray
    displacement: FloatArray
    voice_activity: FloatArray


@dataclass(frozen=True)
class LabeledRecording:
    """A whole recording with its wanted motion at 50 Hz from 0 s on.

    Attributes:
        samples: 16 kHz. [n]
        displacement: [R, P, 3]
        voice_activity: [R]
    """

    samples: FloatArray
    displacement: FloatArray
    voice_activity: FloatArray


def synthesize_sentences(
    num_sentences: int,
    rng: np.random.Generator,
    *,
    languages: tuple[str, ...],
    variants: tuple[str, ...],
    progress: ProgressCallback = no_progress,
) -> list[Utterance]:
    """Random sentences in random voices, rates and pitches."""
    texts = load_sentences()
    voice = get_synthesizer()
    said = []
    for number in range(num_sentences):
        progress(Progress("synthesise", number, num_sentences))
        language = languages[rng.integers(len(languages))]
        text = texts[language][rng.integers(len(texts[language]))]
        said.append(
            voice.synthesize(
                text,
                language,
                variant=variants[rng.integers(len(variants))],
                words_per_minute=int(rng.integers(115, 215)),
                pitch=int(rng.integers(15, 85)),
            )
        )
    return said


def training_languages() -> tuple[str, ...]:
    """Every language with sentences that is not held out."""
    return tuple(code for code in load_sentences() if code not in HELD_OUT_LANGUAGES)


def recording_from_utterance(utterance: Utterance, viseme_basis: FloatArray) -> LabeledRecording:
    """A synthetic sentence with the visemes' motion."""
    times = (
        np.arange(int(len(utterance.samples) / SPEECH_SAMPLE_RATE_HZ / ROW_SECONDS) + 1)
        * ROW_SECONDS
    )
    motion = motion_from_phones(utterance.phones, times, viseme_basis)
    voice = np.zeros(len(times), np.float32)
    for phone in utterance.phones:
        if phone.symbol != SILENCE_SYMBOL:
            voice[(times >= phone.start - 0.06) & (times <= phone.end + 0.06)] = 1.0
    return LabeledRecording(utterance.samples, motion.displacement, voice)


def recording_from_clip(clip: SpeechClip, lag_seconds: float) -> LabeledRecording:
    """A filmed clip, its picture shifted onto its sound, its opening brought to the usual size.

    Pauses are left as they were filmed: people breathe in before they speak, which can be foreseen.
    What they do in long pauses cannot, and is kept at rest by the model's gate.
    """
    rows = int(len(clip.samples) / SPEECH_SAMPLE_RATE_HZ / ROW_SECONDS)
    times = np.arange(rows) * ROW_SECONDS
    motion = clip.motion.resample(times + lag_seconds)
    loud = (
        frame_levels_db(clip.samples)[: rows * MEL_FRAMES_PER_ROW : MEL_FRAMES_PER_ROW]
        > speech_level_db(clip.samples) - 33
    )
    voice = maximum_filter1d(loud.astype(np.float32), 13)  # 0.12 s before and after
    gap = motion.aperture()[voice > 0] if voice.any() else motion.aperture()
    scale = np.clip(_REFERENCE_LIP_GAP / max(float(np.quantile(gap, 0.9)), 1e-3), 0.6, 1.7)
    return LabeledRecording(clip.samples, motion.displacement * np.float32(scale), voice)


def silent_recording(rng: np.random.Generator) -> LabeledRecording:
    """Sound with nobody speaking: noise, music, breath."""
    length = int((WINDOW_ROWS + 20) * ROW_SECONDS * SPEECH_SAMPLE_RATE_HZ)
    kind = rng.integers(3)
    sound = (colored_noise, music_noise, breath_noise)[kind](length, rng)
    sound = sound + 10 ** (-rng.uniform(15, 50) / 20) * colored_noise(length, rng)
    return LabeledRecording(
        sound.astype(np.float32), np.zeros((0, 0, 3), np.float32), np.zeros(0, np.float32)
    )


def sample_window(
    recordings: list[LabeledRecording],
    rng: np.random.Generator,
    num_points: int,
    encoder: AudioEncoder,
) -> TrainingWindow:
    """A random window out of takes played one after the other with pauses between."""
    sound: list[FloatArray] = []
    motion: list[FloatArray] = []
    voice: list[FloatArray] = []
    for take in recordings:
        pause = int(rng.integers(0, 40)) if rng.random() < 0.7 else 0
        rows = len(take.voice_activity) or len(take.samples) // ROW_SAMPLES
        samples = np.zeros((pause + rows) * ROW_SAMPLES, np.float32)
        piece = take.samples[: rows * ROW_SAMPLES]
        samples[pause * ROW_SAMPLES :][: len(piece)] = piece
        sound.append(samples)
        wanted = np.zeros((pause + rows, num_points, 3), np.float32)
        active = np.zeros(pause + rows, np.float32)
        if len(take.voice_activity):
            wanted[pause:], active[pause:] = take.displacement, take.voice_activity
        motion.append(wanted)
        voice.append(active)
    samples, wanted, active = (np.concatenate(parts) for parts in (sound, motion, voice))
    speed = (9, 10, 11)[rng.integers(3)]  # tenths: time, pitch and formants together
    taken = -(-WINDOW_ROWS * speed // 10)
    start = int(rng.integers(0, max(1, len(wanted) - taken + 1)))
    window = samples[start * ROW_SAMPLES : (start + taken) * ROW_SAMPLES]
    window = np.pad(window, (0, taken * ROW_SAMPLES - len(window)))
    padding = max(0, taken - (len(wanted) - start))
    wanted = np.pad(wanted[start : start + taken], ((0, padding), (0, 0), (0, 0)))
    active = np.pad(active[start : start + taken], (0, padding))
    if speed != 10:
        window = resample_poly(window, 10, speed).astype(np.float32)
    row = np.minimum((np.arange(WINDOW_ROWS) * speed / 10).round().astype(int), taken - 1)
    window = augment_audio(window, rng)
    # A window without speech keeps the channel of the recording that it was cut from.
    spoken = active.any() or not any(len(take.voice_activity) for take in recordings)
    channel = estimate_channel(window if spoken else samples)
    channel = replace(channel, level_db=channel.level_db + rng.uniform(-3, 3))
    frames = encoder.encode(window, channel).frames(0, WINDOW_ROWS * encoder.stride)
    if encoder.is_mel_spectrogram:
        frames = augment_mel(frames, rng)
    return TrainingWindow(frames, wanted[row], active[row])
