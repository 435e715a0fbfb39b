"""Measure the speech model:

    python -m benchmarks.speech [--footage FOLDER] [--split validate] [--out FOLDER]
    python -m benchmarks.speech --turns 3 --data SHARDS    # people held out of training by turns

Per filmed clip: Pearson correlation of predicted and tracked inner-lip gap (at the file's own
timing, and at the best lag), beside two other predictors, the sound's energy and visemes of the
phonemes that PocketSphinx hears; correlation of the mouth's width; the ratio of spreads before and
after a style fitted on the clip's other half. With --turns the people in prepared shards are
divided, and each is measured with a model that was trained on the others. On synthetic
speech in held-out languages and voices: how often closures close and open vowels open. In sound
without speech: how far the mouth opens. And how long prediction takes.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.common import (
    FOOTAGE,
    RESULTS,
    clips_of,
    machine,
    markdown_table,
    show,
    write_results,
)
from dubfew.errors import MediaError, NoFaceError
from dubfew.media.mel import HOP, RATE, level_db
from dubfew.motion.mouth_motion import INNER_PAIRS, MouthMotion, rows_of
from dubfew.reconstruction.heads.landmark_indices import MOUTH_POINTS
from dubfew.speech.corpus import Clip, correlation, find_lag
from dubfew.speech.model import SpeechModel
from dubfew.speech.style import fit_style
from dubfew.speech.training.augmentation import breath, coloured_noise, music
from dubfew.speech.training.clip_pairs import prepare_clip
from dubfew.speech.training.examples import HELD_OUT_LANGUAGES, HELD_OUT_VARIANTS, synthesise
from dubfew.speech.training.run import train_model
from dubfew.speech.training.shard_clips import filmed_speakers
from dubfew.speech.transcript.recognize import recognised_gap
from dubfew.speech.visemes import BILABIALS, OPEN_VOWELS, SILENCE

# Lips closer than this look closed, farther apart than OPEN look open (inter-ocular distances).
CLOSED, OPEN = 0.03, 0.06


@dataclass(frozen=True)
class Sound:
    samples: NDArray[np.float32]
    rate: int = RATE


@dataclass(frozen=True)
class ClipResult:
    """One filmed clip; ``styled_*`` are means over both halves, each styled on the other, at the
    file's own timing and at the lag that was found on the other half."""

    clip: str
    r: float
    r_best: float
    lag_ms: float
    energy_r: float
    energy_r_best: float
    phonemes_r: float
    phonemes_r_best: float
    width_r: float
    spread: float
    styled_r: float
    styled_lagged_r: float
    styled_spread: float


def energy_motion(clip: Clip, times: NDArray[np.float64]) -> MouthMotion:
    """The baseline: a mouth as open as the sound is loud (dB, at least -60)."""
    level = np.maximum(level_db(clip.samples), -60)
    opening = np.interp(times, np.arange(len(level)) * HOP / RATE, level) / 60 + 1
    motion = np.zeros((len(times), len(MOUTH_POINTS), 3), np.float32)
    motion[:, rows_of(tuple(pair[1] for pair in INNER_PAIRS)), 1] = -opening[:, None]
    return MouthMotion(motion, times)


def phoneme_motion(clip: Clip, times: NDArray[np.float64]) -> MouthMotion:
    """The other baseline: visemes of what an off-the-shelf recogniser hears."""
    motion = np.zeros((len(times), len(MOUTH_POINTS), 3), np.float32)
    opening = recognised_gap([clip.samples], times)
    motion[:, rows_of(tuple(pair[1] for pair in INNER_PAIRS)), 1] = -opening[:, None]
    return MouthMotion(motion, times)


def measure_clip(model: SpeechModel, clip: Clip) -> ClipResult:
    """How well the model foresees this speaker's mouth."""
    seen = clip.motion
    grid = np.arange(0, len(clip.samples) / RATE, 0.01)
    dense = model.predict(Sound(clip.samples), grid)
    predicted = model.predict(Sound(clip.samples), seen.times)
    sync = find_lag(dense, seen)
    energy = find_lag(energy_motion(clip, grid), seen)
    phonemes = find_lag(phoneme_motion(clip, grid), seen)
    half = len(seen) // 2
    halves = (slice(0, half), slice(half, None))
    styled, lagged = [], []
    for learn, test in (halves, halves[::-1]):
        style = fit_style(predicted.select(learn), seen.select(learn), model.space)
        styled.append(
            (style.apply(predicted.select(test)).aperture(), seen.select(test).aperture())
        )
        lag = find_lag(dense, seen.select(learn)).lag
        late = dense.at(seen.times[test] - lag)
        lagged.append((style.apply(late).aperture(), seen.select(test).aperture()))
    return ClipResult(
        clip=clip.name,
        r=sync.r_zero,
        r_best=sync.r,
        lag_ms=sync.lag * 1000,
        energy_r=energy.r_zero,
        energy_r_best=energy.r,
        phonemes_r=phonemes.r_zero,
        phonemes_r_best=phonemes.r,
        width_r=correlation(predicted.width(), seen.width()),
        spread=float(predicted.aperture().std() / seen.aperture().std()),
        styled_r=float(np.mean([correlation(a, b) for a, b in styled])),
        styled_lagged_r=float(np.mean([correlation(a, b) for a, b in lagged])),
        styled_spread=float(np.mean([a.std() / b.std() for a, b in styled])),
    )


def measure_synthetic(model: SpeechModel, count: int) -> dict[str, float]:
    """Closures and open vowels in languages and voices that the training never heard."""
    closed, opened, paused = [], [], []
    rng = np.random.default_rng(7)
    for said in synthesise(count, rng, languages=HELD_OUT_LANGUAGES, variants=HELD_OUT_VARIANTS):
        grid = np.arange(0, len(said.samples) / RATE, 0.01)
        gap = model.predict(Sound(said.samples), grid, lead=0.0).aperture()
        for phone in said.phones:
            inside = gap[(grid >= phone.start) & (grid <= phone.end)]
            if not len(inside):
                continue
            if phone.symbol in BILABIALS:
                closed.append(inside.min() < CLOSED)
            elif phone.symbol in OPEN_VOWELS and phone.end - phone.start > 0.05:
                opened.append(inside.max() > OPEN)
            elif phone.symbol == SILENCE and phone.end - phone.start > 0.3:
                paused.append(gap[(grid > phone.start + 0.12) & (grid < phone.end - 0.12)].max())
    return {
        "bilabials_closed": float(np.mean(closed)),
        "bilabials": len(closed),
        "open_vowels_open": float(np.mean(opened)),
        "open_vowels": len(opened),
        "widest_gap_in_pauses": float(max(paused, default=0.0)),
    }


def measure_no_speech(model: SpeechModel) -> dict[str, float]:
    """95th percentile of the gap where nobody speaks, worst and mean of ten sounds each."""
    times = np.arange(0.2, 3.8, 0.02)
    result = {}
    for make in (coloured_noise, music, breath):
        gaps = []
        for seed in range(300, 310):
            sound = 0.1 * make(4 * RATE, np.random.default_rng(seed))
            gap = model.predict(Sound(sound.astype(np.float32)), times).aperture()
            gaps.append(float(np.quantile(gap, 0.95)))
        result[f"{make.__name__}_mean"] = float(np.mean(gaps))
        result[f"{make.__name__}_worst"] = float(np.max(gaps))
    return result


def measure_speed(model: SpeechModel) -> float:
    """Seconds for 10 s of sound on one core, best of three."""
    torch.set_num_threads(1)
    sound = Sound(0.1 * coloured_noise(10 * RATE, np.random.default_rng(0)))
    taken = []
    for _ in range(4):
        started = time.perf_counter()
        model.predict(sound, np.arange(250) / 25)
        taken.append(time.perf_counter() - started)
    return min(taken[1:])


def load_clips(folder: Path, split: str) -> list[Clip]:
    """Every audible clip of that split with a face."""
    clips = []
    for path in clips_of(split, folder):
        try:
            clips.append(prepare_clip(path))
        except (MediaError, NoFaceError) as error:
            print(f"passed over: {error}")
    return clips


def clip_table(results: list[ClipResult]) -> str:
    """One row per clip, then the means."""
    names = [name for name in asdict(results[0]) if name != "clip"]
    rows: list[list[object]] = [list(asdict(result).values()) for result in results]
    means = [float(np.mean([asdict(result)[name] for result in results])) for name in names]
    return markdown_table(["clip", *names], [*rows, ["mean", *means]])


def measure_turns(data: Path, turns: int, models: Path) -> list[ClipResult]:
    """Every clip of prepared shards with a model that was trained on other people.

    Models are kept in ``models`` and used again by an interrupted run.
    """
    people = sorted({clip.identity for clip in filmed_speakers(data).train})
    results = []
    for turn in range(turns):
        away, path = people[turn::turns], models / f"turn{turn}of{turns}.safetensors"
        if not path.exists():
            train_model(path, data=data, leave_out=away, progress=show)
        model = SpeechModel.load(path)
        held_out = filmed_speakers(data, leave_out=away).held_out
        results += [measure_clip(model, clip) for clip in held_out]
    return sorted(results, key=lambda result: result.clip)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--footage", type=Path, default=FOOTAGE, help="folder with manifest.json")
    parser.add_argument("--split", default="validate")
    parser.add_argument("--model", type=Path, help="another model than the one that ships")
    parser.add_argument("--utterances", type=int, default=120)
    parser.add_argument("--turns", type=int, help="train so often, without a part of the people")
    parser.add_argument("--data", type=Path, help="shards of `dubfew prior prepare`, for --turns")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    if (options.turns is None) != (options.data is None):
        parser.error("--turns N and --data SHARDS need each other")
    if options.turns:
        figures: dict[str, float] = {}
        results = measure_turns(options.data, options.turns, options.out)
        name = "speech-turns"
    else:
        model = SpeechModel.load(options.model) if options.model else SpeechModel.load_default()
        figures = {
            "seconds for 10 s of sound": measure_speed(model),
            **measure_no_speech(model),
            **measure_synthetic(model, options.utterances),
        }
        results = [measure_clip(model, clip) for clip in load_clips(options.footage, options.split)]
        name = f"speech-{options.split}"
    table = markdown_table(["measure", "value"], [[k, f"{v:.3g}"] for k, v in figures.items()])
    text = f"{table}\n\n{clip_table(results) if results else 'no clips'}\n"
    data = {
        "machine": machine(),
        "figures": figures,
        "clips": [asdict(result) for result in results],
    }
    write_results(options.out, name, text, data)
    print(text)


if __name__ == "__main__":
    main()
