"""Command line of ``tools.distill_encoder``; see there."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

from dubfew.errors import MissingDependencyError
from dubfew.speech.encoders._distilled_network import DistilledConfig, save_distilled_network
from dubfew.speech.training.shard_clips import load_filmed_clips
from dubfew.utils.files import write_atomic
from tools.distill_encoder.corpus import (
    Utterance,
    cut_and_vary,
    load_sounds,
    load_utterances,
    read_recordings,
    save_sounds,
    save_utterances,
    vary_synthetic,
)
from tools.distill_encoder.learning import fit_feature_basis, learn
from tools.distill_encoder.lips import fit_lip_directions
from tools.distill_encoder.teacher import Teacher
from tools.distill_encoder.voices import KokoroVoices, speak_espeak, speak_festival, speak_flite

Speaker = Callable[[np.random.Generator], Iterator[NDArray[np.float32]]]

# Block of Whisper's encoder whose output is learned. A straight line from it to the lips is better
# than from any other of tiny.en's four.
TEACHER_LAYER = 2
# Minutes that each synthesizer speaks, and how often windows of each source are drawn. Natural
# voices and recordings are drawn more often than there are minutes of them.
SPOKEN_MINUTES = {"kokoro": 15.0, "festival": 28.0, "flite": 14.0, "espeak": 25.0}
SOURCE_SHARES = {"recordings": 0.3, "kokoro": 0.25, "festival": 0.15, "flite": 0.1, "espeak": 0.2}
# Minutes of sound per file, so that an interruption loses little.
_MINUTES_PER_FILE = 4.0
# Share of the minutes from which a synthesizer is done: files hold whole utterances.
_DONE_SHARE = 0.95
# Utterances from which the teacher's place mean is measured.
_PLACE_MEAN_UTTERANCES = 30


def main(arguments: list[str] | None = None) -> int:
    """Run the tool.

    Args:
        arguments: command line; None is that of the process.

    Returns:
        Exit code.
    """
    parser = argparse.ArgumentParser(
        prog="python -m tools.distill_encoder", description="Train the encoder that ships."
    )
    parser.add_argument("work", type=Path, help="folder for sound and features")
    parser.add_argument("--clips", type=Path, help="folder of clips with manifest.json")
    parser.add_argument("--recordings", type=Path, help="folder of further .wav files")
    parser.add_argument("--leave-out", action="append", default=[], help="file not to read")
    parser.add_argument(
        "--out-of-sync", action="append", default=[], help="clip without lips that count"
    )
    parser.add_argument("--kokoro-voices", type=Path, help="folder of Kokoro's .bin voices")
    parser.add_argument("--whisper", default="", help="Whisper's weights; default: the package")
    parser.add_argument("--speech", type=float, default=1.0, help="factor for the minutes spoken")
    parser.add_argument(
        "--lips", type=Path, help="folder of `dubfew prior prepare`: lips that count"
    )
    parser.add_argument("--steps", type=int, default=8000, help="steps of the optimizer")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args(arguments)

    def kokoro(rng: np.random.Generator) -> Iterator[NDArray[np.float32]]:
        return KokoroVoices(options.kokoro_voices).speak(rng)

    speakers: dict[str, Speaker] = {
        "festival": speak_festival,
        "flite": speak_flite,
        "espeak": speak_espeak,
    }
    if options.kokoro_voices:
        speakers["kokoro"] = kokoro
    speech = options.work / "speech"
    for number, (name, speak) in enumerate(sorted(speakers.items())):
        try:
            _speak(
                name, speak, SPOKEN_MINUTES[name] * options.speech, speech, options.seed + number
            )
        except MissingDependencyError as error:
            _say(f"without {name}: {error}")
    if not any(speech.glob("recordings_*")):
        rng = np.random.default_rng(options.seed)
        read = read_recordings(options.clips, options.recordings, frozenset(options.leave_out))
        _save_in_files(
            "recordings", (part for sound in read for part in cut_and_vary(sound, rng)), speech
        )
    teacher = _teach(options.work, options.whisper, options.seed)
    _learn(options, teacher)
    return 0


def _speak(name: str, speak: Speaker, minutes: float, folder: Path, seed: int) -> None:
    """Let a synthesizer speak until there are enough minutes, counting those that are there."""
    found = sum(len(s) for path in folder.glob(f"{name}_*") for s in load_sounds(path)) / 16000 / 60
    if found >= _DONE_SHARE * minutes:
        return
    number = len(list(folder.glob(f"{name}_*")))
    rng = np.random.default_rng([seed, number])

    def spoken() -> Iterator[NDArray[np.float32]]:
        seconds = 60 * found
        for samples in speak(rng):
            piece = vary_synthetic(samples, rng)
            if piece is None:
                continue
            yield piece
            seconds += len(piece) / 16000
            if seconds >= 60 * minutes:
                return

    _save_in_files(name, spoken(), folder)


def _save_in_files(name: str, sounds: Iterator[NDArray[np.float32]], folder: Path) -> None:
    """Write utterances to files of some minutes each, behind those that are there."""
    folder.mkdir(parents=True, exist_ok=True)
    waiting: list[NDArray[np.float32]] = []
    for sound in chain(sounds, [None]):
        if sound is not None:
            waiting.append(sound)
        seconds = sum(map(len, waiting)) / 16000
        if waiting and (sound is None or seconds > 60 * _MINUTES_PER_FILE):
            path = folder / f"{name}_{len(list(folder.glob(f'{name}_*'))):03d}.safetensors"
            save_sounds(path, waiting)
            _say(f"{path.name}: {seconds:.0f} s")
            waiting = []


def _teach(work: Path, location: str, seed: int) -> Teacher:
    """Compute features of all files that have none yet."""
    paths = sorted((work / "speech").glob("*.safetensors"))
    missing = [path for path in paths if not (work / "features" / path.name).exists()]
    (work / "features").mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    teacher = Teacher(location, TEACHER_LAYER)
    place_mean = work / "place_mean.safetensors"
    if place_mean.exists():
        teacher.place_mean = load_file(str(place_mean))["place_mean"]
    else:
        # A few utterances from each file, so that every source has its part in the mean.
        each = _PLACE_MEAN_UTTERANCES // len(paths) + 1
        sounds = [sound for path in paths for sound in load_sounds(path)[:each]]
        teacher.measure_place_mean(sounds, rng)
        write_atomic(place_mean, save({"place_mean": teacher.place_mean}))
    for path in missing:
        save_utterances(work / "features" / path.name, load_sounds(path), teacher, rng)
        _say(f"{path.name}: features")
    return teacher


def _learn(options: argparse.Namespace, teacher: Teacher) -> None:
    """Train the student on all features and write it."""
    sources: dict[str, list[Utterance]] = {}
    for path in sorted((options.work / "features").glob("*.safetensors")):
        sources.setdefault(path.stem.rsplit("_", 1)[0], []).extend(load_utterances(path))
    config = DistilledConfig()
    basis = fit_feature_basis([u for each in sources.values() for u in each], config.features)
    lip_directions = None
    if options.lips:
        filmed = load_filmed_clips(options.lips, excluded_people=options.leave_out).train
        # Where a mouth does not follow the sound, there is nothing to learn about lips.
        clips = [clip for clip in filmed if clip.name not in options.out_of_sync]
        lip_directions = fit_lip_directions(clips, teacher, np.random.default_rng(options.seed))
    network = learn(
        sources,
        SOURCE_SHARES,
        basis,
        config,
        lip_directions=lip_directions,
        num_steps=options.steps,
        seed=options.seed,
        report=lambda step, error: _say(f"step {step}: error {error:.3f} of the variance"),
    )
    minutes = {
        name: round(sum(len(u.features) for u in each) / 50 / 60, 1)
        for name, each in sources.items()
    }
    save_distilled_network(
        network,
        options.output,
        {"teacher": "Whisper tiny.en", "layer": TEACHER_LAYER, "minutes": minutes},
    )
    _say(f"wrote {options.output}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
