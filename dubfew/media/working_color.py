"""The color that pictures have inside dubfew: SDR with the primaries of BT.709.

References are filmed in one color space and scenes in another. Pictures of HDR or of a wide gamut
are brought to one space through linear light on reading; what is painted goes back the same way.
SDR footage with the primaries of BT.709 or BT.601, tagged or not, is left as it is, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import cast

import numpy as np
from numpy.typing import NDArray

from dubfew.media.hdr import TRANSFER_HLG, TRANSFER_PQ
from dubfew.media.log_curves import LOG_CURVES
from dubfew.media.ocio_spaces import SEPARATOR, load_ocio_space
from dubfew.media.pixels import RANGE_FULL, ColorTags

FloatColors = NDArray[np.float32]

# Luminance of diffuse white in HDR, cd/m2 (ITU-R BT.2408): what SDR shows as its white.
REFERENCE_WHITE = 203.0
# Peak of the display for which HLG is graded and from which highlights of PQ are compressed, cd/m2.
_PEAK = 1000.0
# Gamma of the display on which SDR is graded (ITU-R BT.1886).
_SDR_GAMMA = 2.4
# Linear light, 1 at diffuse white, from which highlights are compressed; skin lies below it.
_KNEE = 0.7
# Constants of the perceptual quantizer (SMPTE ST 2084).
_PQ_M1, _PQ_M2 = 2610 / 16384, 2523 / 4096 * 128
_PQ_C1, _PQ_C2, _PQ_C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
# Constants of hybrid log-gamma (ARIB STD-B67), and the gamma of its display at 1000 cd/m2.
_HLG_A, _HLG_B, _HLG_C, _HLG_GAMMA = 0.17883277, 0.28466892, 0.55991073, 1.2
# Red, green, blue and white of primaries, x and y, by code point (ITU-T H.273).
_BT709 = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), (0.3127, 0.3290))
_PRIMARIES = {
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), (0.3127, 0.3290)),  # BT.2020
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),  # DCI-P3
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.3127, 0.3290)),  # Display P3
}
# Gamma from scene light to the light of a display: what makes log footage look as filmed in SDR.
_SYSTEM_GAMMA = 1.2
_LUMA_BT2020 = np.array([0.2627, 0.6780, 0.0593])


@dataclass(frozen=True)
class TransferFunction:
    """A transfer function: from code values to linear light, 1 at diffuse white, and back.

    Attributes:
        name: name for readers.
        decode: code values in [0, 1] to linear light. [..., 3]
        encode: linear light to code values. [..., 3]
        is_hdr: True if light goes above diffuse white.
        peak: greatest linear light.
    """

    name: str
    decode: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    encode: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    is_hdr: bool = True
    peak: float = _PEAK / REFERENCE_WHITE


def decode_pq(code: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the luminance of code values of the perceptual quantizer, cd/m2.

    Args:
        code: code values, 0 to 1. [...]

    Source: SMPTE ST 2084; ITU-R BT.2100, table 4.
    """
    root = np.power(np.clip(code, 0, 1), 1 / _PQ_M2)
    return 10_000 * np.power(np.maximum(root - _PQ_C1, 0) / (_PQ_C2 - _PQ_C3 * root), 1 / _PQ_M1)


def encode_pq(luminance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return code values of the perceptual quantizer for luminances, cd/m2.

    Args:
        luminance: luminances, cd/m2; clipped to 0 to 10 000. [...]

    Returns:
        Code values, 0 to 1. [...]
    """
    power = np.power(np.clip(luminance / 10_000, 0, 1), _PQ_M1)
    return np.power((_PQ_C1 + _PQ_C2 * power) / (1 + _PQ_C3 * power), _PQ_M2)


def decode_hlg(code: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the luminances of hybrid log-gamma on a display of 1000 cd/m2, cd/m2. [..., 3]

    Source: ITU-R BT.2100, table 5.
    """
    code = np.clip(code, 0, 1)
    scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - _HLG_C) / _HLG_A) + _HLG_B) / 12)
    luma = scene @ _LUMA_BT2020
    return _PEAK * np.power(luma, _HLG_GAMMA - 1)[..., None] * scene


def encode_hlg(luminance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return code values of hybrid log-gamma for luminances on its display, cd/m2. [..., 3]"""
    display = np.maximum(luminance, 0) / _PEAK
    luma = np.maximum(display @ _LUMA_BT2020, 1e-9)
    scene = np.power(luma, (1 - _HLG_GAMMA) / _HLG_GAMMA)[..., None] * display
    log = _HLG_A * np.log(np.maximum(12 * scene - _HLG_B, 1e-9)) + _HLG_C
    return np.clip(np.where(scene <= 1 / 12, np.sqrt(3 * scene), log), 0, 1)


# Curves by the code point of the transfer characteristics; all others are SDR.
_CURVES = {
    TRANSFER_PQ: TransferFunction(
        "PQ",
        lambda code: decode_pq(code) / REFERENCE_WHITE,
        lambda light: encode_pq(light * REFERENCE_WHITE),
    ),
    TRANSFER_HLG: TransferFunction(
        "HLG",
        lambda code: decode_hlg(code) / REFERENCE_WHITE,
        lambda light: encode_hlg(light * REFERENCE_WHITE),
    ),
}
_SDR = TransferFunction(
    "SDR",
    lambda code: np.power(np.clip(code, 0, 1), _SDR_GAMMA),
    lambda light: np.power(np.clip(light, 0, 1), 1 / _SDR_GAMMA),
    is_hdr=False,
)


@dataclass(frozen=True, eq=False)
class WorkingColor:
    """Converts RGB of one color space to the working color and back, through linear light.

    Attributes:
        curve: transfer function of the space.
        to_bt709: matrix from its linear RGB to that of BT.709. [3, 3]
    """

    curve: TransferFunction
    to_bt709: NDArray[np.float64]

    def to_working(self, rgb: FloatColors) -> FloatColors:
        """Convert code values to the working color.

        Args:
            rgb: code values in [0, 1]. [..., 3]

        Returns:
            Working color in [0, 1]. [..., 3]
        """
        light = self.curve.decode(rgb.astype(np.float64)) @ self.to_bt709.T
        if self.curve.is_hdr:
            light = _compress(light, self.curve.peak)
        return cast(FloatColors, _SDR.encode(light).astype(np.float32))

    def from_working(self, rgb: FloatColors) -> FloatColors:
        """Convert working color back to code values; the inverse of `to_working`.

        Args:
            rgb: working color in [0, 1]. [..., 3]
        """
        light = _SDR.decode(rgb.astype(np.float64))
        if self.curve.is_hdr:
            light = _expand(light, self.curve.peak)
        code = self.curve.encode(np.maximum(light @ np.linalg.inv(self.to_bt709).T, 0))
        return cast(FloatColors, code.astype(np.float32))


def find_working_color(color: ColorTags) -> WorkingColor | None:
    """Return the conversion of pictures with these tags; None where they need none."""
    if SEPARATOR in color.log_curve:
        return _make_ocio_color(color.log_curve)
    if color.log_curve:
        return _make_log_color(color.log_curve, color.range == RANGE_FULL)
    return _make_working_color(color.primaries, color.transfer)


@cache
def _make_working_color(primaries: int, transfer: int) -> WorkingColor | None:
    curve = _CURVES.get(transfer, _SDR)
    # HDR without a word about its primaries is BT.2020: nothing else is broadcast.
    if curve.is_hdr and primaries not in _PRIMARIES and primaries != 1:
        primaries = 9
    if not curve.is_hdr and primaries not in _PRIMARIES:
        return None
    return WorkingColor(curve, bt709_matrix(_PRIMARIES.get(primaries, _BT709)))


def bt709_matrix(corners: tuple[tuple[float, float], ...]) -> NDArray[np.float64]:
    """Compute the matrix from linear RGB of other primaries to that of BT.709; white stays white.

    Args:
        corners: red, green, blue and white, x and y.

    Returns:
        Matrix for columns of RGB. [3, 3]
    """
    return cast(
        NDArray[np.float64],
        np.linalg.inv(_rgb_to_xyz(_BT709)) @ _adapt_white(corners) @ _rgb_to_xyz(corners),
    )


@cache
def _make_log_color(name: str, is_full: bool) -> WorkingColor:
    log = LOG_CURVES[name]
    # Makers count codes of 10 bits over 1023, of which limited range uses 64 to 940.
    scale, black = (876 / 1023, 64 / 1023) if log.counts_code_values and not is_full else (1.0, 0.0)

    def decode(code: NDArray[np.float64]) -> NDArray[np.float64]:
        return _raise_contrast(log.decode(code * scale + black))

    def encode(light: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.clip((log.encode(light ** (1 / _SYSTEM_GAMMA)) - black) / scale, 0, 1)

    peak = float(decode(np.ones(1))[0])
    matrix = np.linalg.inv(_rgb_to_xyz(_BT709)) @ _rgb_to_xyz(log.corners)
    return WorkingColor(TransferFunction(log.title, decode, encode, peak=peak), matrix)


@cache
def _make_ocio_color(stated: str) -> WorkingColor:
    space = load_ocio_space(stated)
    gamma = _SYSTEM_GAMMA if space.is_scene else 1.0

    def decode(code: NDArray[np.float64]) -> NDArray[np.float64]:
        return _raise_contrast(space.decode(code), gamma)

    def encode(light: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.clip(space.encode(light ** (1 / gamma)), 0, 1)

    peak = float(decode(np.ones(3)).max())
    # What shows no light above white needs no compression.
    is_hdr = peak > 1 + 1e-3
    curve = TransferFunction(space.name, decode, encode, is_hdr=is_hdr, peak=peak)
    return WorkingColor(curve, np.eye(3))


def _raise_contrast(
    light: NDArray[np.float64], gamma: float = _SYSTEM_GAMMA
) -> NDArray[np.float64]:
    """Bring light of a scene to that of a display; colors outside of the gamut keep their sign."""
    return np.sign(light) * np.abs(light) ** gamma


@cache
def gray_table(conversion: WorkingColor) -> NDArray[np.uint8]:  # [256]
    """Compute the working level of every 8-bit level of a gray in another color space."""
    gray = np.repeat(np.linspace(0, 1, 256, dtype=np.float32)[:, None], 3, axis=1)
    table = np.rint(conversion.to_working(gray)[:, 1] * 255).astype(np.uint8)
    table.flags.writeable = False
    return table


def describe_working_color(color: ColorTags) -> str:
    """Describe in one line how pictures with these tags are converted; "" where they are not."""
    conversion = find_working_color(color)
    if conversion is None:
        return ""
    if color.log_curve:
        return (
            f"the scene's colors ({conversion.curve.name}) are brought to SDR of BT.709 through "
            "linear light for the actor, and the painted mouth back"
        )
    gamut = {9: "BT.2020", 11: "DCI-P3", 12: "Display P3"}.get(color.primaries, "BT.2020")
    return (
        f"the scene's colors ({conversion.curve.name}, {gamut}) are brought to SDR of BT.709 "
        "through linear light for the actor, and the painted mouth back"
    )


def _rgb_to_xyz(corners: tuple[tuple[float, float], ...]) -> NDArray[np.float64]:
    """Compute the matrix from linear RGB to XYZ. (SMPTE RP 177)"""
    xyz = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in corners]).T
    return cast(NDArray[np.float64], xyz[:, :3] * np.linalg.solve(xyz[:, :3], xyz[:, 3]))


def _adapt_white(corners: tuple[tuple[float, float], ...]) -> NDArray[np.float64]:
    """Compute the matrix that takes a white point to that of BT.709. (Bradford)"""
    bradford = np.array(
        [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
    )
    old, new = (
        bradford @ np.array([x / y, 1.0, (1 - x - y) / y]) for x, y in (corners[3], _BT709[3])
    )
    return cast(NDArray[np.float64], np.linalg.inv(bradford) @ np.diag(new / old) @ bradford)


def _compress(light: NDArray[np.float64], peak: float) -> NDArray[np.float64]:
    """Compress light above the knee so that the peak becomes 1; invertible up to the peak."""
    span, most = 1 - _KNEE, peak - _KNEE
    # A rational curve: slope 1 at the knee, and `most` above it becomes `span`.
    bend = 1 / span - 1 / most
    over = np.clip(light - _KNEE, 0, most)
    return np.where(light > _KNEE, _KNEE + over / (1 + bend * over), light)


def _expand(light: NDArray[np.float64], peak: float) -> NDArray[np.float64]:
    """Undo `_compress`."""
    span, most = 1 - _KNEE, peak - _KNEE
    bend = 1 / span - 1 / most
    over = np.clip(light - _KNEE, 0, span)
    return np.where(light > _KNEE, _KNEE + over / (1 - bend * over), light)
