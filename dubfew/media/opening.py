"""Opening of media files with PyAV, and conversion of its errors to one-line messages."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition

from dubfew.errors import MediaError
from dubfew.utils.files import check_input_file

# Formats that are refused: FFmpeg renders any text file as video of a terminal.
_TEXT_FORMATS = {"tty"}


@contextmanager
def open_media(path: Path) -> Iterator[InputContainer]:
    """Open the container at a path; it is closed at the end of the context.

    Args:
        path: a media file.

    Raises:
        MediaError: The file does not exist, is empty, or cannot be read as video or audio.
    """
    path = Path(path)
    check_input_file(path)
    try:
        # An absolute path, because "take:1.mp4" would be read as protocol "take".
        container = av.open(str(path.absolute()), metadata_errors="ignore")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise MediaError(
            f"{path} cannot be read as video or sound ({error_reason(error)}): "
            "it is damaged, cut short or no media file; export it again, for example as .mp4"
        ) from error
    with container:
        if container.format.name in _TEXT_FORMATS:
            raise MediaError(f"{path} is a text file: give a video or sound file")
        yield container


def error_reason(error: Exception) -> str:
    """Return FFmpeg's or the system's own words for an error, on one line."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())


def video_stream(container: InputContainer, path: Path) -> av.VideoStream:
    """Find the moving picture of a file; a cover image in an audio file does not count.

    Args:
        container: opened file.
        path: name of the file for error messages.

    Raises:
        MediaError: The file has no video stream that this FFmpeg knows.
    """
    for stream in container.streams.video:
        # A stream without codec context is of a codec that this FFmpeg does not know.
        if not stream.disposition & Disposition.attached_pic and stream.codec_context is not None:
            return stream
    raise MediaError(f"{path} holds no picture, only sound or data: give a video file")


def audio_streams(container: InputContainer) -> list[av.AudioStream]:
    """List the sound tracks of a file whose codecs this FFmpeg knows."""
    # Streams of unknown codecs have no codec context.
    return [s for s in container.streams.audio if s.codec_context is not None]


def audio_stream(container: InputContainer) -> av.AudioStream | None:
    """Find the main sound track of a file, or return None."""
    streams = audio_streams(container)
    default = [s for s in streams if s.disposition & Disposition.default]
    return next(iter(default or streams), None)


@contextmanager
def writing_errors(path: Path) -> Iterator[None]:
    """Turn FFmpeg's and the system's errors into `MediaError` while a file is written.

    Args:
        path: file that is written, for the messages.

    Raises:
        MediaError: The disk is full, or the file cannot be written.
    """
    try:
        yield
    except (av.FFmpegError, OSError) as error:
        code = abs(error.errno or 0)
        if code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise MediaError(
                f"no space left while writing {path}: nothing was left behind; "
                "free some space or write elsewhere"
            ) from error
        raise MediaError(
            f"{path} cannot be written ({error_reason(error)}): write to another place"
        ) from error
