"""Which encoder goes into which container, and with which options."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av

from dubfew.errors import MediaError
from dubfew.media.info import VideoInfo
from dubfew.media.pixels import NATIVE_FORMATS


@dataclass(frozen=True)
class VideoCodec:
    """A video encoder.

    Attributes:
        encoder: FFmpeg's name.
        pixel_formats: pixel formats that it takes and that dubfew hands it.
        default_crf: default quality (lower is better), None where it has no such scale.
        highest_crf: end of that scale.
        options: FFmpeg options that always hold.
        lossless_options: FFmpeg options that make it lossless, None where it cannot be.
        allows_odd_sizes: True if subsampled chroma may come with odd sizes.
    """

    encoder: str
    pixel_formats: tuple[str, ...]
    default_crf: int | None = None
    highest_crf: int = 51
    options: tuple[tuple[str, str], ...] = ()
    lossless_options: tuple[tuple[str, str], ...] | None = None
    allows_odd_sizes: bool = False


_YUV8 = ("yuv420p", "yuv422p", "yuv444p")
_YUV10 = ("yuv420p10le", "yuv422p10le", "yuv444p10le")

# One codec = one entry. Full range is a tag of the stream, not a format of its own here.
VIDEO_CODECS = {
    "libx264": VideoCodec("libx264", (*_YUV8, *_YUV10), 16, lossless_options=(("qp", "0"),)),
    "libx265": VideoCodec(
        "libx265",
        (*_YUV8, *_YUV10),
        18,
        options=(("x265-params", "log-level=error"),),
        lossless_options=(("x265-params", "lossless=1:log-level=error"),),
    ),
    "libvpx-vp9": VideoCodec(
        "libvpx-vp9",
        _YUV8,
        24,
        highest_crf=63,
        options=(("b", "0"), ("deadline", "good"), ("cpu-used", "5"), ("row-mt", "1")),
        lossless_options=(("lossless", "1"),),
        allows_odd_sizes=True,
    ),
    "prores_ks": VideoCodec(
        "prores_ks", ("yuv422p10le", "yuv444p10le"), options=(("profile", "3"),)
    ),
    "ffv1": VideoCodec(
        "ffv1",
        ("gray", *_YUV8, *_YUV10, "bgr0"),
        options=(("level", "3"), ("slicecrc", "1")),
        lossless_options=(),
        allows_odd_sizes=True,
    ),
}
CODEC_ALIASES = {
    "h264": "libx264",
    "x264": "libx264",
    "h265": "libx265",
    "hevc": "libx265",
    "vp9": "libvpx-vp9",
    "prores": "prores_ks",
}


@dataclass(frozen=True)
class ContainerFormat:
    """A file format.

    Attributes:
        codecs: video encoders that it takes, the default first.
        copied_audio_codecs: sound codecs whose packets go in unchanged; "*" = whatever it takes.
        audio_encoder: for all other sound.
        allows_any_times: False where frames can only stand on the grid of the frame rate.
    """

    codecs: tuple[str, ...]
    copied_audio_codecs: frozenset[str]
    audio_encoder: str = "aac"
    allows_any_times: bool = True


_MP4_AUDIO_CODECS = frozenset({"aac", "mp3", "ac3", "eac3", "alac", "opus"})
_PCM_CODECS = frozenset({"pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le"})

CONTAINER_FORMATS = {
    ".mp4": ContainerFormat(("libx264", "libx265", "libvpx-vp9"), _MP4_AUDIO_CODECS),
    ".m4v": ContainerFormat(("libx264", "libx265"), _MP4_AUDIO_CODECS),
    ".mov": ContainerFormat(
        ("libx264", "libx265", "prores_ks"), _MP4_AUDIO_CODECS - {"opus"} | _PCM_CODECS
    ),
    ".mkv": ContainerFormat(tuple(VIDEO_CODECS), frozenset({"*"})),
    ".webm": ContainerFormat(("libvpx-vp9",), frozenset({"opus", "vorbis"}), "libopus"),
    ".avi": ContainerFormat(
        ("libx264", "ffv1"),
        frozenset({"mp3", "ac3", "pcm_s16le"}),
        "pcm_s16le",
        allows_any_times=False,
    ),
}

# Speed against size of libx264 and libx265. A frame of 1080 x 1920 costs libx264 about
# 12 ms of one core at ultrafast, 20 at superfast, 27 at veryfast and 46 at faster, of the
# 80 that 25 frames a second on two cores allow; superfast's files are twice the size.
ENCODER_PRESETS = (
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
)
DEFAULT_ENCODER_PRESET = "veryfast"


@dataclass(frozen=True)
class VideoEncoding:
    """Everything that is decided before the first frame is written."""

    container: ContainerFormat
    codec: VideoCodec
    pix_fmt: str
    options: dict[str, str]


def choose_encoding(
    path: Path,
    info: VideoInfo,
    codec: str | None = None,
    crf: int | None = None,
    lossless: bool = False,
    preset: str | None = None,
) -> VideoEncoding:
    """Container by suffix, encoder, pixel format and options. Raises MediaError."""
    container = CONTAINER_FORMATS.get(path.suffix.lower())
    if container is None:
        raise MediaError(
            f"{path.name}: cannot write {path.suffix or 'a name without suffix'}; "
            f"use one of {', '.join(CONTAINER_FORMATS)}"
        )
    chosen = VIDEO_CODECS[_choose_codec(path, container, codec, info, lossless)]
    if lossless and chosen.lossless_options is None:
        able = [name for name, c in VIDEO_CODECS.items() if c.lossless_options is not None]
        raise MediaError(f"{chosen.encoder} cannot write losslessly; use {_join_with_or(able)}")
    pix_fmt = _choose_pixel_format(path, chosen, info, lossless)
    options = dict(chosen.options)
    if lossless:
        options |= dict(chosen.lossless_options or ())
    elif chosen.default_crf is not None:
        if crf is not None and not 0 <= crf <= chosen.highest_crf:
            raise MediaError(f"crf {crf} is not between 0 (best) and {chosen.highest_crf}")
        options["crf"] = str(chosen.default_crf if crf is None else crf)
    elif crf is not None:
        raise MediaError(f"{chosen.encoder} has no crf: leave it out or use libx264")
    if chosen.encoder in ("libx264", "libx265"):
        if preset is not None and preset not in ENCODER_PRESETS:
            raise MediaError(f"no preset {preset}; use {_join_with_or(ENCODER_PRESETS)}")
        options["preset"] = preset or DEFAULT_ENCODER_PRESET
    elif preset is not None:
        raise MediaError(f"{chosen.encoder} has no preset: leave it out or use libx264")
    if not _is_encoder_available(chosen.encoder):
        raise MediaError(f"this build of PyAV has no {chosen.encoder}: pip install av, or libx264")
    return VideoEncoding(container, chosen, pix_fmt, options)


def _choose_codec(
    path: Path, container: ContainerFormat, codec: str | None, info: VideoInfo, lossless: bool
) -> str:
    if codec is not None:
        name = CODEC_ALIASES.get(codec, codec)
        if name not in container.codecs:
            raise MediaError(
                f"codec {codec} does not go into {path.suffix}; use "
                f"{_join_with_or(container.codecs)}"
            )
        return name
    default = container.codecs[0]
    # FFV1 keeps what H.264 cannot: grey, and subsampled chroma in odd sizes.
    exact = _lossless_pixel_format(VIDEO_CODECS[default], info) is not None
    return "ffv1" if lossless and not exact and "ffv1" in container.codecs else default


def _lossless_pixel_format(codec: VideoCodec, info: VideoInfo) -> str | None:
    """The format in which the encoder keeps every sample of the video, None if it cannot."""
    same = {"nv12": "yuv420p", "rgb24": "bgr0", "gbrp": "bgr0"}
    name = same.get(info.pix_fmt, info.pix_fmt.replace("yuvj", "yuv"))
    form = NATIVE_FORMATS.get(name)
    cut = form is not None and (info.width % form.sub_x or info.height % form.sub_y)
    return name if name in codec.pixel_formats and (codec.allows_odd_sizes or not cut) else None


def _choose_pixel_format(path: Path, codec: VideoCodec, info: VideoInfo, lossless: bool) -> str:
    """The video's own format or the nearest that the encoder takes.

    Depth is kept before chroma subsampling; grey and RGB become 4:2:0. Odd sizes go to
    4:4:4, because subsampled chroma cannot hold them in H.264 and H.265.
    """
    stored = _lossless_pixel_format(codec, info)
    if stored is not None and (lossless or stored not in ("gray", "bgr0")):
        return stored
    if lossless:
        raise MediaError(
            f"{codec.encoder} cannot keep {info.pix_fmt} at {info.width} x {info.height} "
            f"bit for bit in {path.suffix}: write to .mkv without naming a codec"
        )
    form = NATIVE_FORMATS[info.pix_fmt]
    chroma = {(2, 1): 1, (1, 1): 2}.get((form.sub_x, form.sub_y), 0) if form.is_yuv else 0
    names = ("yuv420p", "yuv422p", "yuv444p")
    order = [*names[chroma:], *reversed(names[:chroma])]
    if (info.width % 2 or info.height % 2) and not codec.allows_odd_sizes:
        order = ["yuv444p"]
    depths = ("10le", "") if form.bits > 8 else ("", "10le")
    for candidate in (name + depth for depth in depths for name in order):
        if candidate in codec.pixel_formats:
            return candidate
    raise MediaError(
        f"{codec.encoder} cannot write {info.width} x {info.height}: it needs even sizes; "
        "use libx264"
    )


def _is_encoder_available(encoder: str) -> bool:
    try:
        av.Codec(encoder, "w")
    except (av.FFmpegError, ValueError):
        return False
    return True


def _join_with_or(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(names[:-1]) + " or " + names[-1] if len(names) > 1 else names[0]
