"""Running a job: the functions of the library, called as its description says."""

from __future__ import annotations

import html
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dubfew import api
from dubfew.errors import DubfewError
from dubfew.evaluate.options import EvaluateOptions
from dubfew.jobs.description import JobDescription
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.render.cast import check_cast_options, read_cast
from dubfew.utils.files import check_input_file, write_atomic
from dubfew.utils.job_progress import DONE_STAGE
from dubfew.utils.jsonable import to_jsonable

if TYPE_CHECKING:
    from dubfew.registry import Registry
    from dubfew.render.cache import RenderCache

# Label of the original in a comparison.
ORIGINAL_LABEL = "original"

# Results that tell about the machine and not about the output.
_LEFT_OUT = ("credentials", "peak_rss_mb")
# Options of all passes but the last: frames go through every pass, so only the last may lose
# anything, and sound is mixed in once.
_LOSSLESS_PASS: dict[str, Any] = {
    "lossless": True,
    "codec": None,
    "crf": None,
    "preset": None,
    "like_source": False,
    "mix": None,
    "report": None,
    "plot": None,
    "debug": None,
}


def list_job_actors(job: JobDescription) -> list[str]:
    """List the ids of all actors whom a job renders, also those of its cast.

    Args:
        job: the job.

    Raises:
        MediaError: The cast, or a file that it names, does not exist.
        DubfewError: The file is no cast.
    """
    if job.cast is None:
        return job.list_actors()
    return [*dict.fromkeys(role.actor for role in read_cast(job.cast).roles)]


def check_job(
    job: JobDescription, out: Path, registry: Registry, *, overwrite: bool = False
) -> None:
    """Check what a job needs before it waits in a queue: actors, consent and files.

    Nothing heavy is loaded.

    Args:
        job: the job.
        out: file that a render will write.
        registry: registry that holds the actors.
        overwrite: True to allow that files of the outputs' names are replaced.

    Raises:
        DubfewError: The job would fail; as `dubfew.render`, `dubfew.dub` and `dubfew.adapt`.
    """
    if job.kind == "compare":
        for path in job.list_files():
            check_input_file(path)
        if job.make_options().measure:
            _check_sizes(job)
    elif job.kind == "adapt":
        from dubfew.adapt.precheck import check_adapt_request

        assert job.video is not None  # as the description checks
        check_adapt_request(job.video, job.make_options(), registry)
    elif job.kind == "dub":
        from dubfew.dubbing.precheck import check_dub_request

        assert job.video is not None
        assert job.audio is not None
        check_dub_request(
            job.video, job.audio, job.make_options(out=out, overwrite=overwrite), registry
        )
    else:
        from dubfew.render.precheck import check_render_request

        options = job.make_options(out=out, overwrite=overwrite)
        if job.cast is not None:
            check_cast_options(options)
        for actor in list_job_actors(job):
            check_render_request(actor, options, registry)


def run_job(
    job: JobDescription,
    out: Path,
    registry: Registry,
    progress: ProgressCallback = no_progress,
    *,
    overwrite: bool = False,
    cache: RenderCache | None = None,
) -> dict[str, Any]:
    """Do the work of a job.

    Args:
        job: the job.
        out: file that a render or a comparison writes; not used by "adapt".
        registry: registry that holds the actors.
        progress: function that is called with the state of every stage.
        overwrite: True to replace files of the outputs' names.
        cache: actors and tracks that jobs of this process keep from each other; None keeps
            nothing. Renders of one actor use it.

    Returns:
        Facts about the result, as JSON has them.

    Raises:
        DubfewError: The job fails; as `dubfew.render`, `dubfew.dub` and `dubfew.adapt`.
    """
    found: Any
    if job.kind == "compare":
        return _compare_outputs(job, out, progress)
    if job.kind == "adapt":
        assert job.video is not None  # as the description checks
        found = api.adapt(job.video, job.make_options(), registry=registry, progress=progress)
    elif job.kind == "dub":
        assert job.video is not None
        assert job.audio is not None
        options = job.make_options(out=out, overwrite=overwrite)
        found = api.dub(job.video, job.audio, options, registry=registry, progress=progress)
        facts = to_jsonable(found)
        return {**_describe(facts.pop("rendered")), **_describe(facts)}
    elif job.cast is not None:
        options = job.make_options(out=out, overwrite=overwrite)
        found = api.render_cast(job.cast, options, registry=registry, progress=progress)
        facts = to_jsonable(found)
        # As of one mouth: the frames in which the busiest one was painted.
        return _describe({**facts, "edited_frames": max(found.edited_frames)})
    elif job.segments:
        found = _render_segments(job, out, registry, progress, overwrite)
    else:
        assert job.actor is not None
        options = job.make_options(out=out, overwrite=overwrite)
        found = api.render(job.actor, options, registry=registry, cache=cache, progress=progress)
    return _describe(to_jsonable(found))


def _describe(facts: dict[str, Any]) -> dict[str, Any]:
    """Leave out what tells of the machine; the output is known by the name of its file alone."""
    kept = {name: value for name, value in facts.items() if name not in _LEFT_OUT}
    if "output" in kept:
        kept["output"] = Path(kept["output"]).name
    return kept


def _name_videos(page: Path, labels: Mapping[Path, str]) -> None:
    """Replace the names of stored files on a page by those that the user knows."""
    text = page.read_text("utf-8")
    for path, label in labels.items():
        for name in (str(path), path.name):
            text = text.replace(html.escape(name), html.escape(label))
    write_atomic(page, text.encode())


def _check_sizes(job: JobDescription) -> None:
    """Check that what is to be measured is as large as its original."""
    # Here, because it imports FFmpeg and NumPy: a server that waits needs neither.
    from dubfew.media import probe

    assert job.video is not None  # as the description checks
    original = probe(job.video)
    for label, path in job.outputs.items():
        info = probe(path)
        if (info.width, info.height) != (original.width, original.height):
            raise DubfewError(
                f"{label} is {info.width} x {info.height} px but the original {original.width} x "
                f"{original.height}: measures need one size, and previews are smaller than the "
                "whole dub"
            )


def _compare_outputs(job: JobDescription, out: Path, progress: ProgressCallback) -> dict[str, Any]:
    """Write the comparison of some outputs and, where it is asked for, a page about each."""
    from dubfew.evaluate.judge import judge_output
    from dubfew.evaluate.side_by_side import write_comparison

    options = job.make_options()
    assert job.video is not None  # as the description checks
    passes = 1 + (len(job.outputs) if options.measure else 0)
    # The pages first: where the comparison exists, an earlier process had finished everything.
    pages = {}
    for number, (label, path) in enumerate(job.outputs.items() if options.measure else ()):
        page = out.with_name(f"page{number}.html")
        judge_output(
            job.video,
            path,
            EvaluateOptions(html=page, overwrite=True),
            progress=_share_progress(progress, number, passes),
        )
        _name_videos(page, {job.video: ORIGINAL_LABEL, path: label})
        pages[label] = page.name
    report = _share_progress(progress, passes - 1, passes)
    frames = write_comparison(
        [job.video, *job.outputs.values()],
        out,
        labels=[ORIGINAL_LABEL, *job.outputs],
        view=options.view,
        # It is one stage, whose reports state frames alone.
        progress=lambda done: report(
            replace(done, fraction=done.done / done.total if done.total else None)
        ),
    )
    return {"output": out.name, "frames": frames, "pages": pages}


def _render_segments(
    job: JobDescription,
    out: Path,
    registry: Registry,
    progress: ProgressCallback,
    overwrite: bool,
) -> Any:
    """Render one segment after the other into the scene; all but the last without any loss."""
    from dubfew.jobs.segments import compose_segment_sound

    segments = sorted(job.segments, key=lambda each: each.start)
    edited = 0
    # Beside the output, on the same disk: passes may be as large as the scene.
    with tempfile.TemporaryDirectory(prefix=".segments-", dir=out.parent) as name:
        folder = Path(name)
        sound = folder / "sound.wav"
        assert job.video is not None  # as the description checks
        compose_segment_sound(job.video, segments, sound)
        into = job.video
        for number, segment in enumerate(segments):
            # Each pass edits the output of the one before. All but the last are lossless, so
            # that the picture is encoded with losses once.
            is_last = number == len(segments) - 1
            target = out if is_last else folder / f"pass{number}.mkv"
            options = job.make_options(
                out=target,
                overwrite=overwrite,
                audio=sound,
                into=into,
                from_seconds=segment.start,
                to_seconds=segment.end,
                **({} if is_last else _LOSSLESS_PASS),
                **({} if segment.face is None else {"face": segment.face}),
            )
            actor = segment.actor or job.actor
            assert actor is not None
            found = api.render(
                actor,
                options,
                registry=registry,
                progress=_share_progress(progress, number, len(segments)),
            )
            edited += found.edited_frames
            into = target
    facts = to_jsonable(found)
    return {**facts, "edited_frames": edited}


def _share_progress(whole: ProgressCallback, number: int, count: int) -> ProgressCallback:
    """Report one pass of several as its share of the whole."""
    share = 0.0

    def report(progress: Progress) -> None:
        nonlocal share
        # The end of one part is not the end of the whole.
        if progress.stage == DONE_STAGE and number < count - 1:
            return
        share = share if progress.fraction is None else progress.fraction
        whole(replace(progress, fraction=(number + share) / count, seconds_left=None))

    return report
