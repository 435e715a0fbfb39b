"""Measure how far music of sampled instruments opens the mouth:

    pip install tinysoundfont
    python -m benchmarks.music --soundfont FILE.sf2 [--pieces 60] [--model FILE] [--out FOLDER]

Pieces of six seconds with a melody, chords, a bass and drums are played on the instruments of a
soundfont, which no training heard; voices and choirs are left out. For each: the 95th percentile of
the gap between the lips. (The figures in the documentation are with ``TimGM6mb.sf2``, which comes
with ``pip install pretty_midi``.)
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import tinysoundfont
from numpy.typing import NDArray

from benchmarks.common import RESULTS, machine, markdown_table, write_results
from benchmarks.speech import CLOSED_GAP, to_audio
from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ
from dubfew.speech.model import SpeechModel

PIECE_SECONDS = 6
# General MIDI's programs that sing or sound like it: choirs, voices, pads of voices.
SINGING_PROGRAMS = (52, 53, 54, 85, 91)
BASS_PROGRAMS, LAST_PROGRAM = range(32, 40), 112
DRUM_CHANNEL, DRUM_BANK, BASS_DRUM, HI_HAT = 9, 128, 36, 42
MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11)


def play_piece(soundfont: Path, seed: int) -> NDArray[np.float32]:
    """Play a random piece, at 16 kHz and with a peak of one half."""
    rng = np.random.default_rng(seed)
    synth = tinysoundfont.Synth(samplerate=SPEECH_SAMPLE_RATE_HZ)
    font = synth.sfload(str(soundfont))
    programs = [p for p in range(LAST_PROGRAM) if p not in SINGING_PROGRAMS]
    chosen = (rng.choice(programs), rng.choice(programs), rng.choice(BASS_PROGRAMS))
    for channel, program in enumerate(chosen):
        synth.program_select(channel, font, 0, int(program))
    has_drums = rng.random() < 0.5
    if has_drums:
        synth.program_select(DRUM_CHANNEL, font, DRUM_BANK, 0, True)
    eighth = 30 / rng.uniform(60, 150)
    root, is_solo = int(rng.integers(40, 60)), rng.random() < 0.4
    blocks, seconds, step = [], 0.0, 0
    sounding: list[tuple[int, int]] = []
    while seconds < PIECE_SECONDS:
        for channel, note in sounding:
            synth.noteoff(channel, note)
        degree = int(rng.integers(7))
        sounding = []
        if rng.random() < 0.8:
            octave = 12 * int(rng.integers(2))
            sounding.append((0, root + 12 + MAJOR_SCALE[rng.integers(7)] + octave))
        if not is_solo and step % 4 == 0:
            sounding += [(1, root + MAJOR_SCALE[(degree + each) % 7]) for each in (0, 2, 4)]
        if not is_solo and step % 2 == 0:
            sounding.append((2, root - 12 + MAJOR_SCALE[degree]))
        for channel, note in sounding:
            synth.noteon(channel, note, int(rng.integers(70, 120)))
        if has_drums:
            synth.noteon(DRUM_CHANNEL, HI_HAT if step % 2 else BASS_DRUM, 100)
        count = int(eighth * SPEECH_SAMPLE_RATE_HZ * (1 if rng.random() < 0.7 else 2))
        stereo = np.frombuffer(bytes(synth.generate(count)), np.float32).reshape(-1, 2)
        blocks.append(stereo.mean(axis=1))
        seconds += count / SPEECH_SAMPLE_RATE_HZ
        step += 1
    sound = np.concatenate(blocks)[: PIECE_SECONDS * SPEECH_SAMPLE_RATE_HZ]
    return (0.5 * sound / (np.abs(sound).max() + 1e-9)).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--soundfont", type=Path, required=True)
    parser.add_argument("--pieces", type=int, default=60)
    parser.add_argument("--model", type=Path, help="another model than the one that ships")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    model = SpeechModel.load(options.model) if options.model else SpeechModel.load_default()
    times = np.arange(0.2, PIECE_SECONDS - 0.2, 0.02)
    gaps = np.array(
        [
            np.quantile(
                model.predict(to_audio(play_piece(options.soundfont, seed)), times).aperture(), 0.95
            )
            for seed in range(options.pieces)
        ]
    )
    figures = {
        "pieces": len(gaps),
        "pieces that open the mouth": int((gaps > CLOSED_GAP).sum()),
        "mean gap": float(gaps.mean()),
        "widest gap": float(gaps.max()),
    }
    text = markdown_table(["measure", "value"], [[k, f"{v:.3g}"] for k, v in figures.items()])
    data = {"machine": machine(), "gaps": gaps.tolist()}
    write_results(options.out, "music", text, data)
    print(text)


if __name__ == "__main__":
    main()
