"""Encoders of graphics processors, which write in the place of libx264 and libx265.

They are in PyAV's build or not, and start on the machine or not: only an attempt tells. Where one
does not start, or does not hold the picture, the software encoder of the same format writes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import av

# Word by which users ask for whatever encoder of H.264 the machine has.
ANY_HARDWARE = "hardware"
# Only pictures of this format are handed over: all of these encoders take it.
HARDWARE_PIXEL_FORMAT = "yuv420p"
# Size of the picture that an encoder is tried with, px: some refuse less than 145.
TRIAL_SIZE_PX = 256


@dataclass(frozen=True)
class HardwareEncoder:
    """An encoder of a graphics processor.

    Attributes:
        name: FFmpeg's name.
        replaces: encoder whose format it writes, and which writes where this one does not start.
        quality_option: FFmpeg option that is given the quality in the place of ``crf``. The scales
            are alike: whole numbers to 51, lower is better.
        options: other options, for variable bit rates at constant quality.
    """

    name: str
    replaces: str
    quality_option: str
    options: tuple[tuple[str, str], ...] = ()


_NVENC_OPTIONS = (("preset", "p4"), ("rc", "vbr"), ("b", "0"))
# By FFmpeg's name, those of H.264 in the order in which they are tried.
HARDWARE_ENCODERS = {
    encoder.name: encoder
    for encoder in (
        HardwareEncoder("h264_nvenc", "libx264", "cq", _NVENC_OPTIONS),
        HardwareEncoder("h264_qsv", "libx264", "global_quality"),
        HardwareEncoder("h264_amf", "libx264", "qp_i", (("rc", "cqp"),)),
        HardwareEncoder("hevc_nvenc", "libx265", "cq", _NVENC_OPTIONS),
        HardwareEncoder("hevc_qsv", "libx265", "global_quality"),
        HardwareEncoder("hevc_amf", "libx265", "qp_i", (("rc", "cqp"),)),
    )
}
# Quality where the user names none: what CRF 16 of x264 comes near to.
DEFAULT_HARDWARE_QUALITY = 19
# AMD's encoders have a quality for each kind of frame.
_OTHER_QUALITIES = {"qp_i": ("qp_p", "qp_b")}


@lru_cache
def starts_here(name: str) -> bool:
    """Try whether an encoder starts on this machine.

    Args:
        name: FFmpeg's name.
    """
    try:
        context = av.CodecContext.create(name, "w")
        assert isinstance(context, av.VideoCodecContext)
        context.width = context.height = TRIAL_SIZE_PX
        context.pix_fmt = HARDWARE_PIXEL_FORMAT
        context.time_base = Fraction(1, 25)
        context.open()
    except (av.FFmpegError, ValueError, OSError):
        return False
    return True


def choose_hardware(
    codec: str, pix_fmt: str, *, is_plain: bool, starts: Callable[[str], bool] = starts_here
) -> tuple[HardwareEncoder | None, str]:
    """Choose the encoder that writes a picture, and say why no graphics processor does.

    Args:
        codec: `ANY_HARDWARE`, or one of `HARDWARE_ENCODERS`.
        pix_fmt: pixel format of the output.
        is_plain: whether the output is progressive, with losses, and without HDR metadata.
        starts: tells whether an encoder starts.

    Returns:
        The encoder and "", or None and a line for the user.
    """
    software = software_encoder(codec)
    if pix_fmt != HARDWARE_PIXEL_FORMAT or not is_plain:
        what = pix_fmt if pix_fmt != HARDWARE_PIXEL_FORMAT else "such a picture"
        return None, f"{codec} writes no {what}: encoded by {software}"
    for encoder in HARDWARE_ENCODERS.values():
        is_meant = encoder.name == codec or (codec == ANY_HARDWARE and encoder.replaces == software)
        if is_meant and starts(encoder.name):
            return encoder, ""
    what = "no hardware encoder starts" if codec == ANY_HARDWARE else f"{codec} does not start"
    return None, f"{what} on this machine: encoded by {software}"


def software_encoder(codec: str) -> str:
    """Return the encoder that writes the same format without a graphics processor.

    Args:
        codec: `ANY_HARDWARE`, or one of `HARDWARE_ENCODERS`.
    """
    return "libx264" if codec == ANY_HARDWARE else HARDWARE_ENCODERS[codec].replaces


def hardware_options(
    encoder: HardwareEncoder, software_options: dict[str, str], quality: int | None
) -> dict[str, str]:
    """Make an encoder's FFmpeg options.

    Args:
        encoder: the encoder.
        software_options: options of the encoder that it replaces, whose bit rate and distance of
            key frames stay.
        quality: lower is better; None takes the default.
    """
    kept = {name: value for name, value in software_options.items() if name in ("g", "b")}
    options = {**dict(encoder.options), **kept}
    if "b" not in kept:
        level = str(DEFAULT_HARDWARE_QUALITY if quality is None else quality)
        for name in (encoder.quality_option, *_OTHER_QUALITIES.get(encoder.quality_option, ())):
            options[name] = level
    return options
