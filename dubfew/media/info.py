"""Properties of a video file, read without decoding more than its first frame."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer

from dubfew.errors import MediaError
from dubfew.media.fields import find_stated_order
from dubfew.media.hdr import HdrMetadata
from dubfew.media.log_curves import find_stated_curve
from dubfew.media.opening import audio_stream, open_media, video_stream
from dubfew.media.orientation import Orientation
from dubfew.media.pixels import UNSPECIFIED_CODE_POINT, ColorTags, native_format_name
from dubfew.media.square_pixels import square_size
from dubfew.media.stated_aspect import find_stated_aspect

# Seconds per tick from which a clock counts as coarse. Matroska, WebM and Flash count in
# milliseconds: times and rates from such a clock are rounded, and are put back on the frame grid
# where they lie within a tick of it.
COARSE_CLOCK = Fraction(1, 2000)
# Frames a second from which a stated rate is a clock of milliseconds, and the rate of a file that
# states no other. Frames keep their own times.
CLOCK_RATE, UNKNOWN_RATE = 1000, 25
# Frame rates that cameras and editors use, for rates that a coarse clock has blurred.
_COMMON_RATES = [Fraction(n) for n in (24, 25, 30, 48, 50, 60, 120)] + [
    Fraction(n * 1000, 1001) for n in (24, 30, 48, 60, 120)
]


# Orders of fields, by FFmpeg's numbers (AVFieldOrder).
FIELD_PROGRESSIVE, FIELD_TOP_FIRST = 1, 2
FIELD_ORDERS = {
    0: "unknown",
    FIELD_PROGRESSIVE: "progressive",
    FIELD_TOP_FIRST: "top field first",
    3: "bottom field first",
    4: "top field first",
    5: "bottom field first",
}
TOP_FIELD_ORDERS = (FIELD_TOP_FIRST, 4)


@dataclass(frozen=True)
class VideoInfo:
    """Properties of a video. Only the first four are needed to write a new one.

    Attributes:
        path: the file.
        width: stored px, after rotation.
        height: stored px, after rotation.
        fps: mean frame rate, exact.
        frames: number of frames that the container states; None where it states none.
        duration: length, s.
        has_audio: True if the file has a sound track.
        audio_rate: sample rate of the sound track, Hz; None without one.
        pix_fmt: pixel format of the frames that `read_frames` yields, one of `NATIVE_FORMATS`.
        color_range: 0 unspecified, 1 limited, 2 full.
        colorspace: ITU-T H.273 code point of the matrix; 2 is unspecified.
        color_primaries: ITU-T H.273 code point; 2 is unspecified.
        color_trc: ITU-T H.273 code point of the transfer characteristics; 2 is unspecified.
        rotation: degrees clockwise by which the stored picture was turned to be upright.
        time_base: seconds per tick of the file's clock.
        sample_aspect: width of a pixel over its height, after rotation.
        codec: FFmpeg's name of the video codec; empty for a video that is still to be written.
        stored_format: pixel format in the file, which may hold more than ``pix_fmt``; empty for a
            video that is still to be written.
        field_order: 0 unknown, 1 progressive, 2 to 5 interlaced, one of `FIELD_ORDERS`.
        hdr: static HDR metadata, or None.
        profile: FFmpeg's name of the codec's profile, such as "High 10", or "".
        bit_rate: bits per second of the picture; None where the file does not say.
        log_curve: name of the log curve that the user states, or "".
    """

    path: Path
    width: int
    height: int
    fps: Fraction
    frames: int | None = None
    duration: float = 0.0
    has_audio: bool = False
    audio_rate: int | None = None
    pix_fmt: str = "yuv420p"
    color_range: int = 0
    colorspace: int = UNSPECIFIED_CODE_POINT
    color_primaries: int = UNSPECIFIED_CODE_POINT
    color_trc: int = UNSPECIFIED_CODE_POINT
    rotation: int = 0
    time_base: Fraction = Fraction(1, 90000)
    sample_aspect: Fraction = Fraction(1)
    codec: str = ""
    stored_format: str = ""
    field_order: int = 0
    hdr: HdrMetadata | None = None
    profile: str = ""
    bit_rate: int | None = None
    log_curve: str = ""

    @property
    def is_interlaced(self) -> bool:
        """Return True if every frame holds two fields of different times."""
        return self.field_order > FIELD_PROGRESSIVE

    @property
    def square_size(self) -> tuple[int, int]:
        """Return width and height in square pixels, px: the size that frames have."""
        return square_size(self.width, self.height, self.sample_aspect)

    @property
    def color(self) -> ColorTags:
        """Return the color tags as one value."""
        return ColorTags(
            self.color_range,
            self.colorspace,
            self.color_primaries,
            self.color_trc,
            self.log_curve,
        )


def probe(path: Path | str, *, whole: bool = False) -> VideoInfo:
    """Read a video's properties. A still image counts as a video of one frame.

    A video that is read field by field (`stated_fields`) is progressive, of twice the rate.

    Args:
        path: a video or image file.
        whole: describe the file as it is, though its fields are read elsewhere, or another shape
            of pixels was stated.

    Raises:
        MediaError: The file does not exist, is not a video, has no picture, or no frame of it can
            be decoded.
    """
    path = Path(path)
    with open_media(path) as container:
        stream = video_stream(container, path)
        # Pixel format, color tags and rotation are certain only once a frame is decoded.
        picture = next(decode_pictures(container, stream, path))
        sound = audio_stream(container)
        turn = Orientation.from_picture(picture)
        width, height = picture.width, picture.height
        aspect = pixel_aspect(stream)
        # Report the size after rotation: frames are delivered upright.
        if turn.swaps_axes:
            width, height, aspect = height, width, 1 / aspect
        fps = frame_rate(stream)
        still = is_still(container)
        info = VideoInfo(
            path=path,
            width=width,
            height=height,
            fps=fps,
            frames=1 if still else (stream.frames or None),
            duration=float(1 / fps) if still else float(_video_duration(container, stream, fps)),
            has_audio=sound is not None,
            audio_rate=sound.codec_context.sample_rate if sound is not None else None,
            pix_fmt=turn.pixel_format(native_format_name(picture.format.name), width, height),
            color_range=int(picture.color_range),
            colorspace=int(picture.colorspace),
            color_primaries=int(picture.color_primaries),
            color_trc=int(picture.color_trc),
            rotation=turn.degrees,
            time_base=Fraction(stream.time_base or Fraction(1, 90000)),
            sample_aspect=aspect,
            codec=stream.codec_context.name,
            stored_format=picture.format.name,
            field_order=_field_order(stream, picture),
            hdr=HdrMetadata.from_picture(picture),
            profile=stream.profile or "",
            bit_rate=stream.codec_context.bit_rate or None,
            log_curve=find_stated_curve(path),
        )
    if whole:
        return info
    info = replace(info, sample_aspect=find_stated_aspect(path) or info.sample_aspect)
    return describe_as_fields(info) if find_stated_order(path) else info


def describe_as_fields(info: VideoInfo) -> VideoInfo:
    """Return the properties of an interlaced video whose fields are frames of their own."""
    return replace(
        info,
        fps=2 * info.fps,
        frames=None if info.frames is None else 2 * info.frames,
        time_base=info.time_base / 2,
        field_order=FIELD_PROGRESSIVE,
    )


def pixel_aspect(stream: av.VideoStream) -> Fraction:
    """Return the width of a stored pixel over its height, before rotation; 1 if none is stated."""
    return Fraction(stream.sample_aspect_ratio or 1)


def _field_order(stream: av.VideoStream, picture: av.VideoFrame) -> int:
    """Return the order of fields that container, codec or picture state."""
    order = int(stream.codec_context.field_order)
    if order <= FIELD_PROGRESSIVE and picture.interlaced_frame:
        # The picture alone says so, and PyAV does not tell which field comes first: PAL's and HD's.
        return FIELD_TOP_FIRST
    return order


def is_still(container: InputContainer) -> bool:
    """Return True for an image file (PNG, JPEG, ...)."""
    return container.format.name == "image2" or container.format.name.endswith("_pipe")


def frame_rate(stream: av.VideoStream) -> Fraction:
    """Return the mean frame rate, put on a common rate where a coarse clock has blurred it.

    Programs write their clock as the rate at times, such as 30,000 frames/s in a file that counts
    milliseconds, and browsers 1000 in recordings of a camera. Such rates do not count.
    """
    rates = (stream.average_rate, stream.guessed_rate, stream.base_rate)
    clock = math.inf if stream.time_base is None else 1 / stream.time_base
    plausible = (rate for rate in rates if rate and rate <= clock and rate < CLOCK_RATE)
    fps = Fraction(next(plausible, UNKNOWN_RATE))
    if stream.time_base is not None and stream.time_base >= COARSE_CLOCK:
        nearest = min(_COMMON_RATES, key=lambda rate: abs(rate - fps))
        # A relative difference of 2e-4 is a millisecond in five seconds; 29.97 and 30 differ by
        # 1e-3.
        if abs(nearest - fps) <= nearest / 5000:
            return nearest
    return fps


def declared_duration(stream: av.VideoStream | av.AudioStream) -> Fraction | None:
    """Return the length of a stream that the file states, s; None where it states none."""
    base = Fraction(stream.time_base or 1)
    if stream.duration and stream.time_base:
        return stream.duration * base
    tag = stream.metadata.get("DURATION", "")  # Matroska: "00:00:04.000000000"
    hours, _, rest = tag.partition(":")
    minutes, _, seconds = rest.partition(":")
    try:
        stated = Fraction(int(hours) * 3600 + int(minutes) * 60) + Fraction(seconds)
    except ValueError:
        return None
    # FFmpeg writes the time at which the stream ends, mkvmerge its length.
    is_length = "_STATISTICS_TAGS" in stream.metadata
    return stated if is_length else stated - (stream.start_time or 0) * base


def _video_duration(container: InputContainer, stream: av.VideoStream, fps: Fraction) -> Fraction:
    """Return the length of the picture, s, from the best source that the file has."""
    declared = declared_duration(stream)
    if declared is not None:
        return declared
    # Without a stated length, count frames; the container's own length may include the sound.
    if stream.frames:
        return stream.frames / fps
    return Fraction(container.duration or 0, 1_000_000)


def decode_pictures(
    container: InputContainer, stream: av.VideoStream, path: Path
) -> Iterator[av.VideoFrame]:
    """Decode every picture of a stream that can be decoded.

    Broken packets are skipped. A last packet that the file cuts off is not decoded: it would give a
    picture with a gray lower half.

    Args:
        container: opened file.
        stream: its video stream.
        path: name of the file for error messages.

    Raises:
        MediaError: No picture can be decoded.
    """
    stream.thread_type = "AUTO"
    found = False
    for packet in _complete_packets(container, stream):
        try:
            pictures = stream.decode(packet)
        except av.FFmpegError:
            continue
        # One packet may give no picture yet, or several.
        for picture in pictures:
            found = True
            yield picture
    if not found:
        raise MediaError(
            f"no frame of {path} can be decoded: it is damaged or cut short; export it again"
        )


def _complete_packets(
    container: InputContainer, stream: av.VideoStream
) -> Iterator[av.Packet | None]:
    """Yield packets in file order, without a cut-off last one, and None (flush) at the end."""
    corrupt: av.Packet | None = None  # yielded only if another packet follows
    try:
        for packet in container.demux(stream):
            if corrupt is not None:
                yield corrupt
                corrupt = None
            # A corrupt packet counts as cut off if it is the last one; elsewhere it may decode.
            if packet.is_corrupt:
                corrupt = packet
            elif packet.size:
                yield packet
    except av.FFmpegError:
        pass  # the end of a truncated file
    yield None


def format_video(path: Path, seconds: float, width: int, height: int, fps: Fraction) -> str:
    """Format a video's path, length, size and frame rate as one line for readers.

    Args:
        path: the file.
        seconds: length, s.
        width: px.
        height: px.
        fps: frame rate, 1/s.

    Example:
        >>> format_video(Path("mary.mp4"), 6.1, 700, 700, Fraction(25)).partition("mary.mp4")[2]
        ' (6.1 s, 700 x 700, 25 frames/s)'
    """
    return f"{path.absolute()} ({seconds:.1f} s, {width} x {height}, {float(fps):.4g} frames/s)"
