"""Choice of the encoder for a container, and of its options."""

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
        pixel_formats: pixel formats that the encoder takes and dubfew hands it.
        default_crf: default quality (lower is better); None for encoders without a CRF scale.
        highest_crf: worst quality of the scale.
        options: FFmpeg options that always hold.
        lossless_options: FFmpeg options for lossless encoding; None if the encoder cannot do it.
        allows_odd_sizes: True if subsampled chroma may come with odd picture sizes.
    """

    encoder: str
    pixel_formats: tuple[str, ...]
    default_crf: int | None = None
    highest_crf: int = 51
    options: tuple[tuple[str, str], ...] = ()
    lossless_options: tuple[tuple[str, str], ...] | None = None
    allows_odd_sizes: bool = False


# Planar YUV formats with 8 and with 10 bits per sample.
_YUV8 = ("yuv420p", "yuv422p", "yuv444p")
_YUV10 = ("yuv420p10le", "yuv422p10le", "yuv444p10le")

# Video encoders by FFmpeg's name; a new one is a new entry here and in `CONTAINER_FORMATS`.
# Default qualities (CRF 16, 18 and 24) look the same as the source. Full range is a tag of the
# stream here, no format of its own.
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
# Other names that users give to the encoders.
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
        copied_audio_codecs: audio codecs whose packets are copied unchanged; "*" stands for all
            that the container takes.
        audio_encoder: FFmpeg's encoder for all other sound.
        allows_any_times: False if frames must stand on the grid of the frame rate.
    """

    codecs: tuple[str, ...]
    copied_audio_codecs: frozenset[str]
    audio_encoder: str = "aac"
    allows_any_times: bool = True


# Audio codecs that MP4 and its relatives hold and common players play.
_MP4_AUDIO_CODECS = frozenset({"aac", "mp3", "ac3", "eac3", "alac", "opus"})
# Uncompressed audio, which QuickTime holds as well.
_PCM_CODECS = frozenset({"pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le"})

# File formats by suffix; a new one is a new entry.
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

# Presets of libx264 and libx265, from fast to small. A frame of 1080 x 1920 costs libx264 about
# 12 ms of one core at ultrafast, 20 at superfast, 27 at veryfast and 46 at faster; 25 frames per
# second on two cores leave 80. Superfast makes files twice the size of veryfast.
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
    """All decisions that are made before the first frame is written.

    Attributes:
        container: file format.
        codec: video encoder.
        pix_fmt: pixel format that the encoder is given.
        options: FFmpeg options of the encoder.
    """

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
    """Choose container, encoder, pixel format and options for a file.

    Args:
        path: file to write; its suffix chooses the container.
        info: properties of the frames to write.
        codec: encoder or alias; None takes the container's default.
        crf: quality, lower is better; None takes the encoder's default.
        lossless: keep every sample bit for bit in the source's pixel format.
        preset: one of `ENCODER_PRESETS` for libx264 and libx265; None takes
            `DEFAULT_ENCODER_PRESET`.

    Raises:
        MediaError: The suffix, codec, quality or preset is unknown or does not fit the others, or
            this build of PyAV lacks the encoder.
    """
    # The suffix chooses the container, the container the codecs.
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
    # Quality: lossless, a CRF within the codec's scale, or the codec's default.
    options = dict(chosen.options)
    if lossless:
        options |= dict(chosen.lossless_options or ())
    elif chosen.default_crf is not None:
        if crf is not None and not 0 <= crf <= chosen.highest_crf:
            raise MediaError(f"crf {crf} is not between 0 (best) and {chosen.highest_crf}")
        options["crf"] = str(chosen.default_crf if crf is None else crf)
    elif crf is not None:
        raise MediaError(f"{chosen.encoder} has no crf: leave it out or use libx264")
    # Only two of the encoders trade speed for size by a preset.
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
    """Choose the encoder that the user names or the container suggests."""
    if codec is not None:
        name = CODEC_ALIASES.get(codec, codec)
        if name not in container.codecs:
            raise MediaError(
                f"codec {codec} does not go into {path.suffix}; use "
                f"{_join_with_or(container.codecs)}"
            )
        return name
    default = container.codecs[0]
    # FFV1 can store what H.264 cannot: gray, and subsampled chroma in odd sizes.
    exact = _lossless_pixel_format(VIDEO_CODECS[default], info) is not None
    return "ffv1" if lossless and not exact and "ffv1" in container.codecs else default


def _lossless_pixel_format(codec: VideoCodec, info: VideoInfo) -> str | None:
    """Return the format in which an encoder keeps every sample; None if it cannot."""
    same = {"nv12": "yuv420p", "rgb24": "bgr0", "gbrp": "bgr0"}
    name = same.get(info.pix_fmt, info.pix_fmt.replace("yuvj", "yuv"))
    form = NATIVE_FORMATS.get(name)
    # True if the picture's edge would cut a chroma cell.
    cut = form is not None and (info.width % form.sub_x or info.height % form.sub_y)
    return name if name in codec.pixel_formats and (codec.allows_odd_sizes or not cut) else None


def _choose_pixel_format(path: Path, codec: VideoCodec, info: VideoInfo, lossless: bool) -> str:
    """Choose the video's own pixel format or the nearest one that the encoder takes.

    Depth is kept before chroma subsampling; gray and RGB become 4:2:0. Odd sizes become 4:4:4,
    because H.264 and H.265 cannot hold them with subsampled chroma.
    """
    stored = _lossless_pixel_format(codec, info)
    if stored is not None and (lossless or stored not in ("gray", "bgr0")):
        return stored
    if lossless:
        raise MediaError(
            f"{codec.encoder} cannot keep {info.pix_fmt} at {info.width} x {info.height} "
            f"bit for bit in {path.suffix}: write to .mkv without naming a codec"
        )
    # Try the nearest chroma subsampling first, at the source's depth first.
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
    """Check whether this build of PyAV has an encoder."""
    try:
        av.Codec(encoder, "w")
    except (av.FFmpegError, ValueError):
        return False
    return True


def _join_with_or(names: tuple[str, ...] | list[str]) -> str:
    """Join names for an error message: a, b or c."""
    return ", ".join(names[:-1]) + " or " + names[-1] if len(names) > 1 else names[0]
