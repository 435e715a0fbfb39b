"""Who speaks: scenes of three people put together from film, and how much speech is given right.

    python -m benchmarks.speakers CLIPS --out FOLDER --scenes 40

Everybody in a scene speaks all the time, as nobody does in film: its sound, one mixed track, has
the voice of one of them in turns of 1.5 to 3.5 s. So lips that move say nothing, and the agreement
of lips and sound alone tells the speaker. Faces are found in the clips themselves once,
and kept in FOLDER; a scene takes their lips and cuts their sounds together, each clip from a moment
of its own. Files whose picture is early or late against the sound stay so.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import FOOTAGE, RESULTS, machine_line, markdown_table
from dubfew.media import read_audio
from dubfew.media.audio import Audio
from dubfew.media.mel import MEL_HOP_SAMPLES, SPEECH_SAMPLE_RATE_HZ, frame_levels_db
from dubfew.media.speech_span import find_sound
from dubfew.motion.extraction import motion_from_landmarks
from dubfew.reconstruction.detection.clip_detections import detect_people
from dubfew.render.speakers import SpokenLine, assign_speech, rate_agreement
from dubfew.speech.model import SpeechModel
from dubfew.speech.visemes import controls_from_motion

# Clips of at least this length are used, s, and scenes have it.
SCENE_SECONDS = 6.0
# Frame rate of the scenes.
SCENE_FPS = 25
# Most of a clip that faces are looked for in, frames.
MAX_FRAMES = 300
# Lengths of turns, s.
TURN_SECONDS = (1.5, 3.5)
# Time between two moments at which the speaker is compared, s.
STEP_SECONDS = 0.05


@dataclass(frozen=True)
class FilmedMouth:
    """Lips and sound of one person.

    Attributes:
        name: file of the clip.
        times: of the frames, s. [N]
        controls: of the mouth, see `controls_from_motion`. [N, 5]
        sound: the voice.
    """

    name: str
    times: NDArray[np.float64]
    controls: NDArray[np.float64]
    sound: Audio


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print a table of all scenes together."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="?", type=Path, default=FOOTAGE, help="folder of clips")
    parser.add_argument("--files", required=True, help="files in it, with commas")
    parser.add_argument("--out", type=Path, default=RESULTS / "speakers")
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--people", type=int, default=3)
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    mouths = [
        mouth
        for name in given.files.split(",")
        if (mouth := read_mouth(given.clips / name, given.out)) is not None
    ]
    print(machine_line())
    print(f"{len(mouths)} people:", ", ".join(mouth.name for mouth in mouths))
    rows = [rate_scene(mouths, given.people, random.Random(seed)) for seed in range(given.scenes)]
    right, off, wrong = np.array(rows).T
    total = right + off + wrong
    print(
        markdown_table(
            ["scenes", "speech, s", "right, %", "off-screen, %", "another face, %", "worst, %"],
            [
                [
                    str(len(rows)),
                    f"{total.sum():.0f}",
                    *(f"{100 * part.sum() / total.sum():.0f}" for part in (right, off, wrong)),
                    f"{100 * (right / np.maximum(total, 1e-9)).min():.0f}",
                ]
            ],
        )
    )


def read_mouth(path: Path, folder: Path) -> FilmedMouth | None:
    """Find a person's lips in a clip, once; None where the clip is too short."""
    kept = folder / f"{path.stem}.npz"
    if not kept.exists():
        found = detect_people(path, stop=MAX_FRAMES)
        if not found.people:
            return None
        person = found.people[0]
        times = found.times[person.frames]
        motion = motion_from_landmarks(person.landmarks, times)
        np.savez(kept, times=times, controls=controls_from_motion(motion).astype(np.float64))
    with np.load(kept) as stored:
        times, controls = stored["times"], stored["controls"]
    if times[-1] - times[0] < SCENE_SECONDS:
        return None
    return FilmedMouth(path.name, times, controls, read_audio(path, SPEECH_SAMPLE_RATE_HZ))


def rate_scene(
    mouths: Sequence[FilmedMouth], people: int, chance: random.Random
) -> tuple[float, float, float]:
    """Put a scene together; return how much speech is given right, to nobody and wrong, s."""
    chosen = chance.sample(list(mouths), people)
    starts = [chance.uniform(float(m.times[0]), float(m.times[-1]) - SCENE_SECONDS) for m in chosen]
    times = np.arange(round(SCENE_SECONDS * SCENE_FPS)) / SCENE_FPS
    controls = np.stack(
        [
            np.stack([np.interp(times + s, m.times, curve) for curve in m.controls.T], axis=1)
            for m, s in zip(chosen, starts, strict=True)
        ]
    )
    samples = np.zeros(round(SCENE_SECONDS * SPEECH_SAMPLE_RATE_HZ), np.float32)
    turns: list[tuple[float, float, int]] = []
    begin, who = 0.0, chance.randrange(people)
    while begin < SCENE_SECONDS:
        end = min(begin + chance.uniform(*TURN_SECONDS), SCENE_SECONDS)
        first, last = (round(edge * SPEECH_SAMPLE_RATE_HZ) for edge in (begin, end))
        offset = round(starts[who] * SPEECH_SAMPLE_RATE_HZ)
        part = chosen[who].sound.samples[offset + first : offset + last]
        samples[first : first + len(part)] = part
        turns.append((begin, end, who))
        begin, who = end, (who + chance.randrange(1, people)) % people
    sound = Audio(samples, SPEECH_SAMPLE_RATE_HZ)
    wanted = controls_from_motion(SpeechModel.load_default().predict(sound, times))
    agreement = rate_agreement(wanted, controls, times)
    heard = find_sound(frame_levels_db(samples))
    hop = MEL_HOP_SAMPLES / SPEECH_SAMPLE_RATE_HZ
    lines = assign_speech(heard, hop, times, agreement, range(people))
    return _compare(lines, turns)


def _compare(
    lines: Sequence[SpokenLine], turns: Sequence[tuple[float, float, int]]
) -> tuple[float, float, float]:
    """Return how long lines are given right, to nobody and to another face, s."""
    found = [0.0, 0.0, 0.0]
    for line in lines:
        for moment in np.arange(line.start, line.end, STEP_SECONDS):
            who = next((face for begin, end, face in turns if begin <= moment < end), None)
            kind = 1 if line.face is None else 0 if line.face == who else 2
            found[kind] += STEP_SECONDS
    return found[0], found[1], found[2]


if __name__ == "__main__":
    main()
