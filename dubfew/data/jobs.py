"""Jobs of preparing clips and their outcomes: plain values that cross processes and machines."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

# Answers a question of a worker process, both of JSON's types.
AnswerQuestion = Callable[[Any], Any]
# Receives the number of frames that were prepared since the last call.
FramesCallback = Callable[[int], None]


@dataclass(frozen=True)
class PreparedForm:
    """What is prepared of every clip in a folder.

    Attributes:
        head: name of the head model that is tracked.
        method: tracking method, one of ``TRACKING_METHODS``.
        layout: crop layout of a painting renderer; "" for the mouth windows of blending ones.
    """

    head: str = "lite"
    method: str = "landmarks"
    layout: str = ""

    def matches(self, header: Mapping[str, Any]) -> bool:
        """Return whether a stored clip has this form; missing facts are those of old versions."""
        return (
            header.get("head", "lite") == self.head
            and header.get("method", "landmarks") == self.method
            and header.get("layout", "") == self.layout
        )


@dataclass(frozen=True)
class ClipJob:
    """One clip to prepare.

    Attributes:
        video_path: the video.
        output_path: the tar to write.
        sample_key: name of the clip's samples.
        window_size: edge of the windows, px.
        metadata: identity, file, source, license, ... for the samples' headers; JSON values.
        excluded: SHA-256 sums of files that must not be prepared.
        form: what is prepared of the clip.
    """

    video_path: str
    output_path: str
    sample_key: str
    window_size: int
    metadata: Mapping[str, Any]
    excluded: tuple[str, ...] = ()
    form: PreparedForm = PreparedForm()


@dataclass(frozen=True)
class ClipOutcome:
    """Result of preparing one clip.

    Attributes:
        num_frames: number of prepared frames.
        error: reason of a failure, or empty.
        excluded_sha256: the SHA-256 for which the clip was left out, or empty.
    """

    num_frames: int = 0
    error: str = ""
    excluded_sha256: str = ""


Job = TypeVar("Job")
Outcome = TypeVar("Outcome")
JobIn = TypeVar("JobIn", contravariant=True)
OutcomeOut = TypeVar("OutcomeOut", covariant=True)


class JobWorker(Protocol[JobIn, OutcomeOut]):
    """Something that does one job after another, such as a process."""

    def run_job(
        self, job: JobIn, on_frames: FramesCallback = ..., answer: AnswerQuestion = ...
    ) -> OutcomeOut:
        """Do a job; the death of the process is a failure of the job.

        Args:
            job: plain values, which can be sent to another process.
            on_frames: function that is called with the number of frames that were done since the
                last call.
            answer: function that answers what the work asks for in between.
        """
        ...

    def describe_loss(self, reason: str) -> OutcomeOut:
        """Make the outcome of a job that was lost with its machine."""
        ...

    def close(self) -> None:
        """End the process, whatever it is doing."""
        ...


def refuse_question(question: Any) -> Any:
    """Answer no question: the default where jobs have none.

    Args:
        question: what was asked.

    Raises:
        ValueError: Always.
    """
    raise ValueError(f"nobody answers {str(question)[:40]!a}")


# Number and outcome of each job, as it ends.
OutcomeStream = Generator[tuple[int, Outcome], None, None]


class JobExecutor(Protocol):
    """Does many jobs at once.

    Args:
        jobs: the jobs; they can be pickled.
        num_workers: number of processes; None for as many as fit.
        on_frames: called about every second with the number of units that were done, which are
            frames where clips are prepared.
        make_worker: class of the workers.
        answer: function of the calling process that answers questions of jobs. It may be called
            from several threads.
    """

    def __call__(
        self,
        jobs: Sequence[Job],
        num_workers: int | None,
        on_frames: FramesCallback = ...,
        *,
        make_worker: Callable[[], JobWorker[Job, Outcome]],
        answer: AnswerQuestion = ...,
    ) -> OutcomeStream[Outcome]: ...
