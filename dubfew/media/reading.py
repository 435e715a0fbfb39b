"""Decoding of video: upright frames in presentation order, one at a time."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer

from dubfew.errors import MediaError
from dubfew.media.field_splitting import split_fields
from dubfew.media.fields import find_stated_order
from dubfew.media.frame import Frame
from dubfew.media.info import (
    COARSE_CLOCK,
    declared_duration,
    decode_pictures,
    frame_rate,
    is_still,
    pixel_aspect,
    probe,
)
from dubfew.media.joins import LEAP_SECONDS, RESTART_SECONDS, allows_clock_leaps
from dubfew.media.log_curves import find_stated_curve
from dubfew.media.opening import open_media, video_stream
from dubfew.media.orientation import Orientation
from dubfew.media.pixels import ColorTags, convert_picture, native_format_name
from dubfew.media.stated_aspect import find_stated_aspect
from dubfew.utils.counts import count_things

# Frames by which a stamp may step back without the clock having been started anew: as many as
# encoders reorder between two that are shown.
_REORDERED_FRAMES = 4


class DamagedMediaWarning(UserWarning):
    """A file ends early or has holes; everything that can be decoded was delivered."""


def read_frames(
    path: Path | str, *, start: int = 0, stop: int | None = None, whole: bool = False
) -> Iterator[Frame]:
    """Decode frames of a video, upright and in order.

    Frames count in square pixels, see `Frame`: anamorphic pictures have the width or the height
    that is shown. Formats outside of `NATIVE_FORMATS` are converted to the nearest one in it (alpha
    is dropped, depths above 10 bits become 10 but for those of sequences). Times begin at 0 with
    the file's first frame and always rise; missing ones follow the frame rate. Memory does not grow
    with length.

    Of a file whose fields are read (`stated_fields`), every field counts as a frame.

    Args:
        path: a video or image file.
        start: first frame to yield, from 0.
        stop: frame after the last one to yield; None goes to the end.
        whole: yield whole frames of a file whose fields are read elsewhere.

    Raises:
        MediaError: The file cannot be read as video (see `probe`), the range is negative, or the
            picture changes its size. A file that is damaged further on gives its whole frames and a
            `DamagedMediaWarning`.
    """
    path = Path(path)
    if start < 0 or (stop is not None and stop < start):
        raise MediaError(f"frames {start} to {stop} of {path}: give 0 <= start <= stop")
    order = 0 if whole else find_stated_order(path)
    if order:
        fields = split_fields(_read_whole_frames(path, 0, None), order)
        for field in fields:
            if stop is not None and field.index >= stop:
                return
            if field.index >= start:
                yield field
        return
    yield from _read_whole_frames(path, start, stop)


def _read_whole_frames(path: Path, start: int, stop: int | None) -> Iterator[Frame]:
    """Decode frames ``start`` to ``stop`` of a video, see `read_frames`."""
    with open_media(path) as container:
        stream = video_stream(container, path)
        clock = _FrameClock(
            frame_rate(stream),
            Fraction(stream.time_base or Fraction(1, 90000)),
            leaps=allows_clock_leaps(container),
        )
        upright: _UprightConverter | None = None
        index = -1
        end = Fraction(0)
        for index, picture in enumerate(decode_pictures(container, stream, path)):
            # Frames before ``start`` are decoded, too: later ones depend on them.
            if stop is not None and index >= stop:
                return
            stamp = clock.next_stamp(picture.pts)
            end = stamp + clock.duration(picture.duration)
            upright = upright or _make_converter(picture, stream, path)
            if index >= start:
                yield upright.make_frame(picture, index, stamp, end - stamp)
        _warn_if_short(path, container, stream, index + 1, end)


def read_sample_frames(path: Path | str, count: int) -> Iterator[Frame]:
    """Decode a few frames from all over a video, without decoding what lies between.

    Frames are the first one and those that can be decoded by themselves (key frames). A video with
    fewer of them than ``count`` gives frames of its beginning, a second apart, instead. Numbers and
    times of the frames are those of the sample, not of the video.

    Args:
        path: a video file.
        count: largest number of frames.

    Raises:
        MediaError: The file cannot be read as video.
    """
    path = Path(path)
    if count < 1:
        return
    # The others are looked for only if somebody asks for them: each key frame opens the file anew.
    yield from read_frames(path, stop=1)
    key_frames = _read_key_frames(path, count)
    if len(key_frames) == count:
        yield from key_frames[1:]
        return
    step = max(1, round(probe(path).fps))
    for frame in read_frames(path, start=1, stop=1 + (count - 1) * step):
        if frame.index % step == 0:
            yield frame


def read_last_duration(path: Path | str) -> Fraction:
    """Read for how long the last picture (or field) of a video is shown, s, from its packets.

    Screen recordings hold their last picture for as long as nothing moves.

    Args:
        path: a video or image file.

    Returns:
        The duration that the file states for that picture; that of a frame at the mean frame rate
        where it states none.

    Raises:
        MediaError: The file cannot be read as video.
    """
    path = Path(path)
    with open_media(path) as container:
        stream = video_stream(container, path)
        clock = _FrameClock(frame_rate(stream), Fraction(stream.time_base or Fraction(1, 90000)))
        if is_still(container):
            return 1 / clock.fps
        # Only packets from the last key frame on are read, where the container can seek.
        with suppress(av.FFmpegError):
            container.seek((stream.start_time or 0) + (stream.duration or 0), stream=stream)
        last = _read_last_packet(container, stream)
        duration = clock.duration(None if last is None else last.duration)
        return duration / 2 if find_stated_order(path) else duration


def read_seconds(path: Path | str) -> float:
    """Read the length of a video's picture, s: as the file states it, or else from its packets.

    Recordings of browsers and streams to pipes state no length. All of their packets are read then.

    Args:
        path: a video or image file.

    Returns:
        The length; 0 where no packet has a time.

    Raises:
        MediaError: The file cannot be read as video.
    """
    path = Path(path)
    stated = probe(path, whole=True).duration
    if stated:
        return stated
    with open_media(path) as container:
        stream = video_stream(container, path)
        base = Fraction(stream.time_base or Fraction(1, 90000))
        clock = _FrameClock(frame_rate(stream), base)
        last = _read_last_packet(container, stream)
        if last is None or last.pts is None:
            return 0.0
        return float((last.pts - (stream.start_time or 0)) * base + clock.duration(last.duration))


def _read_last_packet(container: InputContainer, stream: av.VideoStream) -> av.Packet | None:
    """Read the rest of a stream for the packet that is shown last; None if none has a time."""
    last: av.Packet | None = None
    with suppress(av.FFmpegError):
        for packet in container.demux(stream):
            if packet.pts is not None and (last is None or packet.pts >= (last.pts or 0)):
                last = packet
    return last


def _read_key_frames(path: Path, count: int) -> list[Frame]:
    """Decode the key frames before evenly spaced times, each once."""
    duration = probe(path).duration
    frames: list[Frame] = []
    last_stamp = None
    for index in range(count):
        # A decoder cannot be used again after a seek with threads, so each frame opens the file.
        with open_media(path) as container:
            stream = video_stream(container, path)
            tick = Fraction(stream.time_base or Fraction(1, 90000))
            place = (stream.start_time or 0) + int(duration * index / count / tick)
            try:
                container.seek(place, stream=stream)
                picture = next(decode_pictures(container, stream, path))
            except (av.FFmpegError, MediaError):  # some containers cannot seek
                return []
            if picture.pts != last_stamp:
                frame = _make_converter(picture, stream, path).make_frame(
                    picture, index, Fraction(index), Fraction(1)
                )
                frames.append(frame)
            last_stamp = picture.pts
    return frames


class _FrameClock:
    """Makes a file's time stamps start at 0, rise, and stand on the frame grid if they mean to.

    A stamp that equals the one before it, or steps back by a few frames, moves no frame but its
    own. A clock that starts anew goes on from where it was.
    """

    def __init__(self, fps: Fraction, time_base: Fraction, *, leaps: bool = False) -> None:
        self.fps = fps
        self.time_base = time_base
        self._leaps = leaps
        # The clock of a clip of a few frames starts anew by a smaller step back, too.
        self._restart = min(RESTART_SECONDS, _REORDERED_FRAMES / fps)
        self._shift: Fraction | None = None
        self._last: Fraction | None = None
        self._part_start = Fraction(0)  # time of the first frame since the clock started anew

    def next_stamp(self, pts: int | None) -> Fraction:
        """Compute the time after the first frame, s."""
        # The first frame is at 0, whatever its stamp.
        if self._last is None:
            self._last = Fraction(0)
            self._shift = None if pts is None else -pts * self.time_base
            return self._last
        expected = self._last + 1 / self.fps
        if pts is None:
            stamp = expected
        else:
            # The first stamp may come late, after frames without one.
            if self._shift is None:
                self._shift = expected - pts * self.time_base
            stamp = pts * self.time_base + self._shift
            went_back = stamp - self._last < -self._restart or stamp < self._part_start
            if went_back or (self._leaps and stamp - expected > LEAP_SECONDS):
                # Joined recordings start counting again in the middle: continue from here.
                self._shift += expected - stamp
                self._part_start = expected
                stamp = expected
            stamp = self._on_grid(stamp)
        self._last = max(stamp, self._last + min(self.time_base, 1 / self.fps))
        return self._last

    def duration(self, ticks: int | None) -> Fraction:
        """Compute the time for which a frame is shown, s."""
        duration, usual = (ticks or 0) * self.time_base, 1 / self.fps
        blurred = self.time_base >= COARSE_CLOCK and abs(duration - usual) < self.time_base
        return usual if duration <= 0 or blurred else duration

    def _on_grid(self, stamp: Fraction) -> Fraction:
        """Move a stamp from a coarse clock to the frame grid if it is within a tick of it."""
        if self.time_base < COARSE_CLOCK:
            return stamp
        nearest = round(stamp * self.fps) / self.fps
        return nearest if abs(stamp - nearest) < self.time_base else stamp


class _UprightConverter:
    """Converts decoded pictures to a native format and upright, all in the same way."""

    def __init__(self, first: av.VideoFrame, log_curve: str, aspect: Fraction) -> None:
        self._log_curve = log_curve
        self._turn = Orientation.from_picture(first)
        self._aspect = aspect
        width, height = first.width, first.height
        if self._turn.swaps_axes:
            width, height, self._aspect = height, width, 1 / aspect
        self._size = (width, height)
        native = native_format_name(first.format.name)
        self._format = self._turn.pixel_format(native, width, height)

    def make_frame(
        self, picture: av.VideoFrame, index: int, stamp: Fraction, duration: Fraction
    ) -> Frame:
        """Convert one picture."""
        color = ColorTags(
            int(picture.color_range),
            int(picture.colorspace),
            int(picture.color_primaries),
            int(picture.color_trc),
            self._log_curve,
        )
        if picture.format.name != self._format:
            picture = convert_picture(picture, self._format, color, self._size[1])
        if self._turn != Orientation():
            picture = self._turn.apply(picture)
        # Tracks and masks have one size; scaling the picture would change every pixel.
        if (picture.width, picture.height) != self._size:
            raise MediaError(
                f"the picture changes its size at frame {index}, from {self._size[0]} x "
                f"{self._size[1]} to {picture.width} x {picture.height}: cut the video there"
            )
        return Frame(picture, index, stamp, duration, color, self._aspect)


def _make_converter(
    picture: av.VideoFrame, stream: av.VideoStream, path: Path
) -> _UprightConverter:
    """Make the converter of a file's pictures from the first one that is decoded."""
    aspect, stated = pixel_aspect(stream), find_stated_aspect(path)
    if stated is not None:
        # The statement is about the upright picture.
        aspect = 1 / stated if Orientation.from_picture(picture).swaps_axes else stated
    return _UprightConverter(picture, find_stated_curve(path), aspect)


def _warn_if_short(
    path: Path, container: InputContainer, stream: av.VideoStream, frames: int, end: Fraction
) -> None:
    """Warn if a file ends before the length that it states."""
    declared = declared_duration(stream)
    # Half a second of slack: containers round, and edit lists hide a few frames.
    if not is_still(container) and declared is not None and end + Fraction(1, 2) < declared:
        warnings.warn(
            f"{path} promises {float(declared):.2f} s of picture, but only "
            f"{count_things(frames, 'frame')} ({float(end):.2f} s) could be decoded: "
            "it is cut short or damaged",
            DamagedMediaWarning,
            stacklevel=4,
        )
