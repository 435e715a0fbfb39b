"""What an output will hold of a source, known from headers before any work is done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dubfew.media.carried import COVER_CODECS, TEXT_SUBTITLES
from dubfew.media.codecs import ContainerFormat, VideoEncoding
from dubfew.media.facts import MediaFacts, StreamFacts, compare_facts
from dubfew.media.info import FIELD_PROGRESSIVE, VideoInfo
from dubfew.media.pixels import NATIVE_FORMATS, RANGE_FULL, RANGE_LIMITED
from dubfew.media.working_color import describe_working_color

# Sound before the first frame that is shorter than this is an encoder's priming, s.
_MIN_LEAD_SECONDS = 0.1
# Sound behind the last frame that is shorter than this is the rest of an encoder's packet, s: those
# of AAC of 16 kHz last 0.064 s.
_MIN_TAIL_SECONDS = 0.1


def forecast_output(
    source: MediaFacts,
    output: Path,
    encoding: VideoEncoding,
    *,
    seconds: float | None = None,
    replaced: StreamFacts | None = None,
) -> list[str]:
    """List what of a source an output will lack, and what will be converted, one line each.

    Args:
        source: what the source holds.
        output: file that will be written.
        encoding: how, from `choose_encoding`.
        seconds: length of that file, s; None for that of the source's picture.
        replaced: sound track that new sound takes the place of, or None.
    """
    return [
        *describe_conversions(source, seconds=seconds, replaced=replaced),
        *compare_facts(source, _expected_facts(source, output, encoding)),
    ]


def describe_conversions(
    source: MediaFacts, *, seconds: float | None = None, replaced: StreamFacts | None = None
) -> list[str]:
    """List what a render of a source does to it in any output, one line each.

    Args:
        source: what the source holds.
        seconds: length of the output, s; None for that of the source's picture.
        replaced: sound track that new sound takes the place of, or None.
    """
    lines: list[str] = []
    if source.video is None:
        return lines
    if source.video.is_interlaced:
        lines.append(
            "the scene is interlaced: its fields are painted one by one and woven into frames again"
            if source.painted_fields
            else "the scene is flagged as interlaced, and no two times are seen in its fields: "
            "mouths are painted once a frame (if its fields do differ, deinterlace it first to "
            f"{float(2 * source.video.fps):g} frames/s: ffmpeg -vf bwdif)"
        )
    lines.append(describe_working_color(source.video.color))
    # A file without a stated length does not tell what lies behind its picture.
    picture_end = source.video.duration if seconds is None else seconds
    for stream in source.of_kind("audio"):
        if stream == replaced:
            continue
        # Outputs begin at the first frame: players differ in what they do with negative times.
        if stream.start < -_MIN_LEAD_SECONDS:
            lines.append(
                f"the first {-stream.start:.2f} s of {stream.describe()} lie before the first "
                "frame and are cut"
            )
        tail = 0.0 if stream.end is None or not picture_end else stream.end - picture_end
        if tail > _MIN_TAIL_SECONDS:
            lines.append(
                f"the last {tail:.2f} s of {stream.describe()} lie behind the last frame and are "
                "cut"
            )
    return [line for line in lines if line]


def _expected_facts(source: MediaFacts, output: Path, encoding: VideoEncoding) -> MediaFacts:
    """Return what the output will hold."""
    container = encoding.container
    return MediaFacts(
        path=output,
        container=output.suffix,
        video=None if source.video is None else _expected_picture(source.video, encoding),
        streams=tuple(
            kept for stream in source.streams if (kept := _expected_stream(stream, container))
        ),
        chapters=source.chapters if container.holds_chapters else (),
        timecode=source.timecode if container.timecode_place else "",
        tags={
            key: value
            for key, value in source.tags.items()
            if container.tags is None or key in container.tags
        },
    )


def _expected_picture(info: VideoInfo, encoding: VideoEncoding) -> VideoInfo:
    """Return the properties of the output's picture."""
    form = NATIVE_FORMATS[info.pix_fmt]
    is_full = info.color.range_for(form) == RANGE_FULL and form.is_yuv
    codec = encoding.codec
    return replace(
        info,
        stored_format=encoding.pix_fmt,
        color_range=RANGE_LIMITED if is_full and encoding.limits_range else info.color_range,
        hdr=info.hdr if codec.holds_hdr_metadata else None,
        field_order=FIELD_PROGRESSIVE if codec.interlaced_options is None else info.field_order,
    )


def _expected_stream(stream: StreamFacts, container: ContainerFormat) -> StreamFacts | None:
    """Return what becomes of a stream; None where it is left out."""
    if not container.has_languages:
        stream = replace(stream, language="")
    if stream.kind == "subtitle":
        if stream.codec in container.subtitle_codecs:
            return stream
        if container.subtitle_codecs and stream.codec in TEXT_SUBTITLES:
            return replace(stream, codec=container.subtitle_codecs[0])
        return None
    if stream.kind == "attachment":
        return stream if container.holds_attachments else None
    if stream.kind == "cover":
        is_held = container.holds_cover_stream or container.holds_attachments
        return stream if is_held and stream.codec in COVER_CODECS else None
    # Further pictures would show the unpainted scene.
    if stream.kind == "video":
        return stream if stream.number == 1 else None
    return None if stream.kind == "data" else stream
