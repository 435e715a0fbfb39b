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
from dubfew.media.mel import MEL_HOP_SAMPLES, SPEECH_SAMPLE_RATE_HZ, frame_levels_db
from dubfew.motion.mouth_motion import INNER_LIP_PAIRS, MouthMotion, mouth_point_rows
from dubfew.reconstruction.heads.landmark_indices import MOUTH_POINTS
from dubfew.speech.model import SpeechModel
from dubfew.speech.motion_lag import estimate_lag
from dubfew.speech.style import fit_style
from dubfew.speech.training.augmentation import breath_noise, colored_noise, music_noise
from dubfew.speech.training.examples import (
    HELD_OUT_LANGUAGES,
    HELD_OUT_VARIANTS,
    synthesize_sentences,
)
from dubfew.speech.training.run import train_speech_model
from dubfew.speech.training.shard_clips import load_filmed_clips
from dubfew.speech.training.speech_clip import SpeechClip, load_speech_clip
from dubfew.speech.transcript.recognize import recognize_lip_gap
from dubfew.speech.visemes import BILABIAL_LETTERS, OPEN_VOWEL_LETTERS, SILENCE_SYMBOL
from dubfew.utils.signal import pearson_correlation

# Lips closer than this look closed, farther apart than OPEN look open (inter-ocular distances).
CLOSED, OPEN = 0.03, 0.06


@dataclass(frozen=True)
class Sound:
    samples: NDArray[np.float32]
    rate: int = SPEECH_SAMPLE_RATE_HZ


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


def energy_motion(clip: SpeechClip, times: NDArray[np.float64]) -> MouthMotion:
    """The baseline: a mouth as open as the sound is loud (dB, at least -60)."""
    level = np.maximum(frame_levels_db(clip.samples), -60)
    opening = (
        np.interp(times, np.arange(len(level)) * MEL_HOP_SAMPLES / SPEECH_SAMPLE_RATE_HZ, level)
        / 60
        + 1
    )
    motion = np.zeros((len(times), len(MOUTH_POINTS), 3), np.float32)
    motion[:, mouth_point_rows(tuple(pair[1] for pair in INNER_LIP_PAIRS)), 1] = -opening[:, None]
    return MouthMotion(motion, times)


def phoneme_motion(clip: SpeechClip, times: NDArray[np.float64]) -> MouthMotion:
    """The other baseline: visemes of what an off-the-shelf recogniser hears."""
    motion = np.zeros((len(times), len(MOUTH_POINTS), 3), np.float32)
    opening = recognize_lip_gap([clip.samples], times)
    motion[:, mouth_point_rows(tuple(pair[1] for pair in INNER_LIP_PAIRS)), 1] = -opening[:, None]
    return MouthMotion(motion, times)


def measure_clip(model: SpeechModel, clip: SpeechClip) -> ClipResult:
    """How well the model foresees this speaker's mouth."""
    seen = clip.motion
    grid = np.arange(0, len(clip.samples) / SPEECH_SAMPLE_RATE_HZ, 0.01)
    dense = model.predict(Sound(clip.samples), grid)
    predicted = model.predict(Sound(clip.samples), seen.times)
    sync = estimate_lag(dense, seen)
    energy = estimate_lag(energy_motion(clip, grid), seen)
    phonemes = estimate_lag(phoneme_motion(clip, grid), seen)
    half = len(seen) // 2
    halves = (slice(0, half), slice(half, None))
    styled, lagged = [], []
    for learn, test in (halves, halves[::-1]):
        style = fit_style(predicted.select(learn), seen.select(learn), model.space)
        styled.append(
            (style.apply(predicted.select(test)).aperture(), seen.select(test).aperture())
        )
        lag = estimate_lag(dense, seen.select(learn)).lag_seconds
        late = dense.resample(seen.times[test] - lag)
        lagged.append((style.apply(late).aperture(), seen.select(test).aperture()))
    return ClipResult(
        clip=clip.name,
        r=sync.r_zero,
        r_best=sync.r_best,
        lag_ms=sync.lag_seconds * 1000,
        energy_r=energy.r_zero,
        energy_r_best=energy.r_best,
        phonemes_r=phonemes.r_zero,
        phonemes_r_best=phonemes.r_best,
        width_r=pearson_correlation(predicted.width_change(), seen.width_change()),
        spread=float(predicted.aperture().std() / seen.aperture().std()),
        styled_r=float(np.mean([pearson_correlation(a, b) for a, b in styled])),
        styled_lagged_r=float(np.mean([pearson_correlation(a, b) for a, b in lagged])),
        styled_spread=float(np.mean([a.std() / b.std() for a, b in styled])),
    )


def measure_synthetic(model: SpeechModel, count: int) -> dict[str, float]:
    """Closures and open vowels in languages and voices that the training never heard."""
    closed, opened, paused = [], [], []
    rng = np.random.default_rng(7)
    for said in synthesize_sentences(
        count, rng, languages=HELD_OUT_LANGUAGES, variants=HELD_OUT_VARIANTS
    ):
        grid = np.arange(0, len(said.samples) / SPEECH_SAMPLE_RATE_HZ, 0.01)
        gap = model.predict(Sound(said.samples), grid, lead=0.0).aperture()
        for phone in said.phones:
            inside = gap[(grid >= phone.start) & (grid <= phone.end)]
            if not len(inside):
                continue
            if phone.symbol in BILABIAL_LETTERS:
                closed.append(inside.min() < CLOSED)
            elif phone.symbol in OPEN_VOWEL_LETTERS and phone.end - phone.start > 0.05:
                opened.append(inside.max() > OPEN)
            elif phone.symbol == SILENCE_SYMBOL and phone.end - phone.start > 0.3:
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
    for make in (colored_noise, music_noise, breath_noise):
        gaps = []
        for seed in range(300, 310):
            sound = 0.1 * make(4 * SPEECH_SAMPLE_RATE_HZ, np.random.default_rng(seed))
            gap = model.predict(Sound(sound.astype(np.float32)), times).aperture()
            gaps.append(float(np.quantile(gap, 0.95)))
        result[f"{make.__name__}_mean"] = float(np.mean(gaps))
        result[f"{make.__name__}_worst"] = float(np.max(gaps))
    return result


def measure_speed(model: SpeechModel) -> float:
    """Seconds for 10 s of sound on one core, best of three."""
    torch.set_num_threads(1)
    sound = Sound(0.1 * colored_noise(10 * SPEECH_SAMPLE_RATE_HZ, np.random.default_rng(0)))
    taken = []
    for _ in range(4):
        started = time.perf_counter()
        model.predict(sound, np.arange(250) / 25)
        taken.append(time.perf_counter() - started)
    return min(taken[1:])


def load_clips(folder: Path, split: str) -> list[SpeechClip]:
    """Every audible clip of that split with a face."""
    clips = []
    for path in clips_of(split, folder):
        try:
            clips.append(load_speech_clip(path))
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
    people = sorted({clip.identity for clip in load_filmed_clips(data).train})
    results = []
    for turn in range(turns):
        away, path = people[turn::turns], models / f"turn{turn}of{turns}.safetensors"
        if not path.exists():
            train_speech_model(path, data=data, leave_out=away, progress=show)
        model = SpeechModel.load(path)
        held_out = load_filmed_clips(data, held_out_people=away).held_out
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
