"""Processes that prepare clips, and that do other work of the same kind.

Each is a Python process of its own that computes with one thread, so that the result of a clip does
not depend on the number of processes. When one dies only its clip fails, and it ends when its
parent does. The pools of the standard library break as a whole when a process dies.

Messages are lines of JSON: a job on the process's stdin; on its stdout ``{"frames": n}`` after each
segment, then ``{"done": outcome}``. ``{"ask": question}`` waits for a line with the answer on
stdin. `WorkerProcess` and `serve_requests` are the two ends.
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
from collections.abc import Callable, Mapping
from typing import Any, TextIO, TypeVar

from dubfew.data.jobs import (
    AnswerQuestion,
    ClipJob,
    ClipOutcome,
    FramesCallback,
    PreparedForm,
    refuse_question,
)

# Environment of the processes. Libraries read these variables when they are loaded, so that they
# have to be set when the process starts. More threads would compete for the same cores, and sum in
# another order: other bits.
SINGLE_THREAD_ENV = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
}
# Program of a process; it finds dubfew where this process does.
_WORKER_SCRIPT = "import sys; sys.path[:] = {path!r}; from {module} import {function}; {function}()"

# Sends one message to the parent, and handles one request: fields of the job in, outcome out.
SendMessage = Callable[[dict[str, Any]], None]
HandleRequest = Callable[[dict[str, Any], "ParentChannel"], dict[str, Any]]


Process = TypeVar("Process", bound="WorkerProcess")


class WorkerProcess:
    """A process that does one piece of work after another.

    Use as a context manager. The process starts with the first request, and anew after it died.

    Args:
        serve: function that the process runs, which calls `serve_requests`: "module:function".
    """

    def __init__(self, serve: str) -> None:
        self._serve = serve
        self._process: subprocess.Popen[str] | None = None
        self._stderr_file: Any = None
        self._closed = False

    def __enter__(self: Process) -> Process:
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

    def request(
        self,
        fields: Mapping[str, Any],
        on_message: SendMessage,
        answer: AnswerQuestion = refuse_question,
    ) -> dict[str, Any] | str:
        """Send a request and wait for its outcome.

        Args:
            fields: the request, of JSON's types.
            on_message: called with every other message of the process.
            answer: answers the questions of the process.

        Returns:
            The outcome; or how the process ended, in one line.
        """
        try:
            # The request is one line; messages come back as lines, then the outcome.
            process = self._ensure_process()
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(fields) + "\n")
            process.stdin.flush()
            for line in process.stdout:
                message = json.loads(line)
                if "done" in message:
                    outcome: dict[str, Any] = message["done"]
                    return outcome
                if "ask" not in message:
                    on_message(message)
                    continue
                try:
                    found = answer(message["ask"])
                except BaseException:
                    # The process waits for an answer, and would take the next job for it.
                    process.kill()
                    process.wait()
                    raise
                process.stdin.write(json.dumps({"answer": found}) + "\n")
                process.stdin.flush()
        except (OSError, ValueError):
            pass  # the process died; its last line may be cut off
        return self._describe_death()

    def _ensure_process(self) -> subprocess.Popen[str]:
        """Start the process unless it runs."""
        if self._process is None or self._process.poll() is not None:
            module, function = self._serve.split(":")
            script = _WORKER_SCRIPT.format(path=sys.path, module=module, function=function)
            # A file rather than a pipe: a full pipe that nobody reads would stop the process.
            self._stderr_file = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
            self._process = subprocess.Popen(
                [sys.executable, "-c", script],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr_file,
                env={**os.environ, **SINGLE_THREAD_ENV},
                text=True,
                encoding="ascii",
                # Ctrl-C goes to a whole session: it is the parent's to handle.
                start_new_session=True,
            )
            if self._closed:  # by another thread, while the process started
                self._process.kill()
        return self._process

    def _describe_death(self) -> str:
        """Describe how the process ended, in one line."""
        assert self._process is not None
        self._process.kill()
        code = self._process.wait()
        # The last line of a traceback names the error.
        self._stderr_file.seek(0)
        lines = self._stderr_file.read().decode("utf-8", "replace").strip().splitlines()
        if code < 0:
            reason = f"was ended by {signal.Signals(-code).name}"
            if code == -signal.SIGKILL:
                reason += " (memory may have run out: try fewer --jobs)"
            return reason
        return f"ended with code {code}" + (f": {lines[-1]}" if lines else "")


class ClipWorker(WorkerProcess):
    """A process that prepares one clip after another."""

    def __init__(self) -> None:
        super().__init__("dubfew.data.workers:serve_jobs")

    def run_job(
        self,
        job: ClipJob,
        on_frames: FramesCallback = lambda count: None,
        answer: AnswerQuestion = refuse_question,
    ) -> ClipOutcome:
        """Prepare a clip; the death of the process is a failure of the clip.

        Args:
            job: the clip.
            on_frames: called after every segment with the number of its frames.
            answer: answers questions; a clip has none.
        """
        found = self.request(
            dataclasses.asdict(job), lambda message: on_frames(message.get("frames", 0)), answer
        )
        if isinstance(found, str):
            return ClipOutcome(error=f"the process that prepared it {found}")
        return ClipOutcome(**found)

    def describe_loss(self, reason: str) -> ClipOutcome:
        """Make the outcome of a clip that was lost with its machine.

        Args:
            reason: what happened, in words.
        """
        return ClipOutcome(error=reason)


def serve_jobs() -> None:
    """Prepare the clips that come on stdin, until it ends."""
    serve_requests(_load_clip_handler)


def _load_clip_handler() -> HandleRequest:
    """Import what a clip needs."""
    import torch

    from dubfew.data.prepare_clip import prepare_clip

    torch.set_num_threads(1)

    def handle(fields: dict[str, Any], send_message: ParentChannel) -> dict[str, Any]:
        form = PreparedForm(**fields.pop("form"))
        job = ClipJob(**{**fields, "excluded": tuple(fields["excluded"])}, form=form)
        try:
            outcome = prepare_clip(job, lambda frames: send_message({"frames": frames}))
        except Exception as error:  # a bug of dubfew's costs one clip, not the whole run
            outcome = ClipOutcome(error=f"unexpected {type(error).__name__}: {error}")
        return dataclasses.asdict(outcome)

    return handle


class ParentChannel:
    """The way from a worker process to its parent. Call it to send a message.

    Args:
        file: where lines are written to.
        lines: lines that came on stdin.
    """

    def __init__(self, file: TextIO, lines: queue.SimpleQueue[str]) -> None:
        self._file, self._lines = file, lines

    def __call__(self, message: dict[str, Any]) -> None:
        self._file.write(json.dumps(message) + "\n")

    def ask(self, question: Any) -> Any:
        """Ask the parent, and wait for its answer.

        Args:
            question: of JSON's types.
        """
        self({"ask": question})
        return json.loads(self._lines.get())["answer"]


def serve_requests(load_handler: Callable[[], HandleRequest]) -> None:
    """Read requests from stdin and write what becomes of them to stdout, until stdin ends.

    Args:
        load_handler: imports what the work needs, and gives the function that does it.
    """
    # Native libraries print to stdout as they like: the messages get a channel of their own, and
    # everything else goes to stderr.
    channel = os.fdopen(os.dup(1), "w", buffering=1, encoding="ascii")
    os.dup2(2, 1)
    jobs: queue.SimpleQueue[str] = queue.SimpleQueue()
    # A thread waits for the end of stdin, so that the process ends in the middle of a clip, too.
    threading.Thread(target=_read_jobs, args=(jobs,), daemon=True).start()

    parent = ParentChannel(channel, jobs)
    # Only now: the imports take seconds, and their output must not reach the channel.
    handle = load_handler()
    while True:
        parent({"done": handle(json.loads(jobs.get()), parent)})


def _read_jobs(jobs: queue.SimpleQueue[str]) -> None:
    """Put lines of stdin into a queue; end the process when stdin ends."""
    for line in sys.stdin:
        jobs.put(line)
    # The parent is done or dead. The next run removes what is half prepared.
    os._exit(0)
