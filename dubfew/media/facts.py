"""What a media file holds: its streams, tags and color, as facts that can be compared."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.stream import Disposition

from dubfew.errors import MediaError
from dubfew.media.field_search import find_field_order
from dubfew.media.hdr import TRANSFER_HLG, TRANSFER_PQ
from dubfew.media.info import FIELD_ORDERS, VideoInfo, declared_duration, probe
from dubfew.media.opening import open_media
from dubfew.media.pixels import UNSPECIFIED_CODE_POINT

# Tags that say how a file was written, not what it shows. Every writer makes its own.
_WRITER_TAGS = frozenset(
    (
        "encoder",
        "major_brand",
        "minor_version",
        "compatible_brands",
        "handler_name",
        "vendor_id",
        "duration",
        "creation_time",
        "timecode",
        "uid",
        "generation_uid",
        "product_uid",
        "company_name",
        "product_name",
        "product_version",
        "product_version_num",
        "toolkit_version_num",
        "application_platform",
        "operational_pattern_ul",
        "modification_date",
        "project_name",
        "language",
        "bps",
        "number_of_frames",
        "number_of_bytes",
        "source_id",
        "isft",
        "software",
        "encoding_tool",
        "encoded_by",
    )
)
# Endings of tags of the same kind in MXF files.
_WRITER_TAG_ENDINGS = ("_umid", "_ul", "_uid", "_package_name")
# Seconds by which a chapter or a length may differ, because clocks of containers are coarse.
_CLOCK_TOLERANCE_SECONDS = 0.05
# Names of code points (ITU-T H.273) that footage has.
_MATRIX_NAMES = {0: "RGB", 1: "BT.709", 5: "BT.601", 6: "BT.601", 7: "SMPTE 240M", 9: "BT.2020"}
_PRIMARIES_NAMES = {
    1: "BT.709",
    5: "BT.601 (625 lines)",
    6: "BT.601 (525 lines)",
    9: "BT.2020",
    11: "DCI-P3",
    12: "Display P3",
}
_TRANSFER_NAMES = {
    1: "BT.709",
    4: "gamma 2.2",
    6: "BT.601",
    8: "linear",
    13: "sRGB",
    14: "BT.2020",
    15: "BT.2020",
    TRANSFER_PQ: "PQ",
    TRANSFER_HLG: "HLG",
}
_RANGE_NAMES = {1: "limited", 2: "full"}


# Codes of languages that have two in ISO 639-2: after their own names, and after their English
# ones, which QuickTime and Matroska use.
BIBLIOGRAPHIC_CODES = {
    "bod": "tib",
    "ces": "cze",
    "cym": "wel",
    "deu": "ger",
    "ell": "gre",
    "eus": "baq",
    "fas": "per",
    "fra": "fre",
    "hye": "arm",
    "isl": "ice",
    "kat": "geo",
    "mkd": "mac",
    "mri": "mao",
    "msa": "may",
    "mya": "bur",
    "nld": "dut",
    "ron": "rum",
    "slk": "slo",
    "sqi": "alb",
    "sve": "swe",  # FFmpeg's name of QuickTime's number for Swedish
    "zho": "chi",
}


@dataclass(frozen=True)
class StreamFacts:
    """Properties of one stream.

    Attributes:
        index: number in the file, from 0.
        kind: "video", "audio", "subtitle", "data", "attachment" or "cover".
        number: number among the streams of its kind, from 1.
        codec: FFmpeg's name; empty if this FFmpeg does not know it.
        language: code of the language, or "".
        title: name of the stream, or "".
        is_default: True if players choose it by themselves.
        details: rate and channels of sound.
        start: time at which sound begins after the first frame, s.
        end: time at which sound ends after the first frame, s; None where the file does not say.
    """

    index: int
    kind: str
    number: int
    codec: str
    language: str = ""
    title: str = ""
    is_default: bool = False
    details: str = ""
    start: float = 0.0
    end: float | None = None

    def describe(self) -> str:
        """Describe the stream for readers, such as "sound track 2 (fra, M&E, aac)"."""
        words = {"audio": "sound track", "video": "picture"}.get(self.kind, self.kind)
        inner = ", ".join(filter(None, (self.language, self.title, self.codec, self.details)))
        return f"{words} {self.number}" + (f" ({inner})" if inner else "")


@dataclass(frozen=True)
class MediaFacts:
    """What a file holds.

    Attributes:
        path: the file.
        container: FFmpeg's name of the format.
        video: properties of the main picture; None for sound alone.
        streams: all streams.
        chapters: begin in s and title of each chapter.
        timecode: timecode of the first frame, such as "10:00:00:00", or "".
        tags: tags that say what the file is, such as its title.
        painted_fields: order of the picture's fields where a render paints each by itself; 0 where
            it paints frames, or nobody looked.
    """

    path: Path
    container: str
    video: VideoInfo | None
    streams: tuple[StreamFacts, ...]
    chapters: tuple[tuple[float, str], ...] = ()
    timecode: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    painted_fields: int = 0

    def of_kind(self, kind: str) -> list[StreamFacts]:
        """List the streams of one kind."""
        return [stream for stream in self.streams if stream.kind == kind]


def read_facts(path: Path | str, *, fields: bool = False) -> MediaFacts:
    """Read what a file holds, from its headers and its first picture.

    Args:
        path: a video or sound file.
        fields: also look at the start of interlaced video, for how it will be painted.

    Raises:
        MediaError: The file cannot be read as video or sound.
    """
    path = Path(path)
    try:
        video = probe(path, whole=True)
    except MediaError:
        video = None  # sound alone; a file that is neither fails below
    with open_media(path) as container:
        streams = tuple(_list_streams(container))
        if not streams:
            raise MediaError(f"{path} holds neither picture nor sound")
        return MediaFacts(
            path,
            container.format.name,
            video,
            streams,
            tuple(read_chapters(container)),
            find_timecode(container),
            content_tags(container.metadata),
            find_field_order(video) if fields and video is not None else 0,
        )


def _list_streams(container: InputContainer) -> Iterator[StreamFacts]:
    """Describe the streams of a file; helpers of the format itself are left out."""
    counts: dict[str, int] = {}
    origin = _picture_start(container)
    for stream in container.streams:
        kind: str = stream.type
        if stream.disposition & Disposition.attached_pic:
            kind = "cover"
        # Chapters and timecodes of QuickTime are streams of text and numbers of their own.
        if kind == "data" and is_helper_stream(container, stream):
            continue
        counts[kind] = counts.get(kind, 0) + 1
        context: Any = stream.codec_context
        details, start, end = "", 0.0, None
        if kind == "audio" and context is not None and context.sample_rate:
            details = f"{context.sample_rate} Hz, {context.layout.name}"
        if isinstance(stream, av.AudioStream):
            start, length = _start_seconds(stream) - origin, declared_duration(stream)
            end = None if length is None else start + float(length)
        language = stream.metadata.get("language", "")
        yield StreamFacts(
            index=stream.index,
            kind=kind,
            number=counts[kind],
            codec="" if context is None else context.codec.canonical_name,
            language="" if language == "und" else language,
            title=stream_title(stream.metadata),
            is_default=bool(stream.disposition & Disposition.default),
            details=details,
            start=start,
            end=end,
        )


def _picture_start(container: InputContainer) -> float:
    """Return the time of the first frame, or else of the first stream, on the file's clock, s."""
    pictures = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    streams = (*pictures, *container.streams)
    return _start_seconds(streams[0]) if streams else 0.0


def _start_seconds(stream: av.stream.Stream) -> float:
    """Return the time at which a stream begins on the file's clock, s."""
    if stream.start_time is None or stream.time_base is None:
        return 0.0
    return float(stream.start_time * stream.time_base)


def is_helper_stream(container: InputContainer, stream: av.stream.Stream) -> bool:
    """Return True for the data streams by which QuickTime keeps chapters and timecodes.

    Args:
        container: the open file.
        stream: one of its streams.
    """
    if "timecode" in stream.metadata:
        return True
    has_chapters = bool(container.chapters())
    return has_chapters and container.format.name.startswith("mov") and stream.type == "data"


def stream_title(tags: Mapping[str, str]) -> str:
    """Return the name of a stream, which containers keep under different keys."""
    for key in ("title", "name", "NAME", "TITLE"):
        if tags.get(key):
            return tags[key]
    return ""


def read_chapters(container: InputContainer) -> Iterator[tuple[float, str]]:
    """Yield begin after the first frame, s, and title of every chapter."""
    origin = _picture_start(container)
    for chapter in container.chapters():
        base = Fraction(chapter["time_base"] or Fraction(1, 1000))
        begin = max(0.0, float(chapter["start"] * base) - origin)
        yield begin, chapter["metadata"].get("title", "")


def find_timecode(container: InputContainer) -> str:
    """Find the timecode of the first frame, wherever the format keeps it; "" without one."""
    for tags in (*(stream.metadata for stream in container.streams), container.metadata):
        for key, value in tags.items():
            if key.lower() == "timecode" and value:
                return value
    return ""


def content_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that say what a file is, with small keys, without those of its writer."""
    return {
        key.lower(): value
        for key, value in tags.items()
        if value
        and key.lower() not in _WRITER_TAGS
        and not key.lower().endswith(_WRITER_TAG_ENDINGS)
        and not key.lower().startswith(("duration-", "_statistics"))
    }


def describe_color(info: VideoInfo) -> str:
    """Describe the color of a video for readers, such as "BT.709, limited range, 8 bit"."""
    form = av.VideoFormat(info.stored_format or info.pix_fmt)
    depth = max(part.bits for part in form.components)
    parts = [
        _TRANSFER_NAMES.get(info.color_trc, ""),
        _PRIMARIES_NAMES.get(info.color_primaries, "")
        or _MATRIX_NAMES.get(info.colorspace, "untagged"),
        f"{_RANGE_NAMES[info.color_range]} range" if info.color_range in _RANGE_NAMES else "",
        f"{depth} bit",
        form.name,
    ]
    return ", ".join(dict.fromkeys(filter(None, parts)))


def same_language(left: str, right: str) -> bool:
    """Return True if two codes of ISO 639-2 name one language, which may have two of them.

    Args:
        left: code of three letters, such as "ger".
        right: another one, such as "deu".
    """
    return BIBLIOGRAPHIC_CODES.get(left, left) == BIBLIOGRAPHIC_CODES.get(right, right)


def compare_facts(before: MediaFacts, after: MediaFacts) -> list[str]:
    """List what one file holds and another that was made from it does not.

    Args:
        before: the source.
        after: the output.

    Returns:
        One line per loss or conversion; empty if all was kept.
    """
    return [
        *_compare_pictures(before.video, after.video),
        *_compare_streams(before, after),
        *_compare_tags(before, after),
    ]


def _compare_pictures(before: VideoInfo | None, after: VideoInfo | None) -> Iterator[str]:
    """Compare the main pictures."""
    if before is None or after is None:
        return
    # What the files hold: a decoded format may be narrower.
    old, new = (av.VideoFormat(each.stored_format or each.pix_fmt) for each in (before, after))
    old_bits, new_bits = (max(part.bits for part in form.components) for form in (old, new))
    if has_alpha(old.name) and not has_alpha(new.name):
        yield "the alpha channel is not kept"
    # More bits or finer chroma lose nothing, so only less is told.
    if new_bits < old_bits:
        yield f"{old_bits} bit became {new_bits} bit"
    if _chroma_samples(new) < _chroma_samples(old):
        yield f"chroma is stored coarser: {old.name} became {new.name}"
    if before.sample_aspect != after.sample_aspect:
        yield (
            f"pixels of {before.sample_aspect} became pixels of {after.sample_aspect}: the "
            "container does not keep their shape"
        )
    if _effective_range(before) != _effective_range(after):
        yield "full range became limited range, converted"
    for name, values in (
        ("primaries", (before.color_primaries, after.color_primaries)),
        ("transfer characteristics", (before.color_trc, after.color_trc)),
        ("matrix", (before.colorspace, after.colorspace)),
    ):
        # A scene without a tag has nothing to lose. Matrix 0 is RGB, which is always encoded as
        # YUV.
        known = values[0] not in (0, UNSPECIFIED_CODE_POINT)
        if known and values[0] != values[1] and not (name == "matrix" and values[0] == 0):
            yield f"the tag of the color {name} is not kept"
    if before.hdr is not None and after.hdr is None:
        yield "HDR10 metadata (mastering display, brightest light) are not kept"
    if before.is_interlaced and before.field_order != after.field_order:
        yield f"field order {FIELD_ORDERS[before.field_order]} is not kept as a flag"


def _compare_streams(before: MediaFacts, after: MediaFacts) -> Iterator[str]:
    """Compare streams one by one; sound only where there is as much of it."""
    for kind in ("subtitle", "attachment", "cover", "data", "video", "audio"):
        old, new = before.of_kind(kind), after.of_kind(kind)
        if kind == "audio" and len(new) != len(old):
            continue  # new sound took the place of some
        for stream in old[len(new) :]:
            yield f"{stream.describe()} is not kept"
        for left, right in zip(old, new, strict=False):
            if left.language and not same_language(left.language, right.language):
                yield f"{left.describe()}: its language is not kept"
            if kind == "subtitle" and left.codec != right.codec:
                yield f"{left.describe()} became {right.codec}"


def _compare_tags(before: MediaFacts, after: MediaFacts) -> Iterator[str]:
    """Compare chapters, timecode and tags."""
    if before.chapters and len(after.chapters) < len(before.chapters):
        yield f"{len(before.chapters)} chapters are not kept"
    elif before.chapters:
        moved = max(
            abs(old[0] - new[0]) for old, new in zip(before.chapters, after.chapters, strict=False)
        )
        if moved > _CLOCK_TOLERANCE_SECONDS:
            yield "the times of the chapters are not kept"
    if before.timecode and after.timecode != before.timecode:
        yield f"the timecode {before.timecode} is not kept"
    lost = [key for key, value in before.tags.items() if after.tags.get(key) != value]
    if lost:
        yield f"tags not kept: {', '.join(sorted(lost))}"


def has_alpha(pix_fmt: str) -> bool:
    """Return True if a pixel format has an alpha channel."""
    form = av.VideoFormat(pix_fmt)
    colors = 1 if form.name.startswith(("ya", "gray")) else 3
    return len(form.components) > colors and not form.has_palette


def _chroma_samples(form: av.VideoFormat) -> float:
    """Return the chroma samples per pixel; infinity for RGB, which has no fewer, 0 for gray."""
    if form.is_rgb:
        return 1.0
    if len(form.components) < 3:
        return 0.0
    return form.chroma_width(64) * form.chroma_height(64) / 64**2


def _effective_range(info: VideoInfo) -> int:
    """Return the range of YUV samples; RGB has none."""
    form = av.VideoFormat(info.stored_format or info.pix_fmt)
    if form.is_rgb or math.isclose(_chroma_samples(form), 0.0):
        return 1
    if form.name.startswith("yuvj"):
        return 2
    return info.color_range or 1
