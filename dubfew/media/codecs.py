"""Choice of the encoder for a container, and of its options."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import av

from dubfew.errors import MediaError
from dubfew.media.hardware_encoders import (
    ANY_HARDWARE,
    HARDWARE_ENCODERS,
    HARDWARE_PIXEL_FORMAT,
    choose_hardware,
    hardware_options,
    software_encoder,
)
from dubfew.media.hdr import TRANSFER_PQ
from dubfew.media.info import TOP_FIELD_ORDERS, VideoInfo
from dubfew.media.pixels import NATIVE_FORMATS
from dubfew.utils.cpu import num_available_cpus


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
        needs_limited_range: True if the format has no tag for full range.
        holds_hdr_metadata: True if the encoder writes static HDR metadata.
        profiles: value of the option ``profile`` by pixel format, where the codec has profiles for
            them.
        interlaced_options: FFmpeg options for frames of two fields; None if the codec has none.
        min_size: smallest width and height, px.
        always_bt709: True if the stream names BT.709 as its matrix, whatever it is told.
    """

    encoder: str
    pixel_formats: tuple[str, ...]
    default_crf: int | None = None
    highest_crf: int = 51
    options: tuple[tuple[str, str], ...] = ()
    lossless_options: tuple[tuple[str, str], ...] | None = None
    allows_odd_sizes: bool = False
    needs_limited_range: bool = False
    holds_hdr_metadata: bool = False
    profiles: tuple[tuple[str, str], ...] = ()
    interlaced_options: tuple[tuple[str, str], ...] | None = None
    min_size: tuple[int, int] = (1, 1)
    always_bt709: bool = False


# Planar YUV formats with 8 and with 10 bits per sample.
_YUV8 = ("yuv420p", "yuv422p", "yuv444p")
_YUV10 = ("yuv420p10le", "yuv422p10le", "yuv444p10le")

# Video encoders by FFmpeg's name; a new one is a new entry here and in `CONTAINER_FORMATS`.
# Default qualities (CRF 16, 18 and 24) look the same as the source. Full range is a tag of the
# stream here, no format of its own.
VIDEO_CODECS = {
    "libx264": VideoCodec(
        "libx264",
        (*_YUV8, *_YUV10),
        16,
        lossless_options=(("qp", "0"),),
        holds_hdr_metadata=True,
        interlaced_options=(("flags", "+ildct+ilme"),),
    ),
    "libx265": VideoCodec(
        "libx265",
        (*_YUV8, *_YUV10),
        18,
        # Closed groups of pictures, so that a passage can be written anew between two of them.
        options=(("x265-params", "open-gop=0:log-level=error"),),
        lossless_options=(("x265-params", "lossless=1:open-gop=0:log-level=error"),),
        holds_hdr_metadata=True,
        interlaced_options=(),  # the container says so
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
    # Apple names the profiles 422 HQ and 4444. Its own applications refuse other vendors' names.
    "prores_ks": VideoCodec(
        "prores_ks",
        ("yuv422p10le", "yuv444p10le"),
        options=(("vendor", "apl0"),),
        needs_limited_range=True,
        profiles=(("yuv422p10le", "3"), ("yuv444p10le", "4")),
        interlaced_options=(("flags", "+ildct"),),
    ),
    # MPEG-2 of broadcasters (XDCAM). Its quality is a bit rate; B frames as XDCAM has them.
    "mpeg2video": VideoCodec(
        "mpeg2video",
        ("yuv420p", "yuv422p"),
        options=(("b", "50M"), ("g", "12"), ("bf", "2")),
        needs_limited_range=True,
        interlaced_options=(("flags", "+ildct+ilme"), ("alternate_scan", "1")),
    ),
    # Avid's DNxHR takes every size; HQX and 444 are its profiles of 10 bits.
    "dnxhd": VideoCodec(
        "dnxhd",
        ("yuv422p", "yuv422p10le", "yuv444p10le"),
        needs_limited_range=True,
        profiles=(
            ("yuv422p", "dnxhr_hq"),
            ("yuv422p10le", "dnxhr_hqx"),
            ("yuv444p10le", "dnxhr_444"),
        ),
        min_size=(256, 120),
        always_bt709=True,
    ),
    "ffv1": VideoCodec(
        "ffv1",
        ("gray", *_YUV8, *_YUV10, "yuv444p16le", "bgr0"),
        options=(("level", "3"), ("slicecrc", "1")),
        lossless_options=(),
        allows_odd_sizes=True,
        interlaced_options=(("flags", "+ildct"),),
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
    "dnxhr": "dnxhd",
    "mpeg2": "mpeg2video",
}
# Encoders by FFmpeg's name of the codec of a scene, for outputs like the scene.
_LIKE_SOURCE_ENCODERS = {
    "h264": "libx264",
    "hevc": "libx265",
    "vp9": "libvpx-vp9",
    "libvpx-vp9": "libvpx-vp9",
    "prores": "prores_ks",
    "dnxhd": "dnxhd",
    "ffv1": "ffv1",
    "mpeg2video": "mpeg2video",
}
# Profiles of ProRes and DNxHR by FFmpeg's names of them, as the encoders' options.
_SOURCE_PROFILES = {
    "Proxy": "0",
    "LT": "1",
    "Standard": "2",
    "HQ": "3",
    "4444": "4",
    "4444XQ": "5",
    "XQ": "5",
    "DNXHR LB": "dnxhr_lb",
    "DNXHR SQ": "dnxhr_sq",
    "DNXHR HQ": "dnxhr_hq",
    "DNXHR HQX": "dnxhr_hqx",
    "DNXHR 444": "dnxhr_444",
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
        subtitle_codecs: subtitles that it takes, first the one that text is converted to.
        holds_chapters: True if it has chapters.
        moves_negative_times: True if its muxer moves all streams, but not the chapters, so that
            sound before the first frame (an encoder's priming) begins at 0.
        holds_attachments: True if it has attached files, such as fonts and cover pictures.
        holds_cover_stream: True if a cover picture is a stream of its own.
        timecode_place: "stream" or "container", by whose tag the muxer writes the timecode; "" for
            a format without one.
        has_range_tag: False if full range can only be told by the codec.
        aspect_is_patched: True if the shape of pixels is written by `write_pixel_aspect`.
        audio_rate: only sample rate of its sound, Hz, or None.
        tags: tags of a file, in small letters, that the muxer writes; None for all.
        has_languages: True if streams have languages.
        muxer: FFmpeg's name of the muxer; None goes by the suffix.
        language_codes: codes that it writes in the place of others.
    """

    codecs: tuple[str, ...]
    copied_audio_codecs: frozenset[str]
    audio_encoder: str = "aac"
    allows_any_times: bool = True
    subtitle_codecs: tuple[str, ...] = ()
    holds_chapters: bool = True
    moves_negative_times: bool = False
    holds_attachments: bool = False
    holds_cover_stream: bool = False
    timecode_place: str = ""
    has_range_tag: bool = True
    aspect_is_patched: bool = False
    audio_rate: int | None = None
    tags: frozenset[str] | None = None
    has_languages: bool = True
    muxer: str | None = None
    language_codes: Mapping[str, str] = field(default_factory=dict)


# Audio codecs that MP4 and its relatives hold and common players play.
_MP4_AUDIO_CODECS = frozenset({"aac", "mp3", "ac3", "eac3", "alac", "opus"})
# Uncompressed audio, which QuickTime holds as well.
_PCM_CODECS = frozenset({"pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le"})

# Tags of a file that FFmpeg's writers of MP4, QuickTime and AVI know.
_MP4_TAGS = frozenset(
    (
        "title",
        "artist",
        "album_artist",
        "composer",
        "album",
        "date",
        "comment",
        "genre",
        "copyright",
        "grouping",
        "lyrics",
        "description",
        "synopsis",
        "show",
        "episode_id",
        "network",
        "keywords",
        "season_number",
        "episode_sort",
        "track",
        "disc",
    )
)
_AVI_TAGS = frozenset(("title", "artist", "date", "comment", "genre", "copyright", "track"))
_QUICKTIME_TAGS = _AVI_TAGS - {"track"} | {"album", "location", "make", "model"}
# Codes of languages as FFmpeg's writer of QuickTime knows them; it leaves out all others.
_QUICKTIME_LANGUAGES = {
    "cze": "ces",
    "deu": "ger",
    "ell": "gre",
    "fre": "fra",
    "isl": "ice",
    "nld": "dut",
    "rum": "ron",
    "slo": "slk",
    "sqi": "alb",
    "swe": "sve",
    "zho": "chi",
}
# Subtitles that Matroska holds, text first.
_MATROSKA_SUBTITLES = ("subrip", "ass", "ssa", "webvtt", "dvd_subtitle", "hdmv_pgs_subtitle")

# File formats by suffix; a new one is a new entry.
CONTAINER_FORMATS = {
    ".mp4": ContainerFormat(
        ("libx264", "libx265", "libvpx-vp9"),
        _MP4_AUDIO_CODECS,
        subtitle_codecs=("mov_text", "dvd_subtitle"),
        holds_cover_stream=True,
        timecode_place="stream",
        tags=_MP4_TAGS,
    ),
    ".m4v": ContainerFormat(
        ("libx264", "libx265"),
        _MP4_AUDIO_CODECS,
        subtitle_codecs=("mov_text",),
        holds_cover_stream=True,
        timecode_place="stream",
        tags=_MP4_TAGS,
        muxer="mp4",  # the one that FFmpeg takes for .m4v has no covers
    ),
    ".mov": ContainerFormat(
        ("libx264", "libx265", "prores_ks", "dnxhd"),
        _MP4_AUDIO_CODECS - {"opus"} | _PCM_CODECS,
        subtitle_codecs=("mov_text",),
        timecode_place="stream",
        tags=_QUICKTIME_TAGS,
        language_codes=_QUICKTIME_LANGUAGES,
    ),
    ".mkv": ContainerFormat(
        tuple(name for name in VIDEO_CODECS if name != "dnxhd"),
        frozenset({"*"}),
        subtitle_codecs=_MATROSKA_SUBTITLES,
        moves_negative_times=True,
        holds_attachments=True,
        timecode_place="stream",
        aspect_is_patched=True,
    ),
    ".webm": ContainerFormat(
        ("libvpx-vp9",),
        frozenset({"opus", "vorbis"}),
        "libopus",
        subtitle_codecs=("webvtt",),
        moves_negative_times=True,
        timecode_place="stream",
        aspect_is_patched=True,
    ),
    ".avi": ContainerFormat(
        ("libx264", "ffv1"),
        frozenset({"mp3", "ac3", "pcm_s16le"}),
        "pcm_s16le",
        allows_any_times=False,
        holds_chapters=False,
        timecode_place="container",
        tags=_AVI_TAGS,
        has_languages=False,
        has_range_tag=False,
        aspect_is_patched=True,
    ),
    # OP1a, as broadcasters deliver it: sound is PCM at 48 kHz.
    ".mxf": ContainerFormat(
        ("dnxhd", "prores_ks", "mpeg2video", "libx264"),
        frozenset({"pcm_s16le", "pcm_s24le"}),
        "pcm_s24le",
        allows_any_times=False,
        holds_chapters=False,
        timecode_place="container",
        tags=frozenset(),
        has_languages=False,
        has_range_tag=False,
        audio_rate=48_000,
    ),
}

# Shorter side from which H.265 is chosen by default, px: a coding unit. x265 crashes on pictures of
# a few pixels.
_MIN_HEVC_SIDE_PX = 64
# Steps by which pictures in PQ are encoded finer by default. PQ packs what SDR shows into half of
# its code values, so that encoders take detail for noise: at the quality of SDR a watermark was
# lost.
_PQ_CRF_STEPS = 6
# Containers in which Apple's players want the name hvc1.
_QUICKTIME_SUFFIXES = (".mp4", ".m4v", ".mov")

# Encoders of groups of pictures, each of which begins with a key frame.
_GROUP_ENCODERS = ("libx264", "libx265", "libvpx-vp9")
# Time between two key frames, s. Editors and players jump to them, and a passage that is rendered
# anew leaves all groups but its own as they are. Against x264's own 250 frames it makes files 5 to
# 7 % larger; 2 s would make them 11 to 22 % larger.
KEY_FRAME_SECONDS = 4
# Presets of libx264 and libx265, from fast to small.
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
# A frame of 1080 x 1920 from a camera costs libx264 19 to 21 ms of one core at superfast, 54 at
# veryfast and 140 at medium; 25 frames per second on two cores leave 80 for all work.
DEFAULT_ENCODER_PRESETS = {"libx264": "superfast", "libx265": "veryfast"}
# Options of libx264 that x264's own preset lacks: looking ahead, and spending bits on blocks that
# later frames refer to. Superfast leaves it out, and its files are twice the size of veryfast for
# it. Five frames ahead, none of them in a queue of their own, take 60 MB less at 1080p than ten.
# Every second frame is a B-frame, which saves the search for where they fit, a tenth of the time.
# Half of x264's move of bits from texture to flat places, as it has for grain: at such quality a
# file is a seventh smaller for it, at the same PSNR, and its worst blocks are better.
_X264_PRESET_PARAMETERS = {
    "superfast": (
        "rc-lookahead=5",
        "sync-lookahead=0",
        "mbtree=1",
        "b-adapt=0",
        "aq-strength=0.5",
    )
}
_X264_PRESET_B_FRAMES = {"superfast": 1}
# Steps of CRF by which the default of a preset of libx264 is better than the codec's: at CRF 15
# superfast is as good as veryfast at 16 on pictures of a camera, with 6 % more bytes.
_X264_PRESET_CRF_STEPS = {"superfast": 1}
# Pixels of a frame for which libx264 gets a thread at superfast: 55 frames of 1080p a second, more
# than are painted. Each further one keeps frames of its own, 23 MB at 1080p.
_X264_PIXELS_PER_THREAD = 1920 * 1088


@dataclass(frozen=True)
class VideoEncoding:
    """All decisions that are made before the first frame is written.

    Attributes:
        container: file format.
        codec: video encoder.
        pix_fmt: pixel format that the encoder is given.
        options: FFmpeg options of the encoder.
        limits_range: True if full range is brought to limited range.
        tag: four letters by which the container names the codec, or "" for the usual ones.
        note: why another encoder writes than the user named, in one line, or "".
        threads: threads of the encoder; 0 leaves their number to it.
        b_frames: B-frames in a row, at most; None leaves their number to the encoder.
    """

    container: ContainerFormat
    codec: VideoCodec
    pix_fmt: str
    options: dict[str, str]
    limits_range: bool = False
    tag: str = ""
    note: str = ""
    threads: int = 0
    b_frames: int | None = None


def choose_encoding(
    path: Path,
    info: VideoInfo,
    codec: str | None = None,
    crf: int | None = None,
    lossless: bool = False,
    preset: str | None = None,
    like_source: bool = False,
) -> VideoEncoding:
    """Choose container, encoder, pixel format and options for a file.

    Args:
        path: file to write; its suffix chooses the container.
        info: properties of the frames to write.
        codec: encoder or alias; None takes the container's default. For one of
            `HARDWARE_ENCODERS`, or "hardware", the software encoder of the same format writes where
            it does not start, and the note says so.
        crf: quality, lower is better; None takes the encoder's default.
        lossless: keep every sample bit for bit in the source's pixel format.
        preset: one of `ENCODER_PRESETS` for libx264 and libx265; None takes
            that of `DEFAULT_ENCODER_PRESETS`.
        like_source: take codec, profile and bit rate of the video that ``info`` was read from,
            where the container takes them and the user names no others.

    Raises:
        MediaError: The suffix, codec, quality or preset is unknown or does not fit the others, or
            this build of PyAV lacks the encoder.
    """
    if codec == ANY_HARDWARE or codec in HARDWARE_ENCODERS:
        encoding = choose_encoding(path, info, software_encoder(codec), crf, lossless, preset)
        return _move_to_hardware(encoding, codec, info, crf, lossless=lossless)
    # The suffix chooses the container, the container the codecs.
    container = CONTAINER_FORMATS.get(path.suffix.lower())
    if container is None:
        raise MediaError(
            f"{path.name}: cannot write {path.suffix or 'a name without suffix'}; "
            f"use one of {', '.join(CONTAINER_FORMATS)}"
        )
    if like_source and codec is None and not lossless:
        codec = find_source_encoder(path.suffix, info)
    chosen = VIDEO_CODECS[_choose_codec(path, container, codec, info, lossless)]
    if lossless and chosen.lossless_options is None:
        able = [name for name, c in VIDEO_CODECS.items() if c.lossless_options is not None]
        raise MediaError(f"{chosen.encoder} cannot write losslessly; use {_join_with_or(able)}")
    if info.width < chosen.min_size[0] or info.height < chosen.min_size[1]:
        raise MediaError(
            f"{chosen.encoder} cannot write {info.width} x {info.height}: it needs at least "
            f"{chosen.min_size[0]} x {chosen.min_size[1]}; use another codec"
        )
    pix_fmt = _choose_pixel_format(path, chosen, info, lossless)
    preset = _choose_preset(chosen, preset)
    # Quality: lossless, a CRF within the codec's scale, or the codec's default.
    options = dict(chosen.options)
    if lossless:
        options |= dict(chosen.lossless_options or ())
    elif chosen.default_crf is not None:
        if crf is not None and not 0 <= crf <= chosen.highest_crf:
            raise MediaError(f"crf {crf} is not between 0 (best) and {chosen.highest_crf}")
        finer = _PQ_CRF_STEPS if info.color_trc == TRANSFER_PQ else 0
        if chosen.encoder == "libx264":
            finer += _X264_PRESET_CRF_STEPS.get(preset, 0)
        options["crf"] = str(chosen.default_crf - finer if crf is None else crf)
    elif crf is not None:
        raise MediaError(f"{chosen.encoder} has no crf: leave it out or use libx264")
    _add_codec_options(options, chosen, pix_fmt, info, lossless)
    if chosen.encoder in _GROUP_ENCODERS:
        options["g"] = str(max(1, round(KEY_FRAME_SECONDS * info.fps)))
    if like_source and not lossless and _LIKE_SOURCE_ENCODERS.get(info.codec) == chosen.encoder:
        _add_source_options(options, chosen, pix_fmt, info, crf)
    if preset:
        options["preset"] = preset
        more = _X264_PRESET_PARAMETERS.get(preset, ())
        if chosen.encoder == "libx264" and not lossless and more:
            own = options.get("x264-params", "")
            options["x264-params"] = ":".join(filter(None, (own, *more)))
    if not _is_encoder_available(chosen.encoder):
        raise MediaError(f"this build of PyAV has no {chosen.encoder}: pip install av, or libx264")
    limits_range = chosen.needs_limited_range or not container.has_range_tag
    # QuickTime plays H.265 under this name alone.
    tag = (
        "hvc1" if chosen.encoder == "libx265" and path.suffix.lower() in _QUICKTIME_SUFFIXES else ""
    )
    threads, b_frames = 0, None
    if chosen.encoder == "libx264" and preset in _X264_PRESET_PARAMETERS and not lossless:
        b_frames = _X264_PRESET_B_FRAMES[preset]
        enough = math.ceil(info.width * info.height / _X264_PIXELS_PER_THREAD)
        threads = max(1, min(enough, num_available_cpus() // 2))
    return VideoEncoding(
        container,
        chosen,
        pix_fmt,
        options,
        limits_range and not lossless,
        tag,
        threads=threads,
        b_frames=b_frames,
    )


def _move_to_hardware(
    encoding: VideoEncoding, codec: str, info: VideoInfo, crf: int | None, *, lossless: bool
) -> VideoEncoding:
    """Let a hardware encoder write in the place of a software encoder, if it can."""
    is_plain = not (lossless or info.is_interlaced or info.hdr is not None)
    encoder, note = choose_hardware(codec, encoding.pix_fmt, is_plain=is_plain)
    if encoder is None:
        return replace(encoding, note=note)
    return replace(
        encoding,
        codec=VideoCodec(encoder.name, (HARDWARE_PIXEL_FORMAT,)),
        options=hardware_options(encoder, encoding.options, crf),
        threads=0,
        b_frames=None,
    )


def _choose_preset(codec: VideoCodec, preset: str | None) -> str:
    """Check the preset that the user names, or take the encoder's default; "" if it has none."""
    # Only two of the encoders trade speed for size by a preset.
    if codec.encoder not in DEFAULT_ENCODER_PRESETS:
        if preset is not None:
            raise MediaError(f"{codec.encoder} has no preset: leave it out or use libx264")
        return ""
    if preset is not None and preset not in ENCODER_PRESETS:
        raise MediaError(f"no preset {preset}; use {_join_with_or(ENCODER_PRESETS)}")
    return preset or DEFAULT_ENCODER_PRESETS[codec.encoder]


def find_source_encoder(suffix: str, info: VideoInfo) -> str | None:
    """Find the encoder of a video's own codec for a container; None if it does not take it.

    Args:
        suffix: ending of the file to write, one of `CONTAINER_FORMATS`.
        info: properties of the video.
    """
    own = _LIKE_SOURCE_ENCODERS.get(info.codec)
    return own if own in CONTAINER_FORMATS[suffix.lower()].codecs else None


def _add_codec_options(
    options: dict[str, str], codec: VideoCodec, pix_fmt: str, info: VideoInfo, lossless: bool
) -> None:
    """Add options that follow from the picture: profile, fields, HDR metadata."""
    profile = dict(codec.profiles).get(pix_fmt)
    if profile is not None:
        options["profile"] = profile
    if info.is_interlaced and not lossless:
        options |= dict(codec.interlaced_options or ())
    params = {} if info.hdr is None else info.hdr.describe_for_encoder()
    if codec.encoder == "libx264":
        # The same facts under the names of x264.
        names = {"master-display": "mastering-display", "max-cll": "cll"}
        own = [f"{names[key]}={value}" for key, value in params.items()]
        if info.is_interlaced and not lossless and info.field_order not in TOP_FIELD_ORDERS:
            own.append("bff=1")
        if own:
            options["x264-params"] = ":".join(own)
    elif codec.holds_hdr_metadata and params:
        whole = [options.get("x265-params", ""), "hdr10=1", "repeat-headers=1"]
        whole += [f"{key}={value}" for key, value in params.items()]
        options["x265-params"] = ":".join(filter(None, whole))


def _add_source_options(
    options: dict[str, str], codec: VideoCodec, pix_fmt: str, info: VideoInfo, crf: int | None
) -> None:
    """Add profile and bit rate of the source."""
    profile = _SOURCE_PROFILES.get(info.profile)
    is_deep = "444" in pix_fmt
    if profile is not None and codec.profiles and is_deep == (profile in ("4", "5", "dnxhr_444")):
        options["profile"] = profile
    if info.bit_rate and crf is None and codec.encoder not in ("prores_ks", "dnxhd", "ffv1"):
        options.pop("crf", None)
        options["b"] = str(info.bit_rate)


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
    # Few players decode H.264 of 10 bits, and all that know H.265 decode it.
    is_deep = NATIVE_FORMATS[info.pix_fmt].bits > 8 and not lossless
    is_large = min(info.width, info.height) >= _MIN_HEVC_SIDE_PX
    if is_deep and is_large and "libx265" in container.codecs and _is_encoder_available("libx265"):
        default = "libx265"
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
