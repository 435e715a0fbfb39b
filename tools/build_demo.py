"""Makes the bundled footage: ``python -m tools.build_demo [FOLDER]``.

A synthetic person speaks English in ``actor.mp4``; ``dub.wav`` is another voice in Italian.
Both voices are espeak-ng's, whose phoneme times move the person's mouth. Needs the extra
``speech-train``; users of the demo do not.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.io import wavfile

from dubfew.demo.run import ACTOR, DUB
from dubfew.media import Audio
from dubfew.speech.espeak import Utterance, espeak
from dubfew.synthetic import Speech, SyntheticPerson, write_clip

# Chosen by eye among the first twenty: a friendly face, teeth that show, an even light.
PERSON, TAKE = 14, 1
SIZE, FPS, CRF = 512, 25, 18
RATE = 16000
TEXT = (
    "Hello, I am not a real person. My face, my voice and this room were made by a program, "
    "so that you may put new words in my mouth."
)
DUB_TEXT = "Buongiorno a tutti! Oggi parlo italiano, e la mia bocca si muove con le nuove parole."


def speech_of(utterance: Utterance) -> Speech:
    """espeak-ng's sound with its times, as a synthetic person speaks it."""
    return Speech(Audio(utterance.samples, RATE), utterance.phones)


def main() -> None:
    """Command line of this script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path(__file__).parent)
    folder = parser.parse_args().folder
    speech = speech_of(espeak().say(TEXT, "en-us", variant="f3", rate=178, pitch=52))
    seconds = min(len(speech.audio.samples) / RATE + 0.3, 8.0)
    write_clip(
        SyntheticPerson(PERSON), folder / ACTOR,
        seconds=seconds, fps=FPS, size=SIZE, seed=TAKE, speech=speech, crf=CRF,
    )  # fmt: skip
    (folder / ACTOR).with_suffix(".track").unlink()  # users track the clip themselves
    dub = espeak().say(DUB_TEXT, "it", variant="f2", rate=165, pitch=45)
    wavfile.write(folder / DUB, RATE, (np.clip(dub.samples, -1, 1) * 32767).astype(np.int16))


if __name__ == "__main__":
    main()
