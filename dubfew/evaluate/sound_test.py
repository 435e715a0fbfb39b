"""The sound test: one scene dubbed with silence, noises, another line and its own sound.

It asks whether a dub depends on speech alone. In silence and in sounds without speech the lips have
to rest, whatever the scene's own mouth does (LipLeak in Bigata et al. 2025, KeySync, arXiv
2505.00497); with another line the output must not follow the scene's mouth; with the scene's own
sound it should, as far as the real mouth goes.
"""

from __future__ import annotations

import math
import wave
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import DubfewError
from dubfew.evaluate.clip_landmarks import detect_landmarks
from dubfew.evaluate.face_geometry import mouth_opening
from dubfew.evaluate.metrics._base import ClipPair
from dubfew.evaluate.metrics._mouth_opening import (
    MIN_OPENING_STD,
    correlate_openings,
    find_opening_lag,
)
from dubfew.evaluate.metrics._speech import OPEN_FROM
from dubfew.evaluate.metrics.leakage import scene_leakage
from dubfew.media import probe, read_audio
from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.registry import Registry
from dubfew.render.pipeline import render
from dubfew.render.precheck import resolve_scene_path
from dubfew.speech.training.augmentation import breath_noise, colored_noise, music_noise
from dubfew.speech.training.instruments import instrument_music
from dubfew.utils.arrays import FloatArray
from dubfew.utils.files import check_input_file
from dubfew.utils.signal import lagged_correlation

# Sound after the last frame of the silent file, s, so that it covers the last frame.
SILENCE_MARGIN_SECONDS = 1.0


def hiss_noise(length: int, rng: np.random.Generator) -> FloatArray:
    """Make white noise of unit variance. [length]"""
    return rng.standard_normal(length).astype(np.float32)


# Sounds without speech, one after the other, and their levels, dB full scale: as loud as they lie
# in recordings of speech, whose level is -20 dB.
NOISES: tuple[tuple[Callable[[int, np.random.Generator], FloatArray], float], ...] = (
    (hiss_noise, -65.0),  # a microphone
    (colored_noise, -45.0),  # a room
    (breath_noise, -30.0),
    (music_noise, -23.0),  # chords
    (instrument_music, -23.0),
)
# Standard deviation of an opening below which the mouth counts as still, eye-corner distances: the
# accuracy of the detector. What is left of a resting mouth is its error, which goes with the head.
STILL_OPENING_STD = 0.01
# Stage of the test's own reports: one unit per dub that is measured.
SOUND_TEST_STAGE = "sounds"


@dataclass(frozen=True)
class SoundTest:
    """What the mouth of one actor does in one scene under four sounds.

    Openings are gaps between the inner lips as the detector finds them, in distances of the outer
    eye corners. A value that cannot be measured is NaN.

    Attributes:
        actor: id in the registry.
        scene: video that was dubbed.
        frames: number of its frames.
        open_on_film: share of the scene's own frames whose mouth is open (0.05 and more), in %.
        open_in_silence: the same of the dub with silence, in %.
        open_in_noises: the same of the dub with sounds without speech (`NOISES`), in %.
        silent_r: correlation of the opening in the dub with silence with the scene's; NaN where the
            mouth is still, so that nothing can show.
        other_r: correlation of the opening in the dub with another line with the scene's, over the
            frames in which that line lasts.
        other_leakage: the measure `leakage` of these frames, 0 to 1.
        other_chance: share of random shifts of the scene's opening against that dub, in a circle by
            a second and more, that correlate as much in either direction, in %: above 5 chance
            explains ``other_r``. NaN for lines of less than 3 s.
        own_r: correlation of the opening in the dub with the scene's own sound with the scene's.
        own_lag: frames by which that dub is late against the scene where the two agree best, -5 to
            5: the scene's own lag of picture against sound is in it.
        own_r_best: correlation there.
        articulation: standard deviation of the opening in that dub, relative to the scene's.
    """

    actor: str
    scene: Path
    frames: int
    open_on_film: float
    open_in_silence: float
    open_in_noises: float
    silent_r: float
    other_r: float
    other_leakage: float
    other_chance: float
    own_r: float
    own_lag: float
    own_r_best: float
    articulation: float


def run_sound_test(
    actors: Sequence[str],
    *,
    video: Path | str | None = None,
    other_sound: Path | str | None = None,
    keep: Path | str | None = None,
    registry: Registry | None = None,
    device: str = "auto",
    progress: ProgressCallback = no_progress,
) -> list[SoundTest]:
    """Dub a scene of each actor four times, and measure the mouths.

    The renders are logged like any other.

    Args:
        actors: ids of actors in the registry.
        video: scene to dub, of one actor; None is the footage that each was learned from.
        other_sound: file with another line than the scenes'; None is the bundled English one.
        keep: folder that receives the dubs, as ACTOR-silent.mp4, ACTOR-noises.mp4, ACTOR-other.mp4
            and ACTOR-own.mp4; None keeps none.
        registry: registry that holds the actors; None is the user's own.
        device: "auto", "cpu" or "cuda".
        progress: function that is called with the state of every stage.

    Returns:
        Measurements in the order of the actors.

    Raises:
        ActorNotFoundError: One of the actors does not exist.
        ConsentError: The actor's consent does not cover a render.
        MediaError: A file cannot be read.
        NoFaceError: A scene shows no face.
        WrongPersonError: The face in the scene is not that of the actor.
        OutputExistsError: The folder holds a dub of this name already.
        DubfewError: There is no actor, or a video for several.
    """
    if not actors:
        raise DubfewError("nobody to test: give the id of an actor")
    if video is not None and len(actors) > 1:
        raise DubfewError("a video shows one actor: give one id with it")
    registry = registry or Registry()
    # Everything that can be wrong is found before the first render.
    scenes = [
        resolve_scene_path(None if video is None else Path(video), registry.open(actor).config)
        for actor in actors
    ]
    for path in (*scenes, *(() if other_sound is None else (Path(other_sound),))):
        check_input_file(path)
    with (
        TemporaryDirectory(prefix="dubfew-sound-") as temporary,
        as_file(files("dubfew.demo") / "dub.wav") as bundled,
    ):
        folder = Path(temporary if keep is None else keep)
        folder.mkdir(parents=True, exist_ok=True)
        other = Path(bundled if other_sound is None else other_sound)
        results = []
        for number, (actor, scene) in enumerate(zip(actors, scenes, strict=True)):
            silence = _write_silence(Path(temporary) / f"silence{number}.wav", scene)
            noises = _write_noises(Path(temporary) / f"noises{number}.wav", scene)
            dub = _Dub(actor, scene, folder, registry, device, progress)
            results.append(_measure_actor(dub, silence, noises, other))
            progress(Progress(SOUND_TEST_STAGE, number + 1, len(actors)))
    return results


@dataclass(frozen=True)
class _Dub:
    """One actor in one scene, to be dubbed with several sounds."""

    actor: str
    scene: Path
    folder: Path
    registry: Registry
    device: str
    progress: ProgressCallback

    def detect(self, name: str, sound: Path | None) -> NDArray[np.float32]:
        """Render a dub, and detect its landmarks; without a sound, by the scene's own. [N, 478, 3]

        Args:
            name: what the dub is called.
            sound: file with the sound; None is the scene's own.
        """
        output = render(
            self.actor,
            video=self.scene,
            audio=sound,
            fit="trim",
            out=self.folder / f"{self.actor}-{name}.mp4",
            device=self.device,
            registry=self.registry,
            progress=self.progress,
        ).output
        return detect_landmarks(output)


def _measure_actor(dub: _Dub, silence: Path, noises: Path, other: Path) -> SoundTest:
    """Make the four dubs of one actor and measure them."""
    info = probe(dub.scene)
    film = detect_landmarks(dub.scene)
    silent, noisy = dub.detect("silent", silence), dub.detect("noises", noises)
    spoken = dub.detect("other", other)
    own = dub.detect("own", None) if info.has_audio else np.full_like(film, np.nan)
    # Behind the end of the other line the dub rests, which says nothing of a leak.
    stop = min(len(film), len(spoken), int(read_audio(other).duration * float(info.fps)))
    line = ClipPair(
        dub.scene, dub.scene, film[:stop], spoken[:stop], np.arange(stop) / float(info.fps)
    )
    filmed, own = _same_length(film, own)
    own_lag, own_r_best = find_opening_lag(filmed, own)
    return SoundTest(
        actor=dub.actor,
        scene=dub.scene,
        frames=len(film),
        open_on_film=_percent_open(film),
        open_in_silence=_percent_open(silent),
        open_in_noises=_percent_open(noisy),
        silent_r=_correlate_moving(*_same_length(film, silent)),
        other_r=correlate_openings(line.reference_landmarks, line.output_landmarks),
        other_leakage=scene_leakage(line),
        other_chance=_percent_by_chance(
            mouth_opening(line.reference_landmarks),
            mouth_opening(line.output_landmarks),
            math.ceil(float(info.fps)),
        ),
        own_r=correlate_openings(filmed, own),
        own_lag=own_lag,
        own_r_best=own_r_best,
        articulation=_spread_ratio(mouth_opening(filmed), mouth_opening(own)),
    )


def _same_length(first: NDArray, second: NDArray) -> tuple[NDArray, NDArray]:
    """Cut two arrays to the rows that both have."""
    count = min(len(first), len(second))
    return first[:count], second[:count]


def _percent_open(landmarks: NDArray[np.float32]) -> float:
    """Compute the share of the frames with a face whose mouth is open, in %."""
    opening = mouth_opening(landmarks)
    seen = opening[np.isfinite(opening)]
    return float(100 * (seen > OPEN_FROM).mean()) if len(seen) else float("nan")


def _correlate_moving(film: NDArray[np.float32], output: NDArray[np.float32]) -> float:
    """Correlate the openings of two clips of landmarks; NaN where one of them is still."""
    return lagged_correlation(
        mouth_opening(film), mouth_opening(output), 0, min_std=STILL_OPENING_STD
    )


def _percent_by_chance(
    film: NDArray[np.float64],  # [N]
    output: NDArray[np.float64],  # [N]
    shortest: int,
) -> float:
    """Compute the share of shifts in a circle that correlate as much as no shift, in %.

    Args:
        film: opening of the scene. [N]
        output: opening of the dub. [N]
        shortest: least shift, in frames; there and up to as much before the end of the circle.

    Returns:
        Share, or NaN where there are fewer shifts than ``shortest`` or a mouth does not move.
    """

    def correlate(shifted: NDArray[np.float64]) -> float:
        return abs(lagged_correlation(shifted, output, 0, min_std=MIN_OPENING_STD))

    here = correlate(film)
    shifts = range(shortest, len(film) - shortest + 1)
    if math.isnan(here) or len(shifts) < shortest:
        return float("nan")
    return float(100 * np.mean([correlate(np.roll(film, shift)) >= here for shift in shifts]))


def _spread_ratio(film: NDArray[np.float64], output: NDArray[np.float64]) -> float:
    """Divide the standard deviations of two openings, over the frames with a face in both."""
    both = np.isfinite(film) & np.isfinite(output)
    if not both.any() or film[both].std() <= MIN_OPENING_STD:
        return float("nan")
    return float(output[both].std() / film[both].std())


def _write_silence(path: Path, scene: Path) -> Path:
    """Write digital silence that is somewhat longer than a scene."""
    return _write_samples(path, np.zeros(_count_samples(scene), np.float32))


def _write_noises(path: Path, scene: Path) -> Path:
    """Write sounds without speech, one after the other, each as long as all others."""
    parts = np.array_split(np.zeros(_count_samples(scene), np.float32), len(NOISES))
    rng = np.random.default_rng(0)
    sounds = []
    for (make, level_db), part in zip(NOISES, parts, strict=True):
        sound = make(len(part), rng)
        sounds.append(
            sound * (10 ** (level_db / 20) / max(float(np.sqrt((sound**2).mean())), 1e-9))
        )
    return _write_samples(path, np.concatenate(sounds))


def _count_samples(scene: Path) -> int:
    """Count the samples that cover a scene, and somewhat more."""
    return round((probe(scene).duration + SILENCE_MARGIN_SECONDS) * SPEECH_SAMPLE_RATE_HZ)


def _write_samples(path: Path, samples: FloatArray) -> Path:
    """Write mono samples at 16 kHz as a file of 16 bits."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SPEECH_SAMPLE_RATE_HZ, 0, "NONE", ""))
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def format_sound_tests(results: Sequence[SoundTest]) -> str:
    """Format sound tests as a table, one actor per column, and what each row asks for."""
    rows: list[tuple[str, Callable[[SoundTest], float], str]] = [
        ("frames", lambda each: each.frames, ""),
        ("mouth open on film, %", lambda each: each.open_on_film, ""),
        ("mouth open in silence, %", lambda each: each.open_in_silence, "0 is best"),
        ("mouth open in sounds without speech, %", lambda each: each.open_in_noises, "0 is best"),
        ("silence: r with the scene's mouth", lambda each: each.silent_r, "n/a: still, or near 0"),
        ("another line: r with the scene's mouth", lambda each: each.other_r, "near 0 is best"),
        (
            "another line: shifts with such an r, %",
            lambda each: each.other_chance,
            "above 5 is chance",
        ),
        ("another line: leakage", lambda each: each.other_leakage, "up to 0.25 is chance"),
        ("own sound: r with the scene's mouth", lambda each: each.own_r, "1 is best"),
        ("own sound: best r within 5 frames", lambda each: each.own_r_best, "1 is best"),
        ("own sound: lag there, frames", lambda each: each.own_lag, "the file's own is in it"),
        ("own sound: spread of the opening", lambda each: each.articulation, "1 is best"),
    ]
    table = [["", *(each.actor for each in results), ""]]
    for label, value, goal in rows:
        table.append([label, *(_format(value(each)) for each in results), goal])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in table)


def _format(value: float) -> str:
    """Format a value; n/a where it could not be measured."""
    if isinstance(value, int):
        return str(value)
    return "n/a" if math.isnan(value) else f"{value:.2f}"
