"""Make the demo's bundled footage: ``python -m tools.build_demo [FOLDER]``.

A synthetic person speaks English in ``actor.mp4``; ``dub.wav`` is another voice in Italian.
Both voices are espeak-ng's, whose phoneme times move the person's mouth. Making them needs the
extra ``speech-train``; the demo itself does not.
"""

from __future__ import annotations

import argparse
from importlib.resources import files
from pathlib import Path

import numpy as np
from scipy.io import wavfile

from dubfew.demo.run import ACTOR_CLIP_FILE, DUB_AUDIO_FILE
from dubfew.media import Audio
from dubfew.speech.espeak import Utterance, get_synthesizer
from dubfew.synthetic import SyntheticPerson, SyntheticSpeech, write_clip

# Seeds of the person and of the clip, chosen by eye among the first twenty: a friendly face, teeth
# that show, an even light.
PERSON_SEED, CLIP_SEED = 14, 1
# 512 px show pores, and the file stays below a megabyte at this quality of the encoder.
FRAME_SIZE_PX, FRAMES_PER_SECOND, CLIP_CRF = 512, 25, 18
# Longest clip, s: adapting to it must not take a newcomer's patience.
MAX_CLIP_SECONDS = 8.0
# Silence behind the last word, s, so that the mouth closes.
CLOSING_SECONDS = 0.3
# Rate of `Utterance.samples`.
SAMPLE_RATE_HZ = 16000
# Sentences of the actor and of the dub.
ACTOR_TEXT = (
    "Hello, I am not a real person. My face, my voice and this room were made by a program, "
    "so that you may put new words in my mouth."
)
DUB_TEXT = "Buongiorno a tutti! Oggi parlo italiano, e la mia bocca si muove con le nuove parole."


def speech_from_utterance(utterance: Utterance) -> SyntheticSpeech:
    """Wrap espeak-ng's sound and phoneme times as the speech of a synthetic person."""
    return SyntheticSpeech(Audio(utterance.samples, SAMPLE_RATE_HZ), utterance.phones)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Make the demo's bundled footage.")
    bundled = Path(str(files("dubfew.demo")))
    parser.add_argument(
        "folder", type=Path, nargs="?", default=bundled, help="default: where the demo looks"
    )
    folder = parser.parse_args(arguments).folder
    speech = speech_from_utterance(
        get_synthesizer().synthesize(
            ACTOR_TEXT, "en-us", variant="f3", words_per_minute=178, pitch=52
        )
    )
    spoken = len(speech.audio.samples) / SAMPLE_RATE_HZ
    seconds = min(spoken + CLOSING_SECONDS, MAX_CLIP_SECONDS)
    write_clip(
        SyntheticPerson(PERSON_SEED), folder / ACTOR_CLIP_FILE,
        seconds=seconds, fps=FRAMES_PER_SECOND, size=FRAME_SIZE_PX, seed=CLIP_SEED,
        speech=speech, crf=CLIP_CRF,
    )  # fmt: skip
    (folder / ACTOR_CLIP_FILE).with_suffix(".track").unlink()  # the demo tracks the clip itself
    dub = get_synthesizer().synthesize(DUB_TEXT, "it", variant="f2", words_per_minute=165, pitch=45)
    wavfile.write(
        folder / DUB_AUDIO_FILE,
        SAMPLE_RATE_HZ,
        (np.clip(dub.samples, -1, 1) * 32767).astype(np.int16),
    )


if __name__ == "__main__":
    main()
