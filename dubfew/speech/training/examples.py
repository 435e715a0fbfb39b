"""Training windows: sound, wanted motion and voice activity, from synthetic and real speech."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d
from scipy.signal import resample_poly

from dubfew.media.mel import HOP, RATE, channel_of, level_db, speech_level
from dubfew.progress import Progress, ProgressCallback, silent
from dubfew.speech.corpus import Clip
from dubfew.speech.encoders.encoder import Encoder, MelEncoder
from dubfew.speech.espeak import Utterance, espeak, sentences
from dubfew.speech.network import STRIDE
from dubfew.speech.training.augmentation import breath, coloured_noise, disturb, music, warp_bands
from dubfew.speech.visemes import SILENCE, motion_of_phones

FloatArray = NDArray[np.float32]

ROWS = 150  # of a window: 3 s
_ROW = HOP * STRIDE / RATE
# Voices that speak to the training; those of HELD_OUT_VARIANTS and HELD_OUT_LANGUAGES are kept
# for measuring.
VARIANTS = (
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
_USUAL_GAP = 0.145


@dataclass(frozen=True)
class Example:
    """One training window.

    Attributes:
        frames: of the encoder. [stride * ROWS, width]
        displacement: wanted motion. [ROWS, P, 3]
        voice: 1 where somebody speaks. [ROWS]
    """

    frames: FloatArray
    displacement: FloatArray
    voice: FloatArray


@dataclass(frozen=True)
class Take:
    """A whole recording with its wanted motion at 50 Hz from 0 s on.

    Attributes:
        samples: 16 kHz. [n]
        displacement: [R, P, 3]
        voice: [R]
    """

    samples: FloatArray
    displacement: FloatArray
    voice: FloatArray


def synthesise(
    count: int,
    rng: np.random.Generator,
    *,
    languages: tuple[str, ...],
    variants: tuple[str, ...],
    progress: ProgressCallback = silent,
) -> list[Utterance]:
    """Random sentences in random voices, rates and pitches."""
    texts = sentences()
    voice = espeak()
    said = []
    for number in range(count):
        progress(Progress("synthesise", number, count))
        language = languages[rng.integers(len(languages))]
        text = texts[language][rng.integers(len(texts[language]))]
        said.append(
            voice.say(
                text,
                language,
                variant=variants[rng.integers(len(variants))],
                rate=int(rng.integers(115, 215)),
                pitch=int(rng.integers(15, 85)),
            )
        )
    return said


def training_languages() -> tuple[str, ...]:
    """Every language with sentences that is not held out."""
    return tuple(code for code in sentences() if code not in HELD_OUT_LANGUAGES)


def take_of_utterance(utterance: Utterance, fields: FloatArray) -> Take:
    """A synthetic sentence with the visemes' motion."""
    times = np.arange(int(len(utterance.samples) / RATE / _ROW) + 1) * _ROW
    motion = motion_of_phones(utterance.phones, times, fields)
    voice = np.zeros(len(times), np.float32)
    for phone in utterance.phones:
        if phone.symbol != SILENCE:
            voice[(times >= phone.start - 0.06) & (times <= phone.end + 0.06)] = 1.0
    return Take(utterance.samples, motion.displacement, voice)


def take_of_clip(clip: Clip, lag: float) -> Take:
    """A filmed clip, its picture shifted onto its sound, its opening brought to the usual size.

    Pauses are left as they were filmed: people breathe in before they speak, which can be foreseen.
    What they do in long pauses cannot, and is kept at rest by the model's gate.
    """
    rows = int(len(clip.samples) / RATE / _ROW)
    times = np.arange(rows) * _ROW
    motion = clip.motion.at(times + lag)
    loud = level_db(clip.samples)[: rows * STRIDE : STRIDE] > speech_level(clip.samples) - 33
    voice = maximum_filter1d(loud.astype(np.float32), 13)  # 0.12 s before and after
    gap = motion.aperture()[voice > 0] if voice.any() else motion.aperture()
    scale = np.clip(_USUAL_GAP / max(float(np.quantile(gap, 0.9)), 1e-3), 0.6, 1.7)
    return Take(clip.samples, motion.displacement * np.float32(scale), voice)


def silent_take(rng: np.random.Generator) -> Take:
    """Sound with nobody speaking: noise, music, breath."""
    length = int((ROWS + 20) * _ROW * RATE)
    kind = rng.integers(3)
    sound = (coloured_noise, music, breath)[kind](length, rng)
    sound = sound + 10 ** (-rng.uniform(15, 50) / 20) * coloured_noise(length, rng)
    return Take(sound.astype(np.float32), np.zeros((0, 0, 3), np.float32), np.zeros(0, np.float32))


def example_of(
    takes: list[Take], rng: np.random.Generator, points: int, encoder: Encoder
) -> Example:
    """A random window out of takes played one after the other with pauses between."""
    sound: list[FloatArray] = []
    motion: list[FloatArray] = []
    voice: list[FloatArray] = []
    for take in takes:
        pause = int(rng.integers(0, 40)) if rng.random() < 0.7 else 0
        rows = len(take.voice) or len(take.samples) // (HOP * STRIDE)
        samples = np.zeros((pause + rows) * HOP * STRIDE, np.float32)
        piece = take.samples[: rows * HOP * STRIDE]
        samples[pause * HOP * STRIDE :][: len(piece)] = piece
        sound.append(samples)
        wanted = np.zeros((pause + rows, points, 3), np.float32)
        active = np.zeros(pause + rows, np.float32)
        if len(take.voice):
            wanted[pause:], active[pause:] = take.displacement, take.voice
        motion.append(wanted)
        voice.append(active)
    samples, wanted, active = (np.concatenate(parts) for parts in (sound, motion, voice))
    speed = (9, 10, 11)[rng.integers(3)]  # tenths: time, pitch and formants together
    taken = -(-ROWS * speed // 10)
    start = int(rng.integers(0, max(1, len(wanted) - taken + 1)))
    window = samples[start * HOP * STRIDE : (start + taken) * HOP * STRIDE]
    window = np.pad(window, (0, taken * HOP * STRIDE - len(window)))
    padding = max(0, taken - (len(wanted) - start))
    wanted = np.pad(wanted[start : start + taken], ((0, padding), (0, 0), (0, 0)))
    active = np.pad(active[start : start + taken], (0, padding))
    if speed != 10:
        window = resample_poly(window, 10, speed).astype(np.float32)
    row = np.minimum((np.arange(ROWS) * speed / 10).round().astype(int), taken - 1)
    window = disturb(window, rng)
    # A window without speech keeps the channel of the recording that it was cut from.
    spoken = active.any() or not any(len(take.voice) for take in takes)
    channel = channel_of(window if spoken else samples)
    channel = replace(channel, level=channel.level + rng.uniform(-3, 3))
    frames = encoder.listen(window, channel).frames(0, ROWS * encoder.stride)
    if isinstance(encoder, MelEncoder):
        frames = warp_bands(frames, rng)
    return Example(frames, wanted[row], active[row])
