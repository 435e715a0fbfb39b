"""Compare mouths with the phonemes of read sentences:

    python -m benchmarks.phonemes --data SHARDS [--turns 2] [--models FOLDER] [--out FOLDER]

GRID's sentences (Cooke et al. 2006) are named after their words, and `align_transcript` says when
their sounds are spoken. In prepared shards that hold such clips, each is predicted by a model that
was trained on other people (the models of ``benchmarks.speech --turns``, which are trained where
they are missing), and beside it stands the tracked mouth of the same clip: share of /p b m/ in
which the lips meet within a frame of the sound, openings of vowels, and the ratio of the two.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import RESULTS, machine, markdown_table, write_results
from benchmarks.speech import CLOSED_GAP, iterate_turns, to_audio
from benchmarks.transcript import grid_text
from dubfew.errors import DubfewError
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.speech.transcript.align import align_transcript
from dubfew.speech.transcript.transcript import TranscriptCue
from dubfew.speech.visemes import (
    BILABIAL_LETTERS,
    MOUTH_LEAD_SECONDS,
    OPEN_VOWEL_LETTERS,
    VOWEL_LETTERS,
    Phone,
)

# Close vowels, in which the jaw is high.
CLOSE_VOWEL_LETTERS = frozenset("iɪᵻɨɯuʊʉyʏ")  # noqa: RUF001
# Rounded vowels and glides, in which the mouth is narrow.
ROUNDED_LETTERS = frozenset("uʊɔowʉ")
# Time around a closure in which the lips may meet, s: a frame of film.
FRAME_SECONDS = 0.04
# Accuracy of the detector, inter-ocular distances: added to the openings of closed lips before
# others are divided by them.
OPENING_ACCURACY = 0.01
# Delay of a motion that has the model's openings at wrong moments, s: about two syllables.
CHANCE_DELAY_SECONDS = 0.4
# Step at which motion is sampled, s.
STEP_SECONDS = 0.01


@dataclass
class PhonemeOpenings:
    """Openings of one system's mouths by the kind of sound, inter-ocular distances.

    Attributes:
        bilabials: smallest gap within a frame of each /p b m/.
        open_vowels: largest gap in each open vowel.
        close_vowels: the same of close vowels.
        rounded: change of the mouth's width in the middle of each rounded sound.
        spread: the same in the middle of each other vowel.
    """

    bilabials: list[float]
    open_vowels: list[float]
    close_vowels: list[float]
    rounded: list[float]
    spread: list[float]

    @classmethod
    def empty(cls) -> PhonemeOpenings:
        """Make one without any sound."""
        return cls([], [], [], [], [])

    def add(self, motion: MouthMotion, phones: Iterable[Phone]) -> None:
        """Add the sounds of one sentence.

        Args:
            motion: mouth of the sentence.
            phones: its sounds, with their times in the sound.
        """
        times = np.arange(motion.times[0], motion.times[-1], STEP_SECONDS)
        dense = motion.resample(times)
        gap, width = dense.aperture(), dense.width_change()
        for phone in phones:
            # The mouth is ahead of the sound.
            start, end = phone.start - MOUTH_LEAD_SECONDS, phone.end - MOUTH_LEAD_SECONDS
            if start < times[0] or end > times[-1]:
                continue
            if phone.symbol in BILABIAL_LETTERS:
                self.bilabials.append(
                    float(_between(gap, times, start - FRAME_SECONDS, end + FRAME_SECONDS).min())
                )
            elif phone.symbol in OPEN_VOWEL_LETTERS:
                self.open_vowels.append(float(_between(gap, times, start, end).max()))
            elif phone.symbol in CLOSE_VOWEL_LETTERS:
                self.close_vowels.append(float(_between(gap, times, start, end).max()))
            if phone.symbol in VOWEL_LETTERS | ROUNDED_LETTERS:
                middle = float(np.interp((start + end) / 2, times, width))
                (self.rounded if phone.symbol in ROUNDED_LETTERS else self.spread).append(middle)

    def summarize(self) -> dict[str, float]:
        """Compute shares, means and ratios; NaN where there is no such sound."""
        closed, opened = np.array(self.bilabials), np.array(self.open_vowels)
        close = np.array(self.close_vowels)
        return {
            "p b m with lips closed, %": 100 * float((closed < CLOSED_GAP).mean()),
            "mean gap in p b m": float(closed.mean()),
            "mean gap in open vowels": float(opened.mean()),
            "mean gap in close vowels": float(close.mean()),
            "open vowels / p b m": float(opened.mean() / (closed.mean() + OPENING_ACCURACY)),
            "open / close vowels": float(opened.mean() / close.mean()),
            "width, rounded minus other vowels": float(
                np.mean(self.rounded) - np.mean(self.spread)
            ),
        }


def _between(values: NDArray, times: NDArray, start: float, end: float) -> NDArray:
    """Select values between two times, at least the one nearest to the middle."""
    inside = (times >= start) & (times <= end)
    inside[np.abs(times - (start + end) / 2).argmin()] = True
    return values[inside]


def measure_people(data: Path, turns: int, models: Path) -> dict[str, PhonemeOpenings]:
    """Measure the GRID sentences in prepared shards, on film and as strangers' models speak them.

    Returns:
        Openings "on film", "by the model", and "by chance": by the model and much too late.
    """
    found = {name: PhonemeOpenings.empty() for name in ("on film", "by the model", "by chance")}
    for model, clips in iterate_turns(data, turns, models):
        for clip in clips:
            name = Path(clip.name).stem
            text = grid_text(name) if name.startswith("grid_") else None
            if text is None:
                continue
            audio = to_audio(clip.samples)
            try:
                phones = align_transcript(audio, [TranscriptCue(text)], "en").phones
            except DubfewError as error:
                print(f"skipped {clip.name} ({text}): {error}")
                continue
            found["on film"].add(clip.motion, phones)
            predicted = model.predict(audio, clip.motion.times)
            found["by the model"].add(predicted, phones)
            late = MouthMotion(predicted.displacement, predicted.times + CHANCE_DELAY_SECONDS)
            found["by chance"].add(late, phones)
    return found


def phoneme_table(found: Mapping[str, PhonemeOpenings]) -> str:
    """Format one row per measure, one column per system."""
    summaries = {name: openings.summarize() for name, openings in found.items()}
    names = list(next(iter(summaries.values())))
    rows: list[list[object]] = [
        [name, *(each[name] for each in summaries.values())] for name in names
    ]
    return markdown_table(["measure", *summaries], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="shards of `dubfew prior prepare`")
    parser.add_argument("--turns", type=int, default=2, help="parts that the people are divided in")
    parser.add_argument("--models", type=Path, default=RESULTS, help="folder of the models")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    found = measure_people(options.data, options.turns, options.models)
    counts = {name: len(values) for name, values in vars(found["on film"]).items()}
    text = f"{phoneme_table(found)}\n\n{counts}\n"
    data = {name: vars(each) for name, each in found.items()}
    write_results(options.out, "phonemes", text, {"machine": machine(), "openings": data})
    print(text)


if __name__ == "__main__":
    main()
