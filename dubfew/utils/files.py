"""Atomic writing of files, checks of output paths, and hashes of files."""

from __future__ import annotations

import glob
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dubfew.errors import DubfewError, MediaError, OutputExistsError

try:
    import fcntl
except ImportError:  # Windows, where temporary files of killed processes are not removed
    fcntl = None  # type: ignore[assignment]


# Characters of a file's name in the name of its temporary file. Names may be 255 bytes long, and a
# character up to 4, so that 40 leave room for the rest of the temporary name.
MAX_STEM_LENGTH = 40
# Bytes of an output's name that is made of its inputs' names. File systems allow 255 bytes; the
# rest is for hyphens, the ending, and an ending of a file beside it.
MAX_OUTPUT_STEM_BYTES = 225
# Bytes that are read at once when a file is hashed: large enough for full speed of a disk.
HASH_BLOCK_BYTES = 1 << 20
# Numbers in the names of picture sequences: %04d of FFmpeg, #### of editors, [0001-0100] of DaVinci
# Resolve, and the stars of shells.
_SEQUENCE_PATTERN = re.compile(r"%0?\d*d|#{2,}|\[\d+-\d+\]|\*")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Provide a temporary file that replaces ``path`` when the block succeeds.

    On any exception the temporary file is removed and ``path`` is left as it was. Temporary files
    that killed processes left behind for the same path are removed as well. The temporary file has
    the suffix of ``path``, because encoders choose a container by it.

    Args:
        path: file to write; its folder is created if necessary.

    Yields:
        The path of an empty temporary file in the same folder.

    Raises:
        OSError: The file cannot be written. The error names ``path``, never the temporary file.
    """
    path = Path(path)
    temporary: Path | None = None
    prefix = f".{path.stem[:MAX_STEM_LENGTH]}.dubfew-"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale_files(path.parent, prefix, path.suffix)
        handle, name = tempfile.mkstemp(prefix=prefix, suffix=path.suffix, dir=path.parent)
        temporary = Path(name)
        with _lock_held(handle):
            yield temporary
            # The content must be on disk before the name points to it, or a power cut could leave
            # an empty file.
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            # mkstemp makes files private to their owner; users expect those of a new file. The
            # umask can only be read by setting it.
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(temporary, 0o666 & ~umask)
            os.replace(temporary, path)
    except OSError as error:
        if error.errno and error.filename in (None, str(temporary)):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextmanager
def _lock_held(handle: int) -> Iterator[None]:
    """Keep a temporary file locked; the operating system releases it when the process dies."""
    if fcntl is None:
        os.close(handle)  # Windows cannot rename a file that is open
        yield
        return
    try:
        with suppress(OSError):  # a file system without locks; stale files stay there, too
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def _remove_stale_files(folder: Path, prefix: str, suffix: str) -> None:
    """Remove temporary files whose process has ended, which shows in the missing lock."""
    if fcntl is None:
        return
    for left in folder.glob(f"{glob.escape(prefix)}????????{glob.escape(suffix)}"):
        with suppress(OSError), open(left, "rb+") as file:  # OSError: another process uses it
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink()


def check_input_file(path: Path) -> None:
    """Check that there is a file with something in it, before anything heavy is loaded for it.

    Raises:
        MediaError: The path is a folder, there is no file, or it is empty.
    """
    if path.is_dir():
        raise MediaError(f"{path} is a folder, not a media file: name one file in it")
    if not path.exists() and _SEQUENCE_PATTERN.search(path.name):
        # The glob that stands for the same pictures.
        number = len(list(path.parent.glob(_SEQUENCE_PATTERN.sub("*", path.name))))
        raise MediaError(
            f"{path} names a sequence of pictures ({number} found), which is not read: make a "
            f"video of it first, as by: dubfew sequence read {path} --fps 24 -o scene.mkv"
        )
    if not path.exists():
        raise MediaError(f"no file at {path}: check the path")
    if path.is_file() and path.stat().st_size == 0:
        raise MediaError(f"{path} is empty (0 bytes): copy or download it again")


def check_output_path(path: Path, *inputs: Path | None, overwrite: bool = False) -> None:
    """Check that a file can be written, before the work that produces its content.

    Args:
        path: the file to write.
        *inputs: files that are read and must not be replaced; None is ignored.
        overwrite: True to allow that another file is replaced.

    Raises:
        OutputExistsError: ``path`` exists and ``overwrite`` is False.
        DubfewError: ``path`` is a folder or one of the inputs, or its folder cannot be written to.
    """
    if path.is_dir():
        raise DubfewError(f"{path} is a folder: name the file to write")
    # samefile sees through links and different spellings of a path.
    for source in inputs:
        if source is not None and source.exists() and path.exists() and path.samefile(source):
            raise DubfewError(f"{path} is an input file: write to another file with --out")
    # A link that leads nowhere is a name that is taken, too.
    if not overwrite and os.path.lexists(path):
        raise OutputExistsError(
            f"{path} exists already: name another file, or allow its replacement with --overwrite"
        )
    check_writable_folder(path.parent)


def output_stem(*parts: str) -> str:
    """Join words into the name of an output, without its ending.

    Args:
        *parts: words such as the stems of the inputs; none is empty.

    Returns:
        The words with hyphens between them. Long words are cut so that the name fits into a folder.

    Example:
        >>> output_stem("scene", "mary", "german1")
        'scene-mary-german1'
    """
    limit = MAX_OUTPUT_STEM_BYTES // len(parts)
    return "-".join(os.fsencode(part)[:limit].decode(errors="ignore") for part in parts)


def check_writable_folder(folder: Path) -> None:
    """Check that a folder exists or can be created, and can be written to.

    Args:
        folder: the folder; nothing is created.

    Raises:
        DubfewError: The path or one of its parents is a file, or permissions forbid writing.
    """
    # The nearest parent that exists decides whether the folder could be created.
    folder = folder.absolute()
    found = next(place for place in (folder, *folder.parents) if place.exists())
    if not found.is_dir():
        raise DubfewError(f"{found} is a file, not a folder: choose another place to write to")
    if not os.access(found, os.W_OK | os.X_OK):
        raise DubfewError(
            f"the folder {found} cannot be written to: check its permissions, or choose another"
        )


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees either the old content or all of the new content.

    Args:
        path: file to write; its folder is created if necessary.
        data: the whole content.

    Raises:
        OSError: The file cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def fsync_folder(folder: Path) -> None:
    """Flush a folder to disk, so that renamed and new files in it survive a power cut."""
    if os.name == "nt":  # Windows cannot open folders, and journals names itself
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256_file(path: Path) -> str:
    """Compute the SHA-256 of a file's content.

    Args:
        path: the file; memory does not grow with its size.

    Returns:
        64 hexadecimal digits, lowercase.

    Raises:
        OSError: The file cannot be read.
    """
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(HASH_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def file_size(path: Path) -> int:
    """Return a file's size in bytes, 0 where there is no file."""
    try:
        return path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return 0
