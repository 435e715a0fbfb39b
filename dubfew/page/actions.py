"""What the buttons of the page do, without the page: jobs, actors, marks."""

from __future__ import annotations

import html
import json
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dubfew.errors import ConsentError, DubfewError
from dubfew.jobs.description import MAX_COMPARED, JobDescription
from dubfew.jobs.records import ACTIVE_STATES, DONE, EXPIRED, Job
from dubfew.jobs.running import check_job
from dubfew.jobs.store import ID_BYTES, JobStore
from dubfew.registry import Registry
from dubfew.utils.files import sha256_file

# Owner of the page's jobs in the queue.
PAGE_OWNER = "page"
# Folder of the store that Gradio keeps uploads in until a button is pressed.
UPLOADS_NAME = "page-uploads"
# Jobs that the page shows.
MAX_SHOWN = 20
# Words for the states of a job.
STATE_WORDS = {
    "queued": "waits",
    "running": "runs",
    "done": "done",
    "failed": "failed",
    "cancelled": "cancelled",
    "expired": "deleted",
}


class PageActions:
    """The page's work on queue and registry.

    Args:
        store: the queue.
        device: device that jobs use.
        registry: function that opens the registry of actors.
    """

    def __init__(
        self, store: JobStore, device: str = "auto", registry: Callable[[], Registry] = Registry
    ) -> None:
        self.store, self._device, self._registry = store, device, registry
        # Where uploads were moved to, by the path that they had.
        self._taken: dict[Path, Path] = {}
        self._lock = threading.Lock()

    # Jobs.

    def learn(
        self, video: str | None, actor: str | None, consent: str | None = None, draft: bool = False
    ) -> Job:
        """Give a job that learns an actor.

        Args:
            video: file that was uploaded; it is moved into the queue.
            actor: the new actor's id.
            consent: file of the consent record, or None.
            draft: whether to leave out the training.

        Raises:
            DubfewError: Something is missing, or the actor cannot be learned.
        """
        if not video:
            raise DubfewError("choose a video of the actor first")
        actor = _strip(actor)
        if not actor:
            raise DubfewError("give the actor an id, such as mary")
        options: dict[str, Any] = {"draft": draft, "device": self._device}
        if consent:
            options["consent"] = str(self._take(consent))
        return self._give(
            JobDescription(kind="adapt", actor=actor, video=self._take(video), options=options)
        )

    def dub(
        self,
        actor: str | None,
        video: str | None,
        audio: str | None,
        *,
        transcript: str | None = None,
        language: str | None = None,
        face: str | None = None,
        preview: bool = False,
    ) -> Job:
        """Give a job that makes an actor speak.

        Args:
            actor: the actor's id.
            video: scene that was uploaded; None for the actor's own footage.
            audio: sound that was uploaded.
            transcript: text of the sound; None or "" where it is not known.
            language: its language; None or "" where it is not stated.
            face: face in the scene, as the option ``face`` names it, or None.
            preview: whether two seconds are enough.

        Raises:
            DubfewError: Something is missing, or the actor cannot be rendered.
        """
        if not actor:
            raise DubfewError("choose an actor first; the page Learn makes one")
        if not audio:
            raise DubfewError("choose the new speech first, a sound file")
        options: dict[str, Any] = {"preview": preview, "device": self._device}
        texts = {"language": _strip(language), "face": _strip(face)}
        if _strip(transcript):
            # A job's files are uploads, so that they expire together with it.
            path = self.store.uploads_folder() / f"{secrets.token_hex(ID_BYTES)}.txt"
            path.write_text(_strip(transcript), encoding="utf-8")
            self._record(path)
            options["transcript"] = str(path)
        options |= {name: text for name, text in texts.items() if text}
        return self._give(
            JobDescription(
                actor=actor,
                video=self._take(video) if video else None,
                audio=self._take(audio),
                options=options,
            )
        )

    def compare(
        self,
        original: str | None,
        outputs: Sequence[str] | None,
        view: str = "side",
        measure: bool = False,
    ) -> Job:
        """Give a job that compares outputs with their original.

        Args:
            original: video that was uploaded.
            outputs: one or more videos that were made of it.
            view: way to compare, one of ``dubfew.evaluate.options.VIEWS``.
            measure: whether each output is measured as well.

        Raises:
            DubfewError: Something is missing, or there are too many outputs.
        """
        if not original:
            raise DubfewError("choose the original video first")
        if not outputs:
            raise DubfewError("choose one or more dubbed videos first")
        if len(outputs) > MAX_COMPARED:
            raise DubfewError(f"{len(outputs)} videos are chosen: choose {MAX_COMPARED} at most")
        taken: dict[str, Path] = {}
        for path in outputs:
            name = label = Path(path).name
            number = 1
            # Videos of one name, from two folders.
            while label in taken:
                number += 1
                label = f"{name} ({number})"
            taken[label] = self._take(path)
        return self._give(
            JobDescription(
                kind="compare",
                video=self._take(original),
                outputs=taken,
                options={"view": view, "measure": measure},
            )
        )

    def jobs(self) -> list[Job]:
        """List the page's newest jobs."""
        found = self.store.list_jobs(PAGE_OWNER, MAX_SHOWN)
        return [job for job in found if job.state != EXPIRED]

    def has_work(self) -> bool:
        """Tell whether a job waits or runs."""
        return any(job.state in ACTIVE_STATES for job in self.jobs())

    def cancel(self, job: str | None) -> str:
        """Cancel a job that waits or runs, and return a sentence about it.

        Raises:
            DubfewError: None is chosen.
        """
        if not job:
            raise DubfewError("choose a job first")
        found = self.store.cancel(job)
        ends = " at its next step" if found.state in ACTIVE_STATES else ""
        return f"{label_job(found)}{ends}."

    # Actors.

    def list_actors(self) -> list[str]:
        """List the ids of all actors."""
        return [each.actor for each in self._registry().list()]

    def describe_actor(self, actor: str | None) -> list[tuple[str, str]]:
        """Describe an actor: titles and texts.

        Raises:
            ActorNotFoundError: No actor has that id.
        """
        if not actor:
            return []
        registry = self._registry()
        chosen = registry.open(actor)
        lines = [
            ("Actor", chosen.actor),
            ("Revision", f"{chosen.number} of {chosen.created}, method {chosen.method}"),
        ]
        suspension = registry.suspension(chosen)
        if suspension is not None:
            reason = f": {suspension.reason}" if suspension.reason else ""
            lines.append(("Suspended", f"since {suspension.since}{reason}"))
        source = chosen.config.get("source", {})
        if "path" in source:
            lines.append(("Footage", Path(source["path"]).name))
        try:
            consent = registry.consent(actor)
        # A record that cannot be read hides nothing else: the actor can still be suspended or
        # deleted here.
        except ConsentError as error:
            lines.append(("Consent", f"not usable: {error}"))
        else:
            record = {} if consent is None else consent.record
            lines += [(f"Consent: {name}", _to_text(value)) for name, value in record.items()]
            if consent is None:
                lines.append(("Consent", "none recorded"))
        return lines

    def suspend(self, actor: str | None, reason: str | None) -> str:
        """Suspend an actor, and return a sentence about it.

        Args:
            actor: chosen id; None if nothing is chosen.
            reason: text of the field; may be empty.
        """
        self._registry().suspend(_chosen(actor), _strip(reason))
        return f"{actor} is suspended: nobody can render or export them until they are resumed."

    def resume(self, actor: str | None) -> str:
        """End a suspension, and return a sentence about it."""
        self._registry().resume(_chosen(actor))
        return f"{actor} can be rendered again."

    def delete(self, actor: str | None, typed: str | None) -> str:
        """Delete an actor, their jobs and outputs.

        Args:
            actor: the actor's id.
            typed: the id once more, so that nobody is deleted by a slip.

        Returns:
            The receipt, as JSON.

        Raises:
            DubfewError: Another id was typed.
        """
        actor = _chosen(actor)
        if _strip(typed) != actor:
            raise DubfewError(f"type {actor} into the field to delete them: it cannot be undone")
        receipt = self._registry().delete(actor)
        self.store.forget_actor(actor)
        return json.dumps(json.loads(receipt.to_bytes()), indent=2)

    # Marks.

    def verify(self, path: str | None) -> list[str]:
        """Read the marks of a file, and delete it.

        Returns:
            One sentence for each finding.

        Raises:
            DubfewError: No file is chosen, or it cannot be read.
        """
        if not path:
            raise DubfewError("choose a video first")
        from dubfew.marks.verification import verify_marks

        try:
            found = verify_marks(Path(path))
            verdict = "The marks are intact." if found.intact else "There are no intact marks."
            name = Path(path).name
            return [verdict, *(each.replace(str(path), name) for each in found.findings)]
        finally:
            Path(path).unlink(missing_ok=True)

    def make_download_folder(self) -> Path:
        """Make a folder for a file that the page offers; it is deleted as uploads are."""
        folder = self.store.folder / UPLOADS_NAME / secrets.token_hex(ID_BYTES)
        folder.mkdir(parents=True, mode=0o700)
        return folder

    def _give(self, job: JobDescription) -> Job:
        """Check a job and put it into the queue; files of a refused one are deleted."""
        try:
            check_job(job, self.store.folder / "output.mp4", self._registry())
        except BaseException:
            for path in job.list_files():
                if path.parent == self.store.uploads_folder():
                    self.store.delete_upload(path.stem)
            raise
        return self.store.add(job, owner=PAGE_OWNER)

    def _take(self, path: str) -> Path:
        """Move a file that the page has received into the queue's own folder.

        Raises:
            DubfewError: The file was deleted because of its age.
        """
        source = Path(path)
        ending = source.suffix.lower() if source.suffix[1:].isalnum() else ""
        taken = self.store.uploads_folder() / f"{secrets.token_hex(ID_BYTES)}{ending}"
        # Gradio keeps uploads of the same content, from several tabs or fields, as one file.
        with self._lock:
            earlier = self._taken.get(source)
            if source.exists():
                shutil.move(source, taken)
            elif earlier is not None and earlier.exists():
                shutil.copyfile(earlier, taken)
            else:
                raise DubfewError(f"{source.name} is no longer here: choose it again")
            self._taken[source] = taken
        taken.chmod(0o600)
        self._record(taken)
        return taken

    def _record(self, path: Path) -> None:
        """Enter a file in the list of uploads, so that it is deleted in time."""
        size, digest = path.stat().st_size, sha256_file(path)
        self.store.add_upload(PAGE_OWNER, path, path.name, size, digest)


def format_jobs(jobs: list[Job]) -> str:
    """Format jobs as a table of HTML."""
    if not jobs:
        return "<p>No jobs yet.</p>"
    rows = "".join(
        "<tr>"
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in _describe_row(job))
        + f"<td>{_format_progress(job)}</td></tr>"
        for job in jobs
    )
    head = "".join(f"<th scope='col'>{word}</th>" for word in ("Given", "Job", "State", "Progress"))
    return f"<table class='jobs'><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def label_job(job: Job) -> str:
    """Name a job in a list."""
    when, what, state = _describe_row(job)
    return f"{when} {what}: {state}"


def format_output(job: Job) -> str:
    """Format the outcome of a job as HTML: scene and output side by side, notes, or the error."""
    parts = []
    if job.error is not None:
        parts.append(f"<p role='alert'>{html.escape(str(job.error['message']))}</p>")
    if job.state == DONE and job.result is not None:
        # Adapting has no video to show, and a job whose files were deleted has no description.
        if job.description is not None and job.description.kind == "compare":
            parts.append(_format_video(f"/outputs/{job.id}", "Comparison"))
            links = [
                f"<p><a href='/pages/{job.id}/{number}' target='_blank'>"
                f"Measures of {html.escape(label)}</a></p>"
                for number, label in enumerate(job.result.get("pages") or [])
            ]
            download = f"/outputs/{job.id}"
            links.append(f"<p><a href='{download}' download>Download the comparison</a></p>")
            parts.append(f"<div>{''.join(links)}</div>")
        elif job.description is not None and job.description.kind == "render":
            # Without a scene the actor's own footage was dubbed, whose file is not the job's.
            if job.description.video is not None:
                parts.append(_format_video(f"/scenes/{job.id}", "Scene"))
            parts.append(_format_video(f"/outputs/{job.id}", "Dubbed"))
            parts.append(
                f"<p><a href='/outputs/{job.id}' download>Download the dubbed video</a></p>"
            )
        curve = _format_curve(job.result.get("curve") or [])
        # Titles for people; the names are those of the stored result.
        facts = [
            (title, job.result.get(name))
            for name, title in (
                ("actor", "Actor"),
                ("revision", "Revision"),
                ("frames", "Frames"),
                ("edited_frames", "Frames with a new mouth"),
                ("psnr_heldout", "Likeness of frames that it did not learn from, dB"),
                ("watermark", "Watermark"),
                ("face", "Face"),
                ("note", "Note"),
            )
        ]
        segment = job.result.get("segment")
        if isinstance(segment, dict) and "start" in segment:
            used = f"{segment['start']:.1f} s, for {segment['seconds']:.1f} s"
            facts.append(("Learned from", used))
        parts.append(format_facts([(name, _to_text(v)) for name, v in facts if v]) + curve)
    return f"<div class='output'>{''.join(parts)}</div>"


def format_facts(lines: list[tuple[str, str]]) -> str:
    """Format titles and texts as a list of HTML."""
    rows = "".join(
        f"<dt>{html.escape(title)}</dt><dd>{html.escape(text)}</dd>" for title, text in lines
    )
    return f"<dl class='facts'>{rows}</dl>" if rows else ""


def _describe_row(job: Job) -> tuple[str, str, str]:
    """When a job was given, what it does, and its state."""
    when = time.strftime("%H:%M:%S", time.localtime(job.created))
    description = job.description
    what = "deleted"
    if description is not None:
        words = {"adapt": "Learn", "dub": "Dub", "render": "Dub", "compare": "Compare"}
        kind = words[description.kind]
        if description.options.get("preview"):
            kind = "Preview"
        what = f"{kind} {description.actor or ', '.join(description.outputs)}".strip()
    return when, what, STATE_WORDS[job.state]


def _format_progress(job: Job) -> str:
    """Format how far a job is."""
    if job.state == DONE:
        return "100 %"
    if job.state != "running":
        return ""
    progress = job.progress or {}
    share = 100 * (progress.get("fraction") or 0)
    left = progress.get("seconds_left")
    rest = f", about {left:.0f} s left" if left else ""
    words = html.escape(f"{progress.get('stage', 'start')}, {share:.0f} %{rest}")
    return f"<progress max='100' value='{share:.0f}' aria-label='progress'></progress> {words}"


def _format_video(url: str, title: str) -> str:
    return (
        f"<figure><video controls preload='metadata' src='{url}' aria-label='{title}' "
        # Browsers show few containers and codecs of films.
        "onerror=\"this.nextElementSibling.textContent += ': this browser cannot show the file'\">"
        "</video>"
        f"<figcaption>{title}</figcaption></figure>"
    )


def _format_curve(curve: list[Any]) -> str:
    """Draw the held-out likeness over the steps as SVG; empty with fewer than two points."""
    points = [
        (float(each[0]), float(each[2]))
        for each in curve
        if isinstance(each, list | tuple) and len(each) >= 3 and each[2] is not None
    ]
    if len(points) < 2:
        return ""
    (x0, x1), (y0, y1) = ((min(v), max(v)) for v in zip(*points, strict=True))
    line = " ".join(
        # ``or 1``: a flat curve is drawn at the bottom rather than divided by zero.
        f"{300 * (x - x0) / ((x1 - x0) or 1):.1f},{78 - 70 * (y - y0) / ((y1 - y0) or 1):.1f}"
        for x, y in points
    )
    title = f"Likeness of held-out frames: {y0:.1f} to {y1:.1f} dB over {x1:.0f} steps"
    return (
        f"<figure><svg viewBox='0 0 300 80' role='img' aria-label='{title}'>"
        f"<polyline points='{line}' fill='none' stroke='currentColor' stroke-width='2'/></svg>"
        f"<figcaption>{title}</figcaption></figure>"
    )


def _to_text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.1f}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_to_text, value))
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)


def _strip(text: str | None) -> str:
    """Return the text of a field; one that was never shown has None."""
    return (text or "").strip()


def _chosen(actor: str | None) -> str:
    if not actor:
        raise DubfewError("choose an actor first")
    return actor
