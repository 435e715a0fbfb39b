"""Encoding of video: frames and sound into a file that appears only when it is complete."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
from av.container import OutputContainer

from dubfew.errors import MediaError
from dubfew.media.audio import AudioSource
from dubfew.media.audio_track import AudioTrack
from dubfew.media.carried import CarriedStreams
from dubfew.media.codecs import VideoEncoding, choose_encoding
from dubfew.media.frame import Frame
from dubfew.media.info import TOP_FIELD_ORDERS, VideoInfo
from dubfew.media.opening import writing_errors
from dubfew.media.pixel_aspect import MATROSKA_PLACEHOLDER, write_pixel_aspect
from dubfew.media.pixels import (
    HD_MATRICES,
    MATRIX_BT709,
    NATIVE_FORMATS,
    RANGE_FULL,
    RANGE_LIMITED,
    ColorTags,
    PixelFormat,
    convert_picture,
    limit_range,
    new_picture,
    plane_views,
)
from dubfew.media.splicing import KeptPackets, PacketSplicer, fits_encoder
from dubfew.utils.files import atomic_path

# Most ticks per second of an output's clock. Encoders and containers hold them in 32 bits; this
# leaves room for muxers that multiply them.
_MAX_TICKS_PER_SECOND = 10_000_000


class VideoWriter:
    """Writes a video with the properties of another one. A context manager.

    Every frame that goes in comes out, at its own presentation time (the first at 0), with the
    source's rate, size, pixel aspect and color tags. The suffix chooses the container: .mp4, .m4v,
    .mov, .mkv, .webm or .avi (.avi only knows the grid of the frame rate).

    Depth and chroma subsampling stay as they are where the codec has them. Gray and RGB become
    4:2:0; pictures of odd width or height become 4:4:4 in H.264 and H.265, which cannot hold such
    sizes subsampled. Sound is interleaved while the picture is written.

    The file is written beside ``path`` under a temporary name and renamed when the block ends
    without an error. After any exception nothing of it is left.
    """

    def __init__(
        self,
        path: Path | str,
        info: VideoInfo,
        *,
        audio: AudioSource | Sequence[AudioSource] | None = None,
        codec: str | None = None,
        crf: int | None = None,
        lossless: bool = False,
        preset: str | None = None,
        like_source: bool = False,
        carry: Path | None = None,
        reorder: bool = True,
        keep: KeptPackets | None = None,
        before_publish: Callable[[Path], None] | None = None,
        timecode: str = "",
    ) -> None:
        """Choose the encoding; nothing is written before the context is entered.

        Args:
            path: file to write. An existing file is replaced, even the one that is being read.
            info: properties of the source, or made by hand.
            audio: sound to put beside the picture, or None; several sources become several tracks,
                the first of which is the main one.
            codec: libx264 (default), libx265, libvpx-vp9, prores_ks or ffv1.
            crf: quality, lower is better; the codec's default is visually transparent.
            lossless: keep every sample bit for bit in the source's pixel format (libx264 at qp 0;
                FFV1 where H.264 lacks the format, only in .mkv and .avi). nv12 comes back as
                yuv420p, RGB as rgb24, with the same samples.
            preset: trade of speed for size in libx264 and libx265.
            like_source: take codec, profile and bit rate of the source, see `choose_encoding`.
            carry: file whose subtitles, chapters, cover, attachments, timecode and tags go into the
                output, as far as its container holds them; None for none.
            reorder: let the encoder store frames in another order than they are shown in, which
                saves bits. MP4 keeps the duration of the last frame only if it is stored last.
            keep: packets of an earlier video that take the place of frames, so that those are not
                encoded; left out where they do not fit the encoding (see `kept_frames`).
            before_publish: called with the finished file before it is renamed; if it raises,
                nothing is left.
            timecode: timecode of the first frame, such as "01:00:00:00", where the container has
                one; "" for none.

        Raises:
            MediaError: The path is a folder, or suffix, codec, quality and preset do not fit
                together.
        """
        self.path = Path(path)
        self.info = info
        if self.path.is_dir():
            raise MediaError(f"{path} is a folder: name the file to write")
        self.encoding: VideoEncoding = choose_encoding(
            self.path, info, codec, crf, lossless, preset, like_source
        )
        sources = [audio] if isinstance(audio, AudioSource) else audio or ()
        self._audio_tracks = [AudioTrack(each, self.encoding.container) for each in sources]
        self._carried = None if carry is None else CarriedStreams(carry, self.encoding.container)
        self._field_setter = _FieldSetter(info) if self._keeps_fields() else None
        self._reorder = reorder and self.encoding.container.allows_any_times
        self._time_base = _choose_time_base(info, self.encoding)
        self._color = _output_color(info, self.encoding)
        self._before_publish = before_publish
        self._keep = keep
        self._splicer: PacketSplicer | None = None
        self._timecode = timecode
        self._temporary = self.path
        self._stack = ExitStack()
        self._container: OutputContainer | None = None
        self._stream: av.VideoStream
        self._first_stamp = Fraction(0)
        self._earliest = Fraction(0)  # time of the first packet of sound, at most 0
        self._last_stamp_and_pts: tuple[Fraction, int] | None = None
        self._durations: dict[int, int] = {}  # of frames in the encoder, by their times, ticks
        self._is_encoding = False  # whether the encoder was given frames and not yet ended
        self.frames = 0  # number of frames written

    def __enter__(self) -> VideoWriter:
        """Open the temporary file."""
        with writing_errors(self.path), ExitStack() as stack:
            temporary = stack.enter_context(atomic_path(self.path))
            self._temporary = temporary
            self._container = av.open(
                str(temporary.absolute()), "w", format=self.encoding.container.muxer
            )
            stack.callback(self._close_quietly)
            self._stream = self._add_video_stream(self._container)
            for number, track in enumerate(self._audio_tracks):
                track.open(self._container, stack, is_main=number == 0)
            if self._carried is not None:
                self._carried.open(self._container, self._stream, stack)
            if self._timecode and self.encoding.container.timecode_place == "stream":
                self._stream.metadata["timecode"] = self._timecode
            elif self._timecode and self.encoding.container.timecode_place == "container":
                self._container.metadata["timecode"] = self._timecode
            # AVI has padding where its header can go; Matroska needs room that is made now.
            if self._patches_aspect() and self.path.suffix.lower() != ".avi":
                title = self._stream.metadata.get("title", "")
                self._stream.metadata["title"] = MATROSKA_PLACEHOLDER + title
            if self._keep is not None:
                self._container.start_encoding()  # opens the encoder
                if fits_encoder(self._keep, self.encoding, self._stream):
                    self._splicer = PacketSplicer(self._keep, self._stream)
                    stack.callback(self._splicer.close)
            # Only now may closing wait for the end: before, an error has to close and delete
            # everything.
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Finish and rename the file, or remove it after an error."""
        if error is not None:
            self._stack.__exit__(kind, error, traceback)
            return
        with writing_errors(self.path), self._stack:
            self._finish()

    @property
    def notes(self) -> list[str]:
        """Return lines about the encoder and the sound; complete once the writer is open."""
        return [
            note
            for note in (self.encoding.note, *(track.note for track in self._audio_tracks))
            if note
        ]

    @property
    def kept_frames(self) -> int:
        """Return the number of frames whose packets are those of an earlier video."""
        return 0 if self._splicer is None or self._keep is None else self._keep.count

    def write(self, frame: Frame) -> None:
        """Append a frame; its picture is not kept. One that has a packet already is not encoded.

        Raises:
            MediaError: The writer is not open, the frame has another size, its time does not come
                after the one before, or the disk is full.
        """
        if self._container is None:
            raise MediaError(f"{self.path} is not open: write inside the with block")
        frame = frame.as_stored()
        if (frame.width, frame.height) != (self.info.width, self.info.height):
            raise MediaError(
                f"frame {frame.index} is {frame.width} x {frame.height}, the video "
                f"{self.info.width} x {self.info.height}: give frames of one size"
            )
        pts = self._next_pts(frame)
        with writing_errors(self.path):
            if self._splicer is not None and self._splicer.is_kept(self.frames):
                self._finish_encoder()  # old packets follow new ones
                self._container.mux(self._splicer.next_kept())
            else:
                self._encode(frame, pts)
            self.frames += 1
            # Interleave: sound up to this frame's time goes in now.
            self._mux_companions(float(pts * self._time_base))

    def _encode(self, frame: Frame, pts: int) -> None:
        """Give a frame to the encoder, and write the packets that it has ready."""
        picture = self._to_encoder_format(frame)
        self._tag(picture)
        if self._field_setter is not None:
            picture = self._field_setter.mark(picture)
        picture.pts = pts
        picture.time_base = self._time_base
        picture.duration = max(1, round(frame.duration / self._time_base))
        self._durations[pts] = picture.duration
        picture.pict_type = 0  # let the encoder choose I, P or B, not repeat the source's choice
        if self._splicer is not None:
            self._splicer.expect(pts, self.frames)
        self._is_encoding = True
        self._mux(self._stream.encode(picture))

    def _finish_encoder(self) -> None:
        """Write the packets that the encoder still holds, if it was given frames."""
        if not self._is_encoding:
            return
        self._is_encoding = False
        packets = self._stream.encode(None)
        if self.frames <= 2:
            # x265 leaves the decoding times of one or two frames unset: whatever stood in memory.
            # So few frames are never reordered, so each is decoded when it is shown.
            for packet in packets:
                packet.dts = packet.pts
        self._mux(packets)

    def _mux_companions(self, time: float) -> None:
        """Write sound and carried streams that are due before a time, s."""
        assert self._container is not None
        for track in self._audio_tracks:
            for packet in track.packets_until(time):
                is_opus = packet.stream.codec_context.codec.canonical_name == "opus"
                if packet.pts is not None and packet.time_base is not None and not is_opus:
                    # Encoders of sound need samples before the first. Opus states how many instead.
                    self._earliest = min(self._earliest, packet.pts * packet.time_base)
                self._container.mux(packet)
        if self._carried is not None:
            for packet in self._carried.packets_until(time):
                self._container.mux(packet)

    def _patches_aspect(self) -> bool:
        """Return True if the shape of pixels is written into the finished file."""
        return self.encoding.container.aspect_is_patched and self.info.sample_aspect != 1

    def _keeps_fields(self) -> bool:
        """Return True if frames of two fields are encoded as such."""
        return self.info.is_interlaced and self.encoding.codec.interlaced_options is not None

    def _tag(self, picture: av.VideoFrame) -> None:
        """Tag a picture with the output's color: some encoders believe the picture alone."""
        color = self._color
        picture.color_range = color.range
        picture.colorspace = color.matrix
        picture.color_primaries = color.primaries
        picture.color_trc = color.transfer

    def _next_pts(self, frame: Frame) -> int:
        """Compute the time of a frame in ticks; times must rise."""
        # Times of the output count from its first frame.
        if self._last_stamp_and_pts is None:
            self._first_stamp = frame.stamp
        stamp = frame.stamp - self._first_stamp
        pts = round(stamp / self._time_base)
        if self._last_stamp_and_pts is not None:
            if stamp <= self._last_stamp_and_pts[0]:
                raise MediaError(
                    f"frame {frame.index} at {float(stamp):.6f} s does not come after the one "
                    f"before it ({float(self._last_stamp_and_pts[0]):.6f} s): write frames in order"
                )
            # Two stamps may fall on one tick; the later one moves to the next.
            pts = max(pts, self._last_stamp_and_pts[1] + 1)
        self._last_stamp_and_pts = (stamp, pts)
        return pts

    def _to_encoder_format(self, frame: Frame) -> av.VideoFrame:
        """Convert a frame's picture to the encoder's pixel format."""
        source, target = frame.pix_fmt, self.encoding.pix_fmt
        form = NATIVE_FORMATS[source]
        if self._color.matrix != frame.color.matrix and _has_sd_matrix(self.info, self.encoding):
            return Frame.from_rgb(frame.to_rgb(), pix_fmt=target, color=self._color).picture
        if self._limits_range(form, frame.color):
            bits = max(form.bits, NATIVE_FORMATS[target].bits)
            name, planes = limit_range(frame.planes(), form, bits)
            limited = new_picture(name, frame.width, frame.height, planes)
            color = replace(frame.color, range=RANGE_LIMITED)
            same = name == target
            return limited if same else convert_picture(limited, target, color, frame.height)
        if source == target:
            return frame.picture
        # Same samples, full range is a tag in the output.
        if source.replace("yuvj", "yuv") == target:
            return new_picture(target, frame.width, frame.height, frame.planes())
        if form.is_yuv or target == "bgr0":
            return convert_picture(frame.picture, target, frame.color, frame.height)
        if form.kind == "gray":
            return _gray_to_yuv(frame, target)
        return Frame.from_rgb(frame.to_rgb(), pix_fmt=target, color=self._color).picture

    def _limits_range(self, form: PixelFormat, color: ColorTags) -> bool:
        """Return True if samples of full range are brought to limited range."""
        is_full = form.is_yuv and color.range_for(form) == RANGE_FULL
        return is_full and self.encoding.limits_range

    def _add_video_stream(self, container: OutputContainer) -> av.VideoStream:
        """Add the picture's stream with the source's properties."""
        info, encoding = self.info, self.encoding
        options = encoding.options
        stream = container.add_stream(encoding.codec.encoder, rate=info.fps, options=options)
        assert isinstance(stream, av.VideoStream)
        context = stream.codec_context
        context.width, context.height = info.width, info.height
        context.pix_fmt = encoding.pix_fmt
        context.time_base = self._time_base
        context.sample_aspect_ratio = info.sample_aspect
        context.color_range = self._color.range
        context.colorspace = self._color.matrix
        context.color_primaries = self._color.primaries
        context.color_trc = self._color.transfer
        if self.encoding.tag:
            context.codec_tag = self.encoding.tag
        if info.is_interlaced:
            context.field_order = info.field_order
        # PyAV asks for slice threads; with frame threads libx264 is a tenth faster.
        context.thread_type = "AUTO"
        if encoding.threads:
            context.thread_count = encoding.threads
        b_frames = encoding.b_frames if self._reorder else 0  # reordering needs time stamps
        if b_frames is not None:
            context.max_b_frames = b_frames
        return stream

    def _mux(self, packets: list[av.Packet]) -> None:
        """Write packets of the encoder."""
        assert self._container is not None
        for packet in packets:
            # Encoders that reorder frames forget or mix up for how long each is shown.
            if packet.pts is not None:
                packet.duration = self._durations.pop(packet.pts, packet.duration)
            if self._splicer is not None:
                packet = self._splicer.time_encoded(packet)
            self._container.mux(packet)

    def _finish(self) -> None:
        """Flush the encoders and close the file."""
        container = self._container
        if not self.frames or container is None:
            raise MediaError(f"no frame was written to {self.path}: nothing was saved")
        self._finish_encoder()
        self._mux_companions(math.inf)
        if self._carried is not None:
            self._carried.finish(container, -self._earliest)
        self._container = None
        container.close()
        if self._patches_aspect():
            info = self.info
            write_pixel_aspect(self._temporary, info.width, info.height, info.sample_aspect)
        if self._before_publish is not None:
            self._before_publish(self._temporary)

    def _close_quietly(self) -> None:
        """Close the file on the way out of another error, which is the one to report."""
        container, self._container = self._container, None
        if container is not None:
            with suppress(av.FFmpegError, OSError):
                container.close()


class _FieldSetter:
    """Marks pictures as made of two fields, which PyAV's own frames cannot be."""

    def __init__(self, info: VideoInfo) -> None:
        self._mode = "tff" if info.field_order in TOP_FIELD_ORDERS else "bff"
        self._graph: av.filter.Graph | None = None

    def mark(self, picture: av.VideoFrame) -> av.VideoFrame:
        """Return the picture with its fields marked."""
        if self._graph is None:
            graph = av.filter.Graph()
            source = graph.add_buffer(
                width=picture.width,
                height=picture.height,
                format=picture.format,
                time_base=Fraction(1, 25),
            )
            graph.link_nodes(source, graph.add("setfield", self._mode), graph.add("buffersink"))
            graph.configure()
            self._graph = graph
        self._graph.push(picture)
        marked = self._graph.pull()
        assert isinstance(marked, av.VideoFrame)
        return marked


def _choose_time_base(info: VideoInfo, encoding: VideoEncoding) -> Fraction:
    """Choose a clock that has both the source's ticks and the grid of its frame rate."""
    if not encoding.container.allows_any_times:
        return 1 / info.fps
    ticks = math.lcm(info.time_base.denominator, info.fps.numerator)
    # A clock with too many ticks: keep the frame grid and round the source's ticks.
    if ticks > _MAX_TICKS_PER_SECOND:
        ticks = max(1, _MAX_TICKS_PER_SECOND // info.fps.numerator) * info.fps.numerator
    return Fraction(1, ticks)


def _output_color(info: VideoInfo, encoding: VideoEncoding) -> ColorTags:
    """Complete the source's color tags where encoding to YUV needs a decision."""
    form, color = NATIVE_FORMATS[info.pix_fmt], info.color
    if encoding.pix_fmt == "bgr0":
        return color
    if _has_sd_matrix(info, encoding):
        return replace(color, range=RANGE_LIMITED, matrix=MATRIX_BT709)
    if form.kind in ("rgb", "gbrp"):
        return replace(color, range=RANGE_LIMITED, matrix=color.matrix_for(info.height))
    if encoding.limits_range and form.is_yuv and color.range_for(form) == RANGE_FULL:
        return replace(color, range=RANGE_LIMITED)
    if form.full_range or form.kind == "gray":
        return replace(color, range=color.range_for(form))
    return color


def _has_sd_matrix(info: VideoInfo, encoding: VideoEncoding) -> bool:
    """Return True if pictures with the matrix of SD go into a codec that names that of HD."""
    return encoding.codec.always_bt709 and info.color.matrix_for(info.height) not in HD_MATRICES


def _gray_to_yuv(frame: Frame, target: str) -> av.VideoFrame:
    """Convert gray to YUV: luma as it is, neutral chroma, the same range."""
    width, height = frame.width, frame.height
    picture = av.VideoFrame(width, height, "yuv444p")
    luma, *chroma = plane_views(picture)
    luma[...] = frame.planes()[0]
    for plane in chroma:
        plane[...] = 128  # neutral
    color = replace(frame.color, range=frame.color.range_for(NATIVE_FORMATS["gray"]))
    return convert_picture(picture, target, color, height)
