"""A process that prepares clips, and what crosses its border.

Each is a Python process of its own that computes with one thread, so that the result of a clip does
not depend on how many there are; its death is the failure of one clip only, and it ends when its
parent does. Pools of the standard library are broken as a whole by such a death.
"""

from __future__ import annotations

import dataclasses
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from typing import Any

from dubfew.data.jobs import ClipJob, ClipOutcome, FramesCallback

# Libraries read these when they are loaded, so they have to be there when the process starts.
SINGLE_THREAD_ENV = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
}
_WORKER_SCRIPT = (
    "import sys; sys.path[:] = {path!r}; from dubfew.data.workers import serve_jobs; serve_jobs()"
)


class ClipWorker:
    """A process that prepares one clip after another. Use as a context manager."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._stderr_file: Any = None
        self._closed = False

    def __enter__(self) -> ClipWorker:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._closed = True
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._stderr_file.close()

    def run_job(self, job: ClipJob, on_frames: FramesCallback = lambda count: None) -> ClipOutcome:
        """Prepare a clip; a process that dies over it is a failure of the clip.

        Args:
            job: the clip.
            on_frames: told of its frames as they are done, how many more each time.
        """
        try:
            process = self._ensure_process()
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(dataclasses.asdict(job)) + "\n")
            process.stdin.flush()
            for line in process.stdout:
                message = json.loads(line)
                if "done" in message:
                    return ClipOutcome(**message["done"])
                on_frames(message["frames"])
        except (OSError, ValueError):
            pass  # it died; a half-written line is no message
        return ClipOutcome(error=self._describe_death())

    def _ensure_process(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self._stderr_file = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
            self._process = subprocess.Popen(
                [sys.executable, "-c", _WORKER_SCRIPT.format(path=sys.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr_file,
                env={**os.environ, **SINGLE_THREAD_ENV},
                text=True,
                encoding="ascii",
                # Ctrl-C is the parent's to handle.
                start_new_session=True,
            )
            if self._closed:  # closed by another thread meanwhile
                self._process.kill()
        return self._process

    def _describe_death(self) -> str:
        assert self._process is not None
        self._process.kill()
        code = self._process.wait()
        self._stderr_file.seek(0)
        last = (self._stderr_file.read().decode("utf-8", "replace").strip().splitlines() or [""])[
            -1
        ]
        if code < 0:
            what = f"was ended by {signal.Signals(-code).name}"
            if code == -signal.SIGKILL:
                what += " (memory may have run out: try fewer --jobs)"
        else:
            what = f"ended with code {code}" + (f": {last}" if last else "")
        return f"the process that prepared it {what}"


def serve_jobs() -> None:
    """A worker's side: jobs come as lines on stdin, what becomes of them goes to stdout."""
    # Native libraries print as they like; the messages need a channel of their own.
    channel = os.fdopen(os.dup(1), "w", buffering=1, encoding="ascii")
    os.dup2(2, 1)
    jobs: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read_jobs, args=(jobs,), daemon=True).start()

    def send_message(message: dict[str, Any]) -> None:
        channel.write(json.dumps(message) + "\n")

    import torch

    from dubfew.data.prepare_clip import prepare_clip

    torch.set_num_threads(1)
    while True:
        fields = json.loads(jobs.get())
        job = ClipJob(**{**fields, "excluded": tuple(fields["excluded"])})
        try:
            outcome = prepare_clip(job, lambda frames: send_message({"frames": frames}))
        except Exception as error:  # a fault of ours costs one clip, not the night's run
            outcome = ClipOutcome(error=f"unexpected {type(error).__name__}: {error}")
        send_message({"done": dataclasses.asdict(outcome)})


def _read_jobs(jobs: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        jobs.put(line)
    # The parent is done or dead. What is half prepared is swept by the next run.
    os._exit(0)
