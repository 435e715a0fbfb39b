"""Opening files with PyAV, and turning what goes wrong into one-line messages."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition

from dubfew.errors import MediaError

# FFmpeg draws any text file as a picture of a terminal; nobody dubs that.
_TEXT_FORMATS = {"tty"}


@contextmanager
def open_media(path: Path) -> Iterator[InputContainer]:
    """The container at ``path``, closed at the end. Raises MediaError in one line."""
    path = Path(path)
    if path.is_dir():
        raise MediaError(f"{path} is a folder, not a media file: name one file in it")
    if not path.exists():
        raise MediaError(f"no file at {path}: check the path")
    if path.is_file() and path.stat().st_size == 0:
        raise MediaError(f"{path} is empty (0 bytes): copy or download it again")
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
    """FFmpeg's or the system's own words for an error, on one line."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())


def video_stream(container: InputContainer, path: Path) -> av.VideoStream:
    """The moving picture of a file; a cover image in a sound file does not count."""
    for stream in container.streams.video:
        # A stream without codec context is of a codec that this FFmpeg does not know.
        if not stream.disposition & Disposition.attached_pic and stream.codec_context is not None:
            return stream
    raise MediaError(f"{path} holds no picture, only sound or data: give a video file")


def audio_stream(container: InputContainer) -> av.AudioStream | None:
    """The main sound track of a file, or None."""
    streams = [s for s in container.streams.audio if s.codec_context is not None]
    default = [s for s in streams if s.disposition & Disposition.default]
    return next(iter(default or streams), None)


@contextmanager
def writing_errors(path: Path) -> Iterator[None]:
    """Turn FFmpeg's and the system's errors while writing ``path`` into MediaError."""
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
