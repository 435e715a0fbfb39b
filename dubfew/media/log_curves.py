"""Transfer curves of log footage, which files do not tag: the user states them.

A name that was stated for a file holds for all readers of that file in this process.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubfew.media.stated_facts import StatedFacts

Codes = NDArray[np.float64]
Corners = tuple[tuple[float, float], ...]

_D65 = (0.3127, 0.3290)


@dataclass(frozen=True)
class LogCurve:
    """A log curve and the primaries that its maker pairs it with.

    Attributes:
        name: name on the command line.
        title: maker's name, for readers.
        decode: code values in [0, 1] to scene light; 0.18 is mid gray.
        encode: the inverse of ``decode``.
        corners: red, green, blue and white, x and y.
        counts_code_values: True if the maker's formula counts 10-bit codes over 1023, also in
            limited range; False if it counts from black to white of the range.
    """

    name: str
    title: str
    decode: Callable[[Codes], Codes]
    encode: Callable[[Codes], Codes]
    corners: Corners
    counts_code_values: bool = True


def _log(x: Codes) -> Codes:
    """Return the decimal logarithm; for zero and below a small number."""
    return np.log10(np.maximum(x, 1e-10))


# Sony, Technical summary for S-Gamut3.Cine/S-Log3.
_SLOG3_CUT = 171.2102946929


def _decode_slog3(y: Codes) -> Codes:
    code = y * 1023
    high = 10 ** ((code - 420) / 261.5) * 0.19 - 0.01
    return np.where(code >= _SLOG3_CUT, high, (code - 95) * 0.01125 / (_SLOG3_CUT - 95))


def _encode_slog3(x: Codes) -> Codes:
    high = (420 + _log((x + 0.01) / 0.19) * 261.5) / 1023
    return np.where(x >= 0.01125, high, (x * (_SLOG3_CUT - 95) / 0.01125 + 95) / 1023)


# ARRI, ALEXA LogC curve: usage in VFX, exposure index 800.
_A, _B, _C, _D, _E, _F, _CUT = 5.555556, 0.052272, 0.247190, 0.385537, 5.367655, 0.092809, 0.010591


def _decode_logc3(y: Codes) -> Codes:
    return np.where(y > _E * _CUT + _F, (10 ** ((y - _D) / _C) - _B) / _A, (y - _F) / _E)


def _encode_logc3(x: Codes) -> Codes:
    return np.where(x > _CUT, _C * _log(_A * x + _B) + _D, _E * x + _F)


# ARRI, LogC4 curve and ARRI Wide Gamut 4 specification.
_A4, _B4, _C4 = (2**18 - 16) / 117.45, (1023 - 95) / 1023, 95 / 1023
_S4 = 7 * np.log(2) * 2 ** (7 - 14 * _C4 / _B4) / (_A4 * _B4)
_T4 = (2 ** (14 * (-_C4 / _B4) + 6) - 64) / _A4


def _decode_logc4(y: Codes) -> Codes:
    return np.where(y >= 0, (2 ** (14 * (y - _C4) / _B4 + 6) - 64) / _A4, y * _S4 + _T4)


def _encode_logc4(x: Codes) -> Codes:
    high = (np.log2(np.maximum(_A4 * x + 64, 1e-10)) - 6) / 14 * _B4 + _C4
    return np.where(x >= _T4, high, (x - _T4) / _S4)


# Panasonic, V-Log/V-Gamut reference manual.
def _decode_vlog(y: Codes) -> Codes:
    return np.where(y < 0.181, (y - 0.125) / 5.6, 10 ** ((y - 0.598206) / 0.241514) - 0.00873)


def _encode_vlog(x: Codes) -> Codes:
    return np.where(x < 0.01, 5.6 * x + 0.125, 0.241514 * _log(x + 0.00873) + 0.598206)


# Apple, Apple Log profile white paper.
_R0, _RT, _AC, _AB, _AG, _AD = -0.05641088, 0.01, 47.28711236, 0.00964052, 0.08550479, 0.69336945
_PT = _AC * (_RT - _R0) ** 2


def _decode_applelog(y: Codes) -> Codes:
    low = np.sqrt(np.maximum(y, 0) / _AC) + _R0
    return np.where(y >= _PT, 2 ** ((y - _AD) / _AG) - _AB, low)


def _encode_applelog(x: Codes) -> Codes:
    high = _AG * np.log2(np.maximum(x + _AB, 1e-10)) + _AD
    return np.where(x >= _RT, high, _AC * np.maximum(x - _R0, 0) ** 2)


LOG_CURVES = {
    curve.name: curve
    for curve in (
        LogCurve(
            "slog3",
            "S-Log3, S-Gamut3.Cine",
            _decode_slog3,
            _encode_slog3,
            ((0.766, 0.275), (0.225, 0.800), (0.089, -0.087), _D65),
        ),
        LogCurve(
            "logc3",
            "ARRI LogC3, Wide Gamut 3",
            _decode_logc3,
            _encode_logc3,
            ((0.6840, 0.3130), (0.2210, 0.8480), (0.0861, -0.1020), _D65),
        ),
        LogCurve(
            "logc4",
            "ARRI LogC4, Wide Gamut 4",
            _decode_logc4,
            _encode_logc4,
            ((0.7347, 0.2653), (0.1424, 0.8576), (0.0991, -0.0308), _D65),
        ),
        LogCurve(
            "vlog",
            "V-Log, V-Gamut",
            _decode_vlog,
            _encode_vlog,
            ((0.730, 0.280), (0.165, 0.840), (0.100, -0.030), _D65),
        ),
        LogCurve(
            "applelog",
            "Apple Log, BT.2020",
            _decode_applelog,
            _encode_applelog,
            ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
            counts_code_values=False,
        ),
    )
}

# Names of log curves that were stated for files.
_curves: StatedFacts[str] = StatedFacts()


def stated_input_transform(path: Path, name: str | None) -> AbstractContextManager[None]:
    """State the log curve of a file for as long as the context lasts.

    Args:
        path: a video file.
        name: one of `LOG_CURVES`; None states nothing.
    """
    return _curves.state(path, name)


def find_stated_curve(path: Path) -> str:
    """Return the name of the log curve that was stated for a file, or ""."""
    return _curves.find(path) or ""
