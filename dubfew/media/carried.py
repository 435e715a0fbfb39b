"""Streams and tags of a source that go into an output as they are: subtitles, chapters, covers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer, OutputContainer
from av.stream import Disposition

from dubfew.errors import MediaError
from dubfew.media.codecs import ContainerFormat
from dubfew.media.facts import content_tags, find_timecode
from dubfew.media.opening import open_media, video_stream

# Subtitles of text, which can be converted to one another; pictures of text cannot.
TEXT_SUBTITLES = frozenset({"mov_text", "subrip", "ass", "ssa", "webvtt", "text"})
# Endings and media types of cover pictures by their codecs.
COVER_CODECS = {"mjpeg": ("cover.jpg", "image/jpeg"), "png": ("cover.png", "image/png")}


class CarriedStreams:
    """Feeds what surrounds a source's picture and sound into a container that is being written.

    Subtitles are copied, or converted where both formats are text. Chapters, cover, attachments,
    tags and timecode are copied where the container holds them. What it does not hold is left out;
    `dubfew.media.facts.compare_facts` names it from the finished file.

    Args:
        source: file to carry over from.
        container: format that is written.
    """

    def __init__(self, source: Path, container: ContainerFormat) -> None:
        self._source = source
        self._container = container
        self._packets: Iterator[tuple[float, av.Packet]] = iter(())
        self._time = 0.0
        self._chapters: list[Any] = []

    def open(self, output: OutputContainer, video: av.VideoStream, stack: ExitStack) -> None:
        """Add streams and tags to a container whose picture and sound were added before.

        Args:
            output: container that is being written.
            video: stream of its picture.
            stack: closes the source later.

        Raises:
            MediaError: The source cannot be read.
        """
        source = stack.enter_context(open_media(self._source))
        picture = video_stream(source, self._source)
        origin = (picture.start_time or 0) * Fraction(picture.time_base or 1)
        copy_stream_tags(picture, video, self._container)
        self._write_tags(source, output, video, origin)
        writers: dict[int, _PacketWriter] = {}
        stream: Any
        for stream in source.streams:
            # What a container or this build refuses is left out, and named later.
            with suppress(ValueError, MediaError, av.FFmpegError):
                if stream.type == "subtitle" and stream.codec_context is not None:
                    writer = _PacketWriter.add(stream, output, self._container)
                    if writer is not None:
                        writers[stream.index] = writer
                elif stream.type == "attachment" and self._container.holds_attachments:
                    output.add_stream_from_template(stream)
                elif stream.disposition & Disposition.attached_pic:
                    self._add_cover(stream, output, writers)
        if writers:
            self._packets = _retime(source, writers, origin)

    def packets_until(self, time: float) -> Iterator[av.Packet]:
        """Yield the packets that are due before ``time``, s; infinity yields all the rest."""
        while self._time <= time:
            self._time, packet = next(self._packets, (float("inf"), None))
            if packet is None:
                return
            yield packet

    def _write_tags(
        self,
        source: InputContainer,
        output: OutputContainer,
        video: av.VideoStream,
        origin: Fraction,
    ) -> None:
        """Copy tags, timecode and chapters."""
        output.metadata.update(content_tags(source.metadata))
        timecode, place = find_timecode(source), self._container.timecode_place
        if timecode and place == "stream":
            video.metadata["timecode"] = timecode
        elif timecode and place == "container":
            output.metadata["timecode"] = timecode
        if self._container.holds_chapters:
            self._chapters = [_move_chapter(chapter, -origin) for chapter in source.chapters()]
        if self._chapters and not self._container.moves_negative_times:
            output.set_chapters(self._chapters)

    def finish(self, output: OutputContainer, moved: Fraction) -> None:
        """Write what is known only when all packets are written.

        Args:
            output: container that is about to be closed.
            moved: time by which its muxer has moved all streams, s.
        """
        if self._chapters and self._container.moves_negative_times:
            output.set_chapters([_move_chapter(chapter, moved) for chapter in self._chapters])

    def _add_cover(
        self,
        stream: av.stream.Stream,
        output: OutputContainer,
        writers: dict[int, _PacketWriter],
    ) -> None:
        """Add the cover picture as a stream or an attachment."""
        name = stream.codec_context.codec.canonical_name
        if self._container.holds_attachments and name in COVER_CODECS:
            with open_media(self._source) as again:
                for packet in again.demux(again.streams[stream.index]):
                    if packet.size:
                        output.add_attachment(*COVER_CODECS[name], bytes(packet))
                        return
        elif self._container.holds_cover_stream and name in COVER_CODECS:
            added: Any = output.add_stream_from_template(stream)
            added.disposition = int(Disposition.attached_pic)
            writers[stream.index] = _PacketWriter(added)


class _PacketWriter:
    """Makes packets of one output stream from those of one source stream."""

    def __init__(
        self, target: Any, decoder: av.subtitles.stream.SubtitleStream | None = None
    ) -> None:
        self._target = target
        self._decoder = decoder

    @classmethod
    def add(
        cls,
        stream: av.subtitles.stream.SubtitleStream,
        output: OutputContainer,
        container: ContainerFormat,
    ) -> _PacketWriter | None:
        """Add a stream of subtitles; None where the container takes none of this kind."""
        name = stream.codec_context.codec.canonical_name
        if name in container.subtitle_codecs and name in output.supported_codecs:
            target: Any = output.add_stream_from_template(stream)
            writer = cls(target)
        elif container.subtitle_codecs and name in TEXT_SUBTITLES:
            target = output.add_stream(container.subtitle_codecs[0])
            stream.codec_context.open(strict=False)
            # Encoders of text take styles from the decoder's header, and refuse to open without
            # one.
            target.codec_context.subtitle_header = stream.codec_context.subtitle_header
            target.codec_context.time_base = Fraction(1, 1000)
            target.time_base = Fraction(1, 1000)
            writer = cls(target, stream)
        else:
            return None
        copy_stream_tags(stream, target, container)
        target.disposition = int(stream.disposition)
        return writer

    def make_packet(self, packet: av.Packet) -> av.Packet | None:
        """Make the output's packet; None for a packet that shows nothing."""
        if self._decoder is None:
            packet.stream = self._target
            return packet
        shown = self._decoder.codec_context.decode2(packet)
        if shown is None or not len(shown):
            return None
        made = self._target.codec_context.encode_subtitle(shown)
        base = Fraction(packet.time_base)
        assert packet.pts is not None
        made.time_base = Fraction(1, 1000)
        made.pts = made.dts = round(packet.pts * base * 1000)
        made.duration = round((packet.duration or 0) * base * 1000)
        made.stream = self._target
        return made


def copy_stream_tags(
    source: av.stream.Stream, target: av.stream.Stream, container: ContainerFormat
) -> None:
    """Copy language and name of a stream into a container.

    Args:
        source: stream of the scene.
        target: stream of the output, before its header is written.
        container: format of the output, which may spell languages in its own way.
    """
    language = source.metadata.get("language", "")
    language = container.language_codes.get(language, language)
    if language and language != "und":
        target.metadata["language"] = language
    title = next((source.metadata[k] for k in ("title", "name") if source.metadata.get(k)), "")
    if title:
        target.metadata["title"] = title


def _retime(
    source: InputContainer, writers: dict[int, _PacketWriter], origin: Fraction
) -> Iterator[tuple[float, av.Packet]]:
    """Yield time, s, and packet of carried streams, on the clock of the picture's first frame."""
    with suppress(av.FFmpegError):  # the end of a truncated file
        for packet in source.demux([source.streams[index] for index in writers]):
            if not packet.size:
                continue
            base = Fraction(packet.time_base)
            # A cover has no time.
            pts = 0 if packet.pts is None else round(packet.pts - origin / base)
            if pts < 0:  # a line that was shown before the picture
                packet.duration = max(0, (packet.duration or 0) + pts)
                pts = 0
            packet.pts = packet.dts = pts
            made = writers[packet.stream.index].make_packet(packet)
            if made is not None:
                yield float(pts * base), made


def _move_chapter(chapter: Any, seconds: Fraction) -> Any:
    """Move a chapter in time, but not before 0."""
    shift = round(seconds / Fraction(chapter["time_base"]))
    return {
        **chapter,
        "start": max(0, chapter["start"] + shift),
        "end": max(0, chapter["end"] + shift),
    }
