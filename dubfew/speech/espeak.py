"""Synthetic speech with known phone times, by espeak-ng (optional)."""

from __future__ import annotations

import ctypes
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import DubfewError, MissingDependencyError
from dubfew.media.mel import resample_audio
from dubfew.speech.visemes import PLOSIVE_LETTERS, SILENCE_SYMBOL, Phone, split_ipa_letters
from dubfew.utils.import_utils import import_optional

# Constants of espeak-ng's speak_lib.h: output mode, flags of espeak_Initialize, types of events,
# text encoding, voice parameters.
_OUTPUT_SYNCHRONOUS = 2
_INIT_PHONEME_EVENTS, _INIT_PHONEME_IPA, _INIT_DONT_EXIT = 1, 2, 0x8000
_EVENT_END, _EVENT_PHONEME = 0, 7
_CHARS_UTF8 = 1
_PARAMETER_RATE, _PARAMETER_PITCH = 1, 3

# Mode of espeak_TextToPhonemes: phonemes in the International Phonetic Alphabet.
_PHONEMES_IPA = 2
# Punctuation, which espeak_TextToPhonemes drops, and its marks of a change of language.
_PUNCTUATION, _LANGUAGE_MARK = re.compile(r"([,.;:!?])[,.;:!?]*"), re.compile(r"\([a-z-]+\)")

# Longest closure before a plosive's release, s, and the least time that is left for the phone
# before it, s.
_MAX_CLOSURE_SECONDS, _MIN_PHONE_SECONDS = 0.1, 0.02
# Amplitude up to which a closure's samples count as silent; full scale is 1.
_CLOSURE_PEAK = 1e-3


class _EventId(ctypes.Union):
    """The union ``id`` of espeak_EVENT."""

    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    """The struct espeak_EVENT."""

    _fields_ = [
        ("type", ctypes.c_int),
        ("unique", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    ]


class _Voice(ctypes.Structure):
    """The struct espeak_VOICE."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_void_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("reserved", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    ]


_SYNTH_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


@dataclass(frozen=True)
class Utterance:
    """A synthesized sentence.

    Attributes:
        samples: mono at 16 kHz. [n]
        phones: phones in order, without gaps from 0 to the end.
        language: espeak-ng's language code or voice name.
    """

    samples: NDArray[np.float32]
    phones: tuple[Phone, ...]
    language: str


class EspeakSynthesizer:
    """The synthesizer. Use `get_synthesizer`: the library keeps global state per process."""

    def __init__(self) -> None:
        """Start espeak-ng.

        Raises:
            MissingDependencyError: espeak-ng is not installed or does not start.
        """
        espeakng_loader = import_optional("espeakng_loader")
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        options = _INIT_PHONEME_EVENTS | _INIT_PHONEME_IPA | _INIT_DONT_EXIT
        self._sample_rate = self._library.espeak_Initialize(
            _OUTPUT_SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), options
        )
        # A negative rate is an error code.
        if self._sample_rate <= 0:
            raise MissingDependencyError(
                "espeak-ng does not start: pip install --force-reinstall espeakng-loader"
            )
        self._sample_chunks: list[NDArray[np.int16]] = []
        self._events: list[tuple[int, str]] = []
        # The reference keeps ctypes' callback alive.
        self._callback = _SYNTH_CALLBACK(self._on_synthesis)
        self._library.espeak_SetSynthCallback(self._callback)

    def _on_synthesis(self, samples: ctypes._Pointer, count: int, events: ctypes._Pointer) -> int:
        """Collect samples and phoneme events; espeak-ng calls this during synthesis."""
        if samples and count > 0:
            self._sample_chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        # The array of events ends with one of type END.
        index = 0
        while events[index].type != _EVENT_END:
            event = events[index]
            if event.type == _EVENT_PHONEME:
                name = bytes(event.id.string).split(b"\0")[0].decode("utf-8", "ignore")
                self._events.append((event.sample, name))
            index += 1
        return 0

    def voice_by_language(self) -> dict[str, str]:
        """Map every language code, in small letters, to the voice that `synthesize` takes."""
        list_voices = self._library.espeak_ListVoices
        list_voices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
        found = list_voices(None)
        best: dict[str, tuple[int, str]] = {}
        index = 0
        while found[index]:
            voice = found[index].contents
            # Its languages: a byte of priority (lower is better), the code, 0; a 0 ends the list.
            place = voice.languages
            while priority := ctypes.string_at(place, 1)[0]:
                code = ctypes.string_at(place + 1)
                place += len(code) + 2
                offered = priority, voice.identifier.decode()
                key = code.decode().lower()
                best[key] = min(best.get(key, offered), offered)
            index += 1
        return {code: identifier for code, (_, identifier) in best.items()}

    def synthesize(
        self,
        text: str,
        language: str,
        *,
        variant: str = "",
        words_per_minute: int = 165,
        pitch: int = 50,
    ) -> Utterance:
        """Speak a sentence.

        Args:
            text: sentence in the script of the language.
            language: espeak-ng's code, such as ``en-us``, or a voice from `voice_by_language`.
            variant: voice variant such as ``f3``; empty is the language's own voice.
            words_per_minute: speaking rate, 80 to 450.
            pitch: 0 to 99.

        Raises:
            DubfewError: There is no such language or variant, or nothing in the text can be spoken.
        """
        self._set_voice(f"{language}+{variant}" if variant else language)
        self._library.espeak_SetParameter(_PARAMETER_RATE, words_per_minute, 0)
        self._library.espeak_SetParameter(_PARAMETER_PITCH, pitch, 0)
        # The callback fills these while espeak_Synth runs.
        self._sample_chunks, self._events = [], []
        data = text.encode()
        self._library.espeak_Synth(data, len(data) + 1, 0, 0, 0, _CHARS_UTF8, None, None)
        self._library.espeak_Synchronize()
        if not self._sample_chunks:
            raise DubfewError(
                f"espeak-ng cannot speak {text!r} in {language}: give text in that language"
            )
        sound = np.concatenate(self._sample_chunks).astype(np.float32) / 32768
        phones = _phones_from_events(self._events, sound, self._sample_rate)
        return Utterance(resample_audio(sound, self._sample_rate), phones, language)

    def phonemize(self, text: str, language: str) -> str:
        """Convert text to phonemes, with its punctuation.

        Args:
            text: text in the script of the language.
            language: espeak-ng's code, such as ``en-us``.

        Returns:
            Phonemes in the International Phonetic Alphabet, with stress marks.

        Raises:
            DubfewError: There is no such language.
        """
        self._set_voice(language)
        convert = self._library.espeak_TextToPhonemes
        convert.restype = ctypes.c_char_p
        found: list[str] = []
        # Every second part is a punctuation mark.
        for number, part in enumerate(_PUNCTUATION.split(text)):
            if number % 2:
                if found:
                    found[-1] += part
                continue
            # Each call converts one clause and moves the pointer behind it, at last to null.
            place = ctypes.c_char_p(part.encode())
            while place.value and place.value.strip():
                clause = convert(ctypes.byref(place), _CHARS_UTF8, _PHONEMES_IPA)
                found.append(_LANGUAGE_MARK.sub("", (clause or b"").decode()).strip())
        return " ".join(found)

    def _set_voice(self, voice: str) -> None:
        """Choose a voice.

        Raises:
            DubfewError: There is no such voice.
        """
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise DubfewError(f"espeak-ng has no voice {voice!r}: see `espeak-ng --voices`")


@lru_cache(maxsize=1)
def get_synthesizer() -> EspeakSynthesizer:
    """Return the synthesizer of this process, started on first use.

    Raises:
        MissingDependencyError: espeak-ng is not installed or does not start.
    """
    return EspeakSynthesizer()


def load_sentences() -> dict[str, list[str]]:
    """Load the sentences for synthetic training speech, by language code."""
    return json.loads((files("dubfew.speech") / "sentences.json").read_text("utf-8"))


def _phones_from_events(
    events: list[tuple[int, str]], samples: NDArray[np.float32], sample_rate: int
) -> tuple[Phone, ...]:
    """Convert espeak-ng's events to phones with their times.

    espeak-ng puts the event of a voiceless plosive at its release and leaves the silence of the
    closure to the phone before it. Here the closure belongs to the plosive.
    """
    phones: list[Phone] = []
    # Every event lasts until the next one.
    ends = [sample for sample, _ in events[1:]] + [len(samples)]
    for (first, name), last in zip(events, ends, strict=True):
        if last <= first:
            continue
        # Diphthongs and affricates are split evenly into their letters.
        letters = split_ipa_letters(name) or [SILENCE_SYMBOL]
        edges = np.linspace(first, last, len(letters) + 1) / sample_rate
        for letter, start, end in zip(letters, edges[:-1], edges[1:], strict=True):
            closure = start
            # The closure's silence moves from the phone before to the plosive.
            if letter in PLOSIVE_LETTERS and phones:
                closure = _find_closure_start(samples, sample_rate, phones[-1].start, start)
                phones[-1] = Phone(phones[-1].symbol, phones[-1].start, closure)
            phones.append(Phone(letter, closure, end))
    # Silence before the first event.
    if phones and phones[0].start > 0:
        phones.insert(0, Phone(SILENCE_SYMBOL, 0.0, phones[0].start))
    return tuple(phones)


def _find_closure_start(
    samples: NDArray[np.float32],
    sample_rate: int,
    earliest: float,
    release: float,
) -> float:
    """Find the time at which the silence before a release begins, at most 0.1 s before it."""
    low = int(max(earliest + _MIN_PHONE_SECONDS, release - _MAX_CLOSURE_SECONDS) * sample_rate)
    loud = np.flatnonzero(np.abs(samples[low : int(release * sample_rate)]) > _CLOSURE_PEAK)
    if int(release * sample_rate) <= low:
        return release
    return (low + (int(loud[-1]) + 1 if len(loud) else 0)) / sample_rate
