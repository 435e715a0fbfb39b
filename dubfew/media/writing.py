"""Encoding: frames and sound into a file that appears only when it is whole."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
from av.container import OutputContainer

from dubfew.errors import MediaError
from dubfew.media.audio import AudioSource
from dubfew.media.codecs import Encoding, choose_encoding
from dubfew.media.frame import Frame
from dubfew.media.info import VideoInfo
from dubfew.media.opening import writing_errors
from dubfew.media.pixels import (
    NATIVE,
    RANGE_LIMITED,
    Colour,
    convert,
    new_picture,
    plane_views,
)
from dubfew.media.sound import SoundTrack
from dubfew.utils.files import atomic_path

# Encoders and containers hold ticks per second in 32 bits; this leaves room for muxers
# that multiply them.
_FINEST_CLOCK = 10_000_000


class VideoWriter:
    """Writes a video with the properties of another. A context manager.

    Every frame that goes in comes out, at its own presentation time (the first at 0), with
    the source's rate, size, pixel aspect and colour tags. The suffix chooses the container:
    .mp4, .m4v, .mov, .mkv, .webm or .avi (.avi only knows the grid of the frame rate).

    Depth and chroma subsampling stay as they are where the codec has them. Grey and RGB
    become 4:2:0; pictures of odd width or height become 4:4:4 in H.264 and H.265, which
    cannot hold such sizes subsampled. Sound is interleaved while the picture is written.

    The file is written beside ``path`` under a temporary name and takes its place when
    the block ends well. After any exception nothing of it is left.

    Args:
        path: where to. An existing file is replaced, also the one that is being read.
        info: of the source, or made by hand.
        audio: sound to put beside the picture, or None.
        codec: libx264 (default), libx265, libvpx-vp9, prores_ks or ffv1.
        crf: quality, lower is better; the codec's default is visually transparent.
        lossless: every sample comes back bit for bit in the source's pixel format
            (libx264 at qp 0; FFV1 where H.264 has not the format, only in .mkv and .avi).
            nv12 comes back as yuv420p, RGB as rgb24, with the same samples.
        preset: libx264's and libx265's trade of speed for size.
        seal: given the finished file before it takes its place; what it raises leaves nothing.

    Raises:
        MediaError: at once for an unknown suffix or codec; on writing when the disk is
            full, a frame has another size, or times do not rise; at the end when no frame
            was written.
    """

    def __init__(
        self,
        path: Path | str,
        info: VideoInfo,
        *,
        audio: AudioSource | None = None,
        codec: str | None = None,
        crf: int | None = None,
        lossless: bool = False,
        preset: str | None = None,
        seal: Callable[[Path], None] | None = None,
    ) -> None:
        self.path = Path(path)
        self.info = info
        if self.path.is_dir():
            raise MediaError(f"{path} is a folder: name the file to write")
        self.encoding: Encoding = choose_encoding(self.path, info, codec, crf, lossless, preset)
        self._sound = None if audio is None else SoundTrack(audio, self.encoding.container)
        self._time_base = _time_base(info, self.encoding)
        self._colour = _output_colour(info, self.encoding)
        self._seal = seal
        self._temporary = self.path
        self._stack = ExitStack()
        self._container: OutputContainer | None = None
        self._stream: av.VideoStream
        self._first = Fraction(0)
        self._last: tuple[Fraction, int] | None = None
        self._shown = 1  # ticks for which the last frame stays
        self.frames = 0  # written so far

    def __enter__(self) -> VideoWriter:
        with writing_errors(self.path), ExitStack() as stack:
            temporary = stack.enter_context(atomic_path(self.path))
            self._temporary = temporary
            self._container = av.open(str(temporary.absolute()), "w")
            stack.callback(self._close_quietly)
            self._stream = self._add_picture(self._container)
            if self._sound is not None:
                self._sound.open(self._container, stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            self._stack.__exit__(kind, error, traceback)
            return
        with writing_errors(self.path), self._stack:
            self._finish()

    def write(self, frame: Frame) -> None:
        """Append a frame. Its picture is not kept. Raises MediaError."""
        if self._container is None:
            raise MediaError(f"{self.path} is not open: write inside the with block")
        if (frame.width, frame.height) != (self.info.width, self.info.height):
            raise MediaError(
                f"frame {frame.index} is {frame.width} x {frame.height}, the video "
                f"{self.info.width} x {self.info.height}: give frames of one size"
            )
        pts = self._pts(frame)
        picture = self._encodable(frame)
        picture.pts = pts
        picture.time_base = self._time_base
        picture.duration = self._shown = max(1, round(frame.duration / self._time_base))
        picture.pict_type = 0  # the decoder's choice of I, P, B is none of the encoder's
        with writing_errors(self.path):
            self._mux(self._container, self._stream.encode(picture))
            self.frames += 1
            if self._sound is not None:
                for packet in self._sound.packets_until(float(pts * self._time_base)):
                    self._container.mux(packet)

    def _pts(self, frame: Frame) -> int:
        if self._last is None:
            self._first = frame.stamp
        stamp = frame.stamp - self._first
        pts = round(stamp / self._time_base)
        if self._last is not None:
            if stamp <= self._last[0]:
                raise MediaError(
                    f"frame {frame.index} at {float(stamp):.6f} s does not come after the one "
                    f"before it ({float(self._last[0]):.6f} s): write frames in order"
                )
            pts = max(pts, self._last[1] + 1)
        self._last = (stamp, pts)
        return pts

    def _encodable(self, frame: Frame) -> av.VideoFrame:
        """The frame's picture in the encoder's format."""
        source, target = frame.pix_fmt, self.encoding.pix_fmt
        if source == target:
            return frame.picture
        form = NATIVE[source]
        if source.replace("yuvj", "yuv") == target:
            return new_picture(target, frame.width, frame.height, frame.planes())
        if form.is_yuv or target == "bgr0":
            return convert(frame.picture, target, frame.colour, frame.height)
        if form.kind == "gray":
            return _grey_to_yuv(frame, target)
        return Frame.from_rgb(frame.to_rgb(), pix_fmt=target, colour=self._colour).picture

    def _add_picture(self, container: OutputContainer) -> av.VideoStream:
        info, encoding = self.info, self.encoding
        options = encoding.options
        stream = container.add_stream(encoding.codec.encoder, rate=info.fps, options=options)
        assert isinstance(stream, av.VideoStream)
        context = stream.codec_context
        context.width, context.height = info.width, info.height
        context.pix_fmt = encoding.pix_fmt
        context.time_base = self._time_base
        context.sample_aspect_ratio = info.sample_aspect
        context.color_range = self._colour.range
        context.colorspace = self._colour.matrix
        context.color_primaries = self._colour.primaries
        context.color_trc = self._colour.transfer
        # PyAV asks for slice threads; with frame threads libx264 is a tenth faster.
        context.thread_type = "AUTO"
        if not encoding.container.any_times:
            context.max_b_frames = 0  # reordering needs time stamps
        return stream

    def _mux(self, container: OutputContainer, packets: list[av.Packet]) -> None:
        for packet in packets:
            if not packet.duration:  # or the last frame has none and the mean rate comes out high
                packet.duration = self._shown
            container.mux(packet)

    def _finish(self) -> None:
        container = self._container
        if not self.frames or container is None:
            raise MediaError(f"no frame was written to {self.path}: nothing was saved")
        self._mux(container, self._stream.encode(None))
        if self._sound is not None:
            for packet in self._sound.packets_until(math.inf):
                container.mux(packet)
        self._container = None
        container.close()
        if self._seal is not None:
            self._seal(self._temporary)

    def _close_quietly(self) -> None:
        container, self._container = self._container, None
        if container is not None:
            # Only reached on the way out of another error, which is the one to report.
            with suppress(av.FFmpegError, OSError):
                container.close()


def _time_base(info: VideoInfo, encoding: Encoding) -> Fraction:
    """A clock that has both the source's ticks and the grid of its frame rate."""
    if not encoding.container.any_times:
        return 1 / info.fps
    ticks = math.lcm(info.time_base.denominator, info.fps.numerator)
    if ticks > _FINEST_CLOCK:
        ticks = max(1, _FINEST_CLOCK // info.fps.numerator) * info.fps.numerator
    return Fraction(1, ticks)


def _output_colour(info: VideoInfo, encoding: Encoding) -> Colour:
    """The source's tags, completed where encoding to YUV needs a choice to be said."""
    form, colour = NATIVE[info.pix_fmt], info.colour
    if encoding.pix_fmt == "bgr0":
        return colour
    if form.kind in ("rgb", "gbrp"):
        return replace(colour, range=RANGE_LIMITED, matrix=colour.matrix_for(info.height))
    if form.full or form.kind == "gray":
        return replace(colour, range=colour.range_for(form))
    return colour


def _grey_to_yuv(frame: Frame, target: str) -> av.VideoFrame:
    """Luma as it is, chroma neutral; the range stays that of the grey."""
    width, height = frame.width, frame.height
    picture = av.VideoFrame(width, height, "yuv444p")
    luma, *chroma = plane_views(picture)
    luma[...] = frame.planes()[0]
    for plane in chroma:
        plane[...] = 128
    colour = replace(frame.colour, range=frame.colour.range_for(NATIVE["gray"]))
    return convert(picture, target, colour, height)
