"""Measure transcripts: alignment in time, and their effect on the mouth:

    python -m benchmarks.transcript [--footage FOLDER] [--model FILE] [--out FOLDER]

First, times at which phones begin according to ``dubfew.speech.transcript.align``, compared with
the true ones: for espeak-ng's voices that are not among the references, in noise, rooms and limited
bands, in languages and voices outside of the training; and for flite, another synthesizer, if its
program is on the PATH. Then, how many right and wrong texts are accepted. Then, on filmed GRID
sentences (``grid_*`` in the folder; their names spell the words), Pearson correlation of the
tracked lip gap with that of the audio model, of the text's visemes, and of the blend that ``render
--transcript`` makes, and the fraction of /p b m/ in which the lips meet. Give ``--model`` one that
was not trained on these clips; the one that ships was, on most of them.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import FOOTAGE, RESULTS, machine, markdown_table, write_results
from dubfew.errors import DubfewError
from dubfew.media import Audio, read_audio
from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.speech.espeak import get_synthesizer, load_sentences
from dubfew.speech.model import SpeechModel
from dubfew.speech.training.augmentation import augment_audio
from dubfew.speech.training.examples import HELD_OUT_LANGUAGES, HELD_OUT_VARIANTS
from dubfew.speech.training.speech_clip import load_speech_clip
from dubfew.speech.transcript.align import align_transcript
from dubfew.speech.transcript.phoneme_fusion import fuse_phonemes
from dubfew.speech.transcript.recognize import IPA_BY_ARPABET
from dubfew.speech.transcript.transcript import TranscriptCue
from dubfew.speech.viseme_basis import load_viseme_basis
from dubfew.speech.visemes import (
    BILABIAL_LETTERS,
    MOUTH_LEAD_SECONDS,
    SILENCE_SYMBOL,
    VISEME_BY_LETTER,
    Phone,
    motion_from_phones,
)
from dubfew.utils.signal import pearson_correlation

# Lip gaps below this look closed, inter-ocular distances.
CLOSED_GAP = 0.03
# Longest silence or noise before and after a sentence, s.
MAX_MARGIN_SECONDS = 1.0
# Voices of flite.
FLITE_VOICES = ("slt", "rms", "awb", "kal")
# Words of a GRID sentence by the letters in the clip's name: command, color, preposition, letter,
# digit, adverb.
GRID_WORDS: tuple[dict[str, str], ...] = (
    {"b": "bin", "l": "lay", "p": "place", "s": "set"},
    {"b": "blue", "g": "green", "r": "red", "w": "white"},
    {"a": "at", "b": "by", "i": "in", "w": "with"},
    {},
    {"z": "zero", "1": "one", "2": "two", "3": "three", "4": "four",
     "5": "five", "6": "six", "7": "seven", "8": "eight", "9": "nine"},
    {"a": "again", "n": "now", "p": "please", "s": "soon"},
)  # fmt: skip


@dataclass(frozen=True)
class Spoken:
    """A sentence and the times at which its phones begin.

    Attributes:
        samples: mono at 16 kHz. [n]
        text: the sentence.
        language: espeak-ng's language code.
        symbols: IPA letters of the phones.
        starts: time at which each phone begins, s.
    """

    samples: NDArray[np.float32]
    text: str
    language: str
    symbols: tuple[str, ...]
    starts: tuple[float, ...]


def espeak_sentences(count: int, rng: np.random.Generator) -> Iterator[Spoken]:
    """Yield augmented sentences in held-out voices, in held-out and three other languages."""
    texts, languages = load_sentences(), (*HELD_OUT_LANGUAGES, "en-us", "fr", "de")
    for _ in range(count):
        language = languages[rng.integers(len(languages))]
        text = texts[language][rng.integers(len(texts[language]))]
        utterance = get_synthesizer().synthesize(
            text,
            language,
            variant=HELD_OUT_VARIANTS[rng.integers(len(HELD_OUT_VARIANTS))],
            words_per_minute=int(rng.integers(120, 210)),
            pitch=int(rng.integers(20, 80)),
        )
        phones = [phone for phone in utterance.phones if phone.symbol != SILENCE_SYMBOL]
        before, after = (
            np.zeros(int(rng.uniform(0, MAX_MARGIN_SECONDS) * SPEECH_SAMPLE_RATE_HZ), np.float32)
            for _ in "ab"
        )
        yield Spoken(
            augment_audio(np.concatenate([before, utterance.samples, after]), rng),
            text,
            language,
            tuple(phone.symbol for phone in phones),
            tuple(phone.start + len(before) / SPEECH_SAMPLE_RATE_HZ for phone in phones),
        )


def flite_sentences(program: str, rng: np.random.Generator) -> Iterator[Spoken]:
    """Yield English sentences by flite's four voices, every second one augmented."""
    letters = {name.lower(): ipa for name, ipa in IPA_BY_ARPABET.items()} | {"ax": "ə"}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "flite.wav"
        for number, text in enumerate(load_sentences()["en-us"]):
            voice = FLITE_VOICES[number % len(FLITE_VOICES)]
            stretch = f"duration_stretch={rng.uniform(0.85, 1.25)}"
            command = [program, "-voice", voice, "-psdur", "--setf", stretch, "-t", text]
            result = subprocess.run(
                [*command, "-o", path], capture_output=True, text=True, check=True
            )
            names, ends = zip(
                *(token.rsplit(":", 1) for token in result.stdout.split()), strict=True
            )
            begins = [0.0, *map(float, ends[:-1])]
            phones = [
                (letters[n][0], t) for n, t in zip(names, begins, strict=True) if n in letters
            ]
            samples = read_audio(path, rate=SPEECH_SAMPLE_RATE_HZ).samples
            if number // len(FLITE_VOICES) % 2:
                samples = augment_audio(samples, rng)
            symbols, starts = zip(*phones, strict=True)
            yield Spoken(samples, text, "en-us", symbols, starts)


def errors(spoken: Spoken) -> tuple[NDArray[np.float64], int]:
    """Compute the errors of the phones' starts, s, and the number of phones."""
    try:
        found = align_transcript(
            Audio(spoken.samples, SPEECH_SAMPLE_RATE_HZ),
            [TranscriptCue(spoken.text)],
            spoken.language,
        )
    except DubfewError:
        return np.zeros(0), len(spoken.symbols)
    phones = [phone for phone in found.phones if phone.symbol != SILENCE_SYMBOL]
    # The two voices do not pronounce every word alike: only phones in common are compared.
    ours, theirs = (
        [_kind(s) for s in side] for side in ([p.symbol for p in phones], spoken.symbols)
    )
    blocks = SequenceMatcher(None, ours, theirs, autojunk=False).get_matching_blocks()
    pairs = [(a + k, b + k) for a, b, size in blocks for k in range(size)]
    return np.array([phones[a].start - spoken.starts[b] for a, b in pairs]), len(spoken.symbols)


def _kind(symbol: str) -> str:
    """Put vowels into one class, and flaps with plosives."""
    if VISEME_BY_LETTER[symbol].gap_firm == 1.6:
        return "vowel"
    return {"ɾ": "t", "d": "t", "ɚ": "vowel", "ɝ": "vowel"}.get(symbol, symbol)


def measure_times(kind: str, group: list[Spoken]) -> list[object]:
    """Measure alignment errors of a group of sentences: one row of the table."""
    measured = [errors(spoken) for spoken in group]
    found = np.concatenate([e for e, _ in measured]) * 1000
    size = np.abs(found)
    return [
        kind,
        len(group),
        sum(not len(e) for e, _ in measured),
        len(found) / sum(count for _, count in measured),
        float(np.median(found)),
        float(np.median(size)),
        float(np.percentile(size, 90)),
        float((size < 20).mean()),
        float((size < 50).mean()),
    ]


def measure_wrong_texts(group: list[Spoken]) -> list[object]:
    """Count how many sentences are accepted with the text of another one in their language."""
    accepted = tried = 0
    for k, spoken in enumerate(group):
        others = [o for o in (*group[k + 1 :], *group[:k]) if o.language == spoken.language]
        other = next((o for o in others if o.text != spoken.text), None)
        if other is None:
            continue
        tried += 1
        try:
            align_transcript(
                Audio(spoken.samples, SPEECH_SAMPLE_RATE_HZ),
                [TranscriptCue(other.text)],
                spoken.language,
            )
            accepted += 1
        except DubfewError:
            pass
    return [tried, accepted]


def grid_text(stem: str) -> str | None:
    """Spell out the words of a GRID clip from its name; None where it does not tell them.

    ``grid_s11_bbae2n`` is "bin blue at E two now".
    """
    name = stem.removeprefix("grid_").rpartition("_")[2]
    if len(name) != len(GRID_WORDS):
        return None
    words = (table.get(c, c.upper()) for table, c in zip(GRID_WORDS, name, strict=True))
    return " ".join(words)


@dataclass(frozen=True)
class ClipResult:
    """Measures of one filmed sentence.

    Correlations of lip gap and mouth width with the tracked ones, and numbers of /p b m/ in which
    the lips meet.
    """

    clip: str
    audio_r: float
    text_r: float
    blend_r: float
    audio_width_r: float
    blend_width_r: float
    bilabials: int
    seen_closed: int
    audio_closed: int
    blend_closed: int


def measure_clip(model: SpeechModel, path: Path) -> ClipResult:
    """Measure audio model, text and blend on one filmed sentence."""
    clip = load_speech_clip(path)
    audio, seen = Audio(clip.samples, SPEECH_SAMPLE_RATE_HZ), clip.motion
    words = grid_text(path.stem)
    assert words is not None
    phones = align_transcript(audio, [TranscriptCue(words)], "en").phones
    predicted = model.predict(audio, seen.times)
    text = motion_from_phones(phones, seen.times + MOUTH_LEAD_SECONDS, load_viseme_basis())
    blend = fuse_phonemes(predicted, phones)
    gap, width = seen.aperture(), seen.width_change()
    bilabials = [phone for phone in phones if phone.symbol in BILABIAL_LETTERS]
    return ClipResult(
        path.stem,
        pearson_correlation(predicted.aperture(), gap),
        pearson_correlation(text.aperture(), gap),
        pearson_correlation(blend.aperture(), gap),
        pearson_correlation(predicted.width_change(), width),
        pearson_correlation(blend.width_change(), width),
        len(bilabials),
        *(
            sum(_closes(motion, phone) for phone in bilabials)
            for motion in (seen, predicted, blend)
        ),
    )


def _closes(motion: MouthMotion, phone: Phone) -> bool:
    """Return True if the lips meet during a phone, with half a frame of tolerance."""
    times = motion.times + MOUTH_LEAD_SECONDS
    inside = motion.aperture()[(times >= phone.start - 0.02) & (times <= phone.end + 0.02)]
    return bool(len(inside) and inside.min() < CLOSED_GAP)


def clip_table(results: list[ClipResult]) -> str:
    """Format one row per clip, then means of correlations and sums of closures."""
    rows: list[list[object]] = [list(asdict(result).values()) for result in results]
    columns = list(zip(*rows, strict=True))[1:]
    last = [float(np.mean(c)) if isinstance(c[0], float) else int(np.sum(c)) for c in columns]
    return markdown_table(list(asdict(results[0])), [*rows, ["mean, sum", *last]])


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--footage", type=Path, default=FOOTAGE, help="folder with grid_* clips")
    parser.add_argument("--model", type=Path, help="another model than the one that ships")
    parser.add_argument("--utterances", type=int, default=100)
    parser.add_argument("--out", type=Path, default=RESULTS, help=f"default {RESULTS}")
    options = parser.parse_args(arguments)
    model = SpeechModel.load(options.model) if options.model else SpeechModel.load_default()
    groups = {"espeak-ng": list(espeak_sentences(options.utterances, np.random.default_rng(5)))}
    if flite := shutil.which("flite"):
        groups["flite"] = list(flite_sentences(flite, np.random.default_rng(5)))
    headers = ["spoken by", "sentences", "refused", "compared", "bias ms", "median ms", "p90 ms"]
    times = [measure_times(kind, group) for kind, group in groups.items()]
    wrong = [[kind, *measure_wrong_texts(group)] for kind, group in groups.items()]
    clips = [each for each in sorted(options.footage.glob("grid_*")) if grid_text(each.stem)]
    results = [measure_clip(model, path) for path in clips]
    text = "\n\n".join(
        [
            markdown_table([*headers, "in 20 ms", "in 50 ms"], times),
            markdown_table(["spoken by", "wrong texts", "accepted"], wrong),
            clip_table(results) if results else "no clips",
        ]
    )
    data = {
        "machine": machine(),
        "times": times,
        "wrong": wrong,
        "clips": [asdict(result) for result in results],
    }
    write_results(options.out, "transcript", text, data)
    print(text)


if __name__ == "__main__":
    main()
