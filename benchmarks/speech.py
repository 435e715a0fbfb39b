"""Measure the speech model:

    python -m benchmarks.speech [--footage FOLDER] [--split validate] [--out FOLDER]
    python -m benchmarks.speech --turns 3 --data SHARDS    # cross-validation over people

For each filmed clip: Pearson correlation of predicted and tracked inner-lip gap, at the file's own
timing and at the best lag, and of two baselines: the sound's loudness, and visemes of the phonemes
that PocketSphinx recognizes; correlation of the mouth's width; ratio of the spreads of the gap
before and after a style that was fitted on the clip's other half. With --turns the people in
prepared shards are divided, and each is measured with a model that was trained on the others. On
synthetic speech in held-out languages and voices: how often closures close and open vowels open. In
sound without speech: how far the mouth opens. And the time that a prediction takes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
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
from dubfew.media import Audio
from dubfew.media.mel import MEL_HOP_SAMPLES, SPEECH_SAMPLE_RATE_HZ, frame_levels_db
from dubfew.motion.mouth_motion import INNER_LIP_PAIRS, MouthMotion, mouth_point_rows
from dubfew.reconstruction.heads.landmark_indices import MOUTH_POINTS
from dubfew.speech.model import SpeechModel
from dubfew.speech.motion_lag import estimate_lag, estimate_picture_lag
from dubfew.speech.style import fit_style
from dubfew.speech.training.augmentation import breath_noise, colored_noise, music_noise
from dubfew.speech.training.examples import (
    HELD_OUT_LANGUAGES,
    HELD_OUT_VARIANTS,
    synthesize_sentences,
)
from dubfew.speech.training.instruments import instrument_music
from dubfew.speech.training.run import train_speech_model
from dubfew.speech.training.shard_clips import load_filmed_clips
from dubfew.speech.training.speech_clip import FilmedSpeech, load_speech_clip
from dubfew.speech.transcript.recognize import recognize_lip_gap
from dubfew.speech.visemes import (
    BILABIAL_LETTERS,
    MOUTH_LEAD_SECONDS,
    OPEN_VOWEL_LETTERS,
    SILENCE_SYMBOL,
)
from dubfew.utils.signal import pearson_correlation

# Lip gaps below the first look closed, above the second open, inter-ocular distances (0.03 is
# about 2.7 mm on an adult).
CLOSED_GAP, OPEN_GAP = 0.03, 0.06
# Step at which predictions are sampled, s.
PREDICTION_STEP_SECONDS = 0.01
# Level at which the loudness baseline is closed, dB full scale.
MIN_LOUDNESS_DB = -60
# Shortest open vowel and pause that are measured, s; and time at both ends of a pause in which the
# mouth may still move.
MIN_VOWEL_SECONDS, MIN_PAUSE_SECONDS, PAUSE_MARGIN_SECONDS = 0.05, 0.3, 0.12


@dataclass(frozen=True)
class ClipResult:
    """Measures of one filmed clip.

    ``clear_lag_ms`` is the lag as `dubfew adapt` finds it in the whole clip, NaN where it says that
    it cannot tell. ``styled_*`` are means over both halves, each styled with the other, at the
    file's own timing and with the lag removed that `dubfew adapt` finds on the other half.
    """

    clip: str
    r: float
    r_best: float
    lag_ms: float
    energy_r: float
    energy_r_best: float
    phonemes_r: float
    phonemes_r_best: float
    clear_lag_ms: float
    width_r: float
    spread: float
    styled_r: float
    styled_lagged_r: float
    styled_lagged_width_r: float
    styled_spread: float
    styled_width_spread: float


def to_audio(samples: NDArray) -> Audio:
    """Wrap samples at 16 kHz."""
    return Audio(samples.astype(np.float32), SPEECH_SAMPLE_RATE_HZ)


def motion_from_gap(gap: NDArray, times: NDArray[np.float64]) -> MouthMotion:
    """Make a motion with this lip gap, in which nothing but the lower lip moves."""
    motion = np.zeros((len(times), len(MOUTH_POINTS), 3), np.float32)
    lower_lip = mouth_point_rows(tuple(pair[1] for pair in INNER_LIP_PAIRS))
    motion[:, lower_lip, 1] = -gap[:, None]
    return MouthMotion(motion, times)


def energy_motion(clip: FilmedSpeech, times: NDArray[np.float64]) -> MouthMotion:
    """Make the loudness baseline: a mouth as open as the sound is loud."""
    level = np.maximum(frame_levels_db(clip.samples), MIN_LOUDNESS_DB)
    level_times = np.arange(len(level)) * MEL_HOP_SAMPLES / SPEECH_SAMPLE_RATE_HZ
    return motion_from_gap(1 - np.interp(times, level_times, level) / MIN_LOUDNESS_DB, times)


def phoneme_motion(clip: FilmedSpeech, times: NDArray[np.float64]) -> MouthMotion:
    """Make the phoneme baseline: the lip gap of an off-the-shelf recognizer's phonemes."""
    return motion_from_gap(recognize_lip_gap([clip.samples], times), times)


def measure_clip(model: SpeechModel, clip: FilmedSpeech) -> ClipResult:
    """Measure how well the model predicts this speaker's mouth."""
    seen = clip.motion
    grid = np.arange(0, len(clip.samples) / SPEECH_SAMPLE_RATE_HZ, PREDICTION_STEP_SECONDS)
    dense = model.predict(to_audio(clip.samples), grid)
    predicted = model.predict(to_audio(clip.samples), seen.times)
    own = estimate_lag(dense, seen)
    energy = estimate_lag(energy_motion(clip, grid), seen)
    phonemes = estimate_lag(phoneme_motion(clip, grid), seen)
    # Style each half with the other one, without and with the lag found there.
    half = len(seen) // 2
    halves = (slice(0, half), slice(half, None))
    styled, lagged = [], []
    for fit, test in (halves, halves[::-1]):
        style = fit_style(dense, seen.select(fit), model.space)
        styled.append((style.apply(predicted.select(test)), seen.select(test)))
        assert style.picture_lag is not None
        late = dense.resample(seen.times[test] - style.picture_lag.correction_seconds)
        lagged.append((style.apply(late), seen.select(test)))
    whole_lag = estimate_picture_lag(dense, seen)
    return ClipResult(
        clip=clip.name,
        r=own.r_zero,
        r_best=own.r_best,
        lag_ms=own.lag_seconds * 1000,
        energy_r=energy.r_zero,
        energy_r_best=energy.r_best,
        phonemes_r=phonemes.r_zero,
        phonemes_r_best=phonemes.r_best,
        clear_lag_ms=1000 * whole_lag.lag_seconds if whole_lag.is_clear else float("nan"),
        width_r=pearson_correlation(predicted.width_change(), seen.width_change()),
        spread=float(predicted.aperture().std() / seen.aperture().std()),
        styled_r=_mean_r(styled, MouthMotion.aperture),
        styled_lagged_r=_mean_r(lagged, MouthMotion.aperture),
        styled_lagged_width_r=_mean_r(lagged, MouthMotion.width_change),
        styled_spread=_mean_spread(lagged, MouthMotion.aperture),
        styled_width_spread=_mean_spread(lagged, MouthMotion.width_change),
    )


Pairs = list[tuple[MouthMotion, MouthMotion]]


def _mean_r(pairs: Pairs, curve: Callable[[MouthMotion], NDArray]) -> float:
    """Average the correlation of a curve of predicted and tracked motion."""
    return float(np.mean([pearson_correlation(curve(a), curve(b)) for a, b in pairs]))


def _mean_spread(pairs: Pairs, curve: Callable[[MouthMotion], NDArray]) -> float:
    """Average the ratio of the standard deviations of a curve."""
    return float(np.mean([curve(a).std() / curve(b).std() for a, b in pairs]))


def measure_synthetic(model: SpeechModel, count: int) -> dict[str, float]:
    """Measure closures and open vowels in languages and voices that are not in the training."""
    closed, opened, paused = [], [], []
    rng = np.random.default_rng(7)
    for utterance in synthesize_sentences(
        count, rng, languages=HELD_OUT_LANGUAGES, variants=HELD_OUT_VARIANTS
    ):
        total = len(utterance.samples) / SPEECH_SAMPLE_RATE_HZ
        grid = np.arange(0, total, PREDICTION_STEP_SECONDS)
        # espeak-ng's phone times are those of the sound; the mouth is ahead of it.
        gap = model.predict(to_audio(utterance.samples), grid - MOUTH_LEAD_SECONDS).aperture()
        for phone in utterance.phones:
            seconds = phone.end - phone.start
            inside = gap[(grid >= phone.start) & (grid <= phone.end)]
            if not len(inside):
                continue
            if phone.symbol in BILABIAL_LETTERS:
                closed.append(inside.min() < CLOSED_GAP)
            elif phone.symbol in OPEN_VOWEL_LETTERS and seconds > MIN_VOWEL_SECONDS:
                opened.append(inside.max() > OPEN_GAP)
            elif phone.symbol == SILENCE_SYMBOL and seconds > MIN_PAUSE_SECONDS:
                late = grid > phone.start + PAUSE_MARGIN_SECONDS
                early = grid < phone.end - PAUSE_MARGIN_SECONDS
                paused.append(gap[late & early].max())
    return {
        "bilabials_closed": float(np.mean(closed)),
        "bilabials": len(closed),
        "open_vowels_open": float(np.mean(opened)),
        "open_vowels": len(opened),
        "widest_gap_in_pauses": float(max(paused, default=0.0)),
    }


def measure_no_speech(model: SpeechModel) -> dict[str, float]:
    """Measure the gap (95th percentile) without speech: mean and worst of ten sounds each."""
    times = np.arange(0.2, 3.8, 0.02)
    result = {}
    for make in (colored_noise, music_noise, instrument_music, breath_noise):
        gaps = []
        for seed in range(300, 310):
            sound = 0.1 * make(4 * SPEECH_SAMPLE_RATE_HZ, np.random.default_rng(seed))
            gap = model.predict(to_audio(sound), times).aperture()
            gaps.append(float(np.quantile(gap, 0.95)))
        result[f"{make.__name__}_mean"] = float(np.mean(gaps))
        result[f"{make.__name__}_worst"] = float(np.max(gaps))
    return result


def measure_speed(model: SpeechModel) -> float:
    """Measure the seconds for 10 s of sound on one core, best of three."""
    torch.set_num_threads(1)
    noise = colored_noise(10 * SPEECH_SAMPLE_RATE_HZ, np.random.default_rng(0))
    audio = to_audio(0.1 * noise)
    # The first run includes loading and is not counted.
    durations = []
    for _ in range(4):
        started = time.perf_counter()
        model.predict(audio, np.arange(250) / 25)
        durations.append(time.perf_counter() - started)
    return min(durations[1:])


def load_clips(folder: Path, split: str) -> list[FilmedSpeech]:
    """Load every clip of a split that has sound and a face."""
    clips: list[FilmedSpeech] = []
    for path in clips_of(split, folder):
        try:
            clips.append(load_speech_clip(path))
        except (MediaError, NoFaceError) as error:
            print(f"skipped: {error}")
    return clips


def clip_table(results: list[ClipResult]) -> str:
    """Format one row per clip, then the means."""
    names = [name for name in asdict(results[0]) if name != "clip"]
    rows: list[list[object]] = [list(asdict(result).values()) for result in results]
    means = [float(np.nanmean([asdict(result)[name] for result in results])) for name in names]
    return markdown_table(["clip", *names], [*rows, ["mean", *means]])


def iterate_turns(
    data: Path, turns: int, models: Path
) -> Iterator[tuple[SpeechModel, list[FilmedSpeech]]]:
    """Yield models, each with the clips of prepared shards whose people it was not trained on.

    Models are kept in ``models``, so that an interrupted run continues.
    """
    people = sorted({clip.identity for clip in load_filmed_clips(data).train})
    for turn in range(turns):
        left_out, path = people[turn::turns], models / f"turn{turn}of{turns}.safetensors"
        if not path.exists():
            train_speech_model(path, data=data, leave_out=left_out, overwrite=True, progress=show)
        yield (
            SpeechModel.load(path),
            load_filmed_clips(data, held_out_people=left_out).held_out,
        )


def measure_turns(data: Path, turns: int, models: Path) -> list[ClipResult]:
    """Measure every clip of prepared shards with a model that was trained on other people."""
    results = [
        measure_clip(model, clip)
        for model, clips in iterate_turns(data, turns, models)
        for clip in clips
    ]
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
