"""People of a clip, looked for in a thread while other parts of a program are still imported.

Imports are Python's work and detection is MediaPipe's, so that they take two cores.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from pathlib import Path

from dubfew.media.fields import find_stated_order
from dubfew.media.log_curves import find_stated_curve
from dubfew.media.stated_aspect import find_stated_aspect
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.reconstruction.detection.clip_detections import ClipDetections, detect_people
from dubfew.reconstruction.detection.mediapipe_loader import load_solution_base
from dubfew.utils.files import sha256_file

# Seconds between two looks at how far a search is.
PROGRESS_SECONDS = 0.2


class _SearchStoppedError(Exception):
    """Ends a search whose result nobody wants any more."""


class _Search:
    """A search for the people of a clip, in a thread of its own."""

    def __init__(self, path: Path, known_sha256: str) -> None:
        self._path, self._known_sha256 = path, known_sha256
        self._reading = _describe_reading(path)
        self._found: Future[ClipDetections | None] = Future()
        self._latest = Progress("track", 0)
        self._is_stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            is_known = sha256_file(self._path) == self._known_sha256
            found = None if is_known else detect_people(self._path, progress=self._note)
            self._found.set_result(found)
        except BaseException as error:  # whoever takes the result gets it
            self._found.set_exception(error)

    def _note(self, progress: Progress) -> None:
        if self._is_stopped.is_set():
            raise _SearchStoppedError
        self._latest = progress

    @property
    def is_done(self) -> bool:
        """Return whether the search has ended."""
        return self._found.done()

    def concerns(self, path: Path) -> bool:
        """Return whether this is a search in a file as it is read now."""
        return _describe_reading(path) == self._reading

    def take(self, progress: ProgressCallback) -> ClipDetections | None:
        """Wait for the search, and return what it has found; None where it was not begun."""
        while not self.is_done:
            progress(self._latest)
            wait([self._found], timeout=PROGRESS_SECONDS)
        progress(self._latest)
        return self._found.result()

    def stop(self) -> None:
        """Stop the search, and wait until its thread has ended."""
        self._is_stopped.set()
        self._thread.join()


# The search of this process; one at a time.
_search: _Search | None = None


def _describe_reading(path: Path) -> tuple[object, ...]:
    """Return the file and all that is stated of it, on which its pictures depend."""
    facts = find_stated_order(path), find_stated_curve(path), find_stated_aspect(path)
    return path.resolve(), *facts


@contextmanager
def detecting_ahead(path: Path, known_sha256: str = "") -> Iterator[None]:
    """Look for the people of a clip in a thread while the block runs.

    `find_people` gives what it has found, once. A search whose result is not taken is stopped at
    the end of the block. What the thread needs is imported before it starts: packages whose parts
    import each other, as SciPy's, are not to be imported by two threads at once. Where there are
    several faces it imports more of SciPy, none of which the rest of a render imports.

    Args:
        path: the clip.
        known_sha256: hash of a file whose people are known: if this is it, nothing is searched.
    """
    global _search
    load_solution_base()
    _search = _Search(path, known_sha256)
    try:
        yield
    finally:
        search, _search = _search, None
        if search is not None:
            search.stop()


def is_detected(path: Path) -> bool:
    """Return whether the people of a clip were found already."""
    return _search is not None and _search.concerns(path) and _search.is_done


def find_people(path: Path, progress: ProgressCallback = no_progress) -> ClipDetections:
    """Find the people of a clip as `detect_people` does, or take them from `detecting_ahead`.

    Args:
        path: the clip.
        progress: called with the state of the work.

    Raises:
        MediaError: The file cannot be read as video.
        NoFaceError: The clip has no frames.
    """
    return take_people(path, progress) or detect_people(path, progress=progress)


def take_people(path: Path, progress: ProgressCallback = no_progress) -> ClipDetections | None:
    """Take the people of a clip from `detecting_ahead`; None where it does not look for them.

    Args:
        path: the clip.
        progress: called with the state of the search while it goes on.

    Raises:
        MediaError: The file cannot be read as video.
        NoFaceError: The clip has no frames.
    """
    global _search
    if _search is None or not _search.concerns(path):
        return None
    found = _search.take(progress)
    _search.stop()
    _search = None
    return found
