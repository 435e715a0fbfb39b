"""The layout of the page: tabs, fields and buttons."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from dubfew.errors import DubfewError
from dubfew.jobs.description import MAX_COMPARED
from dubfew.page.actions import (
    PageActions,
    format_facts,
    format_jobs,
    format_output,
    label_job,
)
from dubfew.page.studies import evaluate_study, make_study_archive
from dubfew.utils.import_utils import import_optional

# Time between two looks at the jobs, s.
REFRESH_SECONDS = 1.5
# Height of a field for a file, px: room for its three lines.
FILE_HEIGHT_PX = 150
# Endings that a file dialog offers; any file can be chosen, and is judged by its content.
VIDEO_TYPES = ["video", ".mxf", ".mpg", ".mts"]
SOUND_TYPES = ["audio", ".wav", ".flac"]
# Events are the page's own: Gradio's API offers none to other programs.
PRIVATE_EVENT: dict[str, Any] = {"api_visibility": "private"}
# Beside Gradio's own rules: contrast, a table of jobs, videos side by side, two columns of facts.
PAGE_CSS = """
.or { color: inherit !important; }
button[role=tab].selected { color: var(--primary-600) !important; }
.dark button[role=tab].selected { color: var(--primary-300) !important; }
[role=alert] { border-left: .3rem solid var(--error-border-color, #b91c1c); padding-left: .6rem; }
.jobs { width: 100%; border-collapse: collapse; }
.jobs th, .jobs td { text-align: left; padding: .4rem .6rem; }
.jobs th, .jobs td { border-color: var(--border-color-primary) !important; }
.jobs progress { appearance: none; height: .6rem; background: var(--border-color-primary); }
.jobs progress::-webkit-progress-bar { background: var(--border-color-primary); }
.jobs progress::-webkit-progress-value { background: var(--primary-600); }
.jobs progress::-moz-progress-bar { background: var(--primary-600); }
.output { display: flex; flex-wrap: wrap; gap: 1rem; }
.output figure { flex: 1 1 18rem; margin: 0; min-width: 0; }
.output video, .output svg { width: 100%; max-height: 60vh; }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1rem; flex: 1 1 100%; }
.facts dt { font-weight: 600; }
.facts dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 40rem) { .facts { grid-template-columns: 1fr; } }
"""


def make_theme() -> Any:
    """Make the theme: Gradio's own, with the fonts that the system has, so that none is fetched."""
    gradio = import_optional("gradio")
    theme = gradio.themes.Default(
        primary_hue="indigo",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
    # Darker than Gradio's own, for a contrast of 4.5 to 1 (WCAG 2, level AA).
    return theme.set(
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_hover_dark="*primary_700",
        button_cancel_background_fill="#b91c1c",
        button_cancel_background_fill_hover="#991b1b",
        button_cancel_text_color="white",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_label_text_color="*neutral_600",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_300",
    )


@dataclass(frozen=True)
class _LearnTab:
    """Components of the tab that learns an actor."""

    video: Any
    camera: Any
    name: Any
    consent: Any
    draft: Any
    learn: Any
    answer: Any


@dataclass(frozen=True)
class _DubTab:
    """Components of the tab that dubs a scene."""

    actor: Any
    scene: Any
    sound: Any
    microphone: Any
    language: Any
    script: Any
    face: Any
    preview: Any
    whole: Any
    answer: Any


@dataclass(frozen=True)
class _ActorsTab:
    """Components of the tab that shows, suspends and deletes actors."""

    actor: Any
    facts: Any
    reason: Any
    suspend: Any
    resume: Any
    typed: Any
    delete: Any
    answer: Any
    receipt: Any


@dataclass(frozen=True)
class _VerifyTab:
    """Components of the tab that reads the marks of a video."""

    video: Any
    verify: Any
    findings: Any


@dataclass(frozen=True)
class _CompareTab:
    """Components of the tab that compares outputs with their original."""

    original: Any
    outputs: Any
    view: Any
    measure: Any
    compare: Any
    answer: Any


@dataclass(frozen=True)
class _StudyTab:
    """Components of the tab that asks people."""

    names: tuple[Any, Any]
    videos: tuple[Any, Any]
    kind: Any
    title: Any
    catch: Any
    make: Any
    answer: Any
    archive: Any
    key: Any
    answers: Any
    collect: Any
    result: Any


@dataclass(frozen=True)
class _JobsSection:
    """Components below the tabs: the jobs, and the one that is shown."""

    table: Any
    chosen: Any
    cancel: Any
    answer: Any
    shown: Any
    clock: Any


def make_blocks(actions: PageActions) -> Any:
    """Make the page.

    Args:
        actions: what the buttons do.

    Returns:
        Gradio's ``Blocks``.
    """
    gradio = import_optional("gradio")
    # The components appear on the page in the order in which they are made.
    with gradio.Blocks(title="dubfew", analytics_enabled=False) as page:
        gradio.Markdown(
            "# dubfew\nLearn an actor, then make them speak. Nothing leaves this machine."
        )
        with gradio.Tabs():
            learning = _make_learn_tab(gradio)
            dubbing = _make_dub_tab(gradio, actions)
            actors = _make_actors_tab(gradio, actions)
            verifying = _make_verify_tab(gradio)
            comparing = _make_compare_tab(gradio)
            asking = _make_study_tab(gradio)
        jobs = _make_jobs_section(gradio, actions)
        handlers = _PageHandlers(gradio, actions)
        _connect_jobs(page, jobs, dubbing, actors, handlers)
        _connect_learn_tab(learning, jobs, handlers)
        _connect_dub_tab(dubbing, jobs, handlers)
        _connect_actors_tab(actors, dubbing, handlers)
        verifying.verify.click(
            handlers.report_errors(handlers.verify, 1),
            verifying.video,
            [verifying.findings, verifying.video],
            **PRIVATE_EVENT,
        )
        _connect_compare_tab(comparing, jobs, handlers)
        _connect_study_tab(asking, handlers)
    return page


def _make_learn_tab(gradio: Any) -> _LearnTab:
    with gradio.Tab("Learn"):
        video = gradio.File(
            label="Video of the actor, 2 to 10 seconds or more",
            file_types=VIDEO_TYPES,
            height=FILE_HEIGHT_PX,
        )
        # Folded away: the browser asks for the camera only once it is opened and clicked.
        with gradio.Accordion("Or record with the camera", open=False):
            camera = gradio.Video(
                label="Camera",
                sources=["webcam"],
                include_audio=True,
                # Mirrored film would be turned back by an FFmpeg program, which need not exist.
                webcam_options=gradio.WebcamOptions(mirror=False),
            )
        return _LearnTab(
            video=video,
            camera=camera,
            name=gradio.Textbox(label="Id of the actor", placeholder="mary", max_lines=1),
            consent=gradio.File(
                label="Consent record (optional)", file_types=[".json"], height=FILE_HEIGHT_PX
            ),
            draft=gradio.Checkbox(label="Draft: do not train, done in seconds"),
            learn=gradio.Button("Learn", variant="primary"),
            answer=gradio.Markdown(),
        )


def _make_dub_tab(gradio: Any, actions: PageActions) -> _DubTab:
    with gradio.Tab("Dub"):
        actor = gradio.Dropdown(label="Actor", choices=actions.list_actors())
        scene = gradio.File(
            label="Scene (default: the actor's own footage)",
            file_types=VIDEO_TYPES,
            height=FILE_HEIGHT_PX,
        )
        sound = gradio.File(label="New speech", file_types=SOUND_TYPES, height=FILE_HEIGHT_PX)
        with gradio.Accordion("Or record with the microphone", open=False):
            microphone = gradio.Audio(label="Microphone", sources=["microphone"], type="filepath")
        # What a first dub does without is folded away.
        with gradio.Accordion("More", open=False):
            language = gradio.Textbox(label="Language of the speech, such as de", max_lines=1)
            script = gradio.Textbox(label="Text of the speech (optional)", lines=3)
            face = gradio.Textbox(
                label="Face in the scene: its number, largest, or X,Y", max_lines=1
            )
        with gradio.Row():
            preview = gradio.Button("Preview two seconds")
            whole = gradio.Button("Dub the whole", variant="primary")
        answer = gradio.Markdown()
    return _DubTab(actor, scene, sound, microphone, language, script, face, preview, whole, answer)


def _make_actors_tab(gradio: Any, actions: PageActions) -> _ActorsTab:
    with gradio.Tab("Actors"):
        actor = gradio.Dropdown(label="Actor", choices=actions.list_actors())
        facts = gradio.HTML()
        reason = gradio.Textbox(label="Reason of a suspension (optional)", max_lines=1)
        with gradio.Row():
            suspend = gradio.Button("Suspend")
            resume = gradio.Button("Resume")
        # Deleting cannot be undone, so one click is not enough.
        typed = gradio.Textbox(label="Type the id here to delete the actor for ever", max_lines=1)
        delete = gradio.Button("Delete", variant="stop")
        answer = gradio.Markdown()
        receipt = gradio.Code(label="Receipt of the deletion", language="json", visible=False)
    return _ActorsTab(actor, facts, reason, suspend, resume, typed, delete, answer, receipt)


def _make_verify_tab(gradio: Any) -> _VerifyTab:
    with gradio.Tab("Verify"):
        return _VerifyTab(
            video=gradio.File(
                label="Video to check", file_types=VIDEO_TYPES, height=FILE_HEIGHT_PX
            ),
            verify=gradio.Button("Verify", variant="primary"),
            findings=gradio.HTML(),
        )


def _make_compare_tab(gradio: Any) -> _CompareTab:
    with gradio.Tab("Compare"):
        return _CompareTab(
            original=gradio.File(
                label="Original video", file_types=VIDEO_TYPES, height=FILE_HEIGHT_PX
            ),
            outputs=gradio.File(
                label=f"Dubbed videos, up to {MAX_COMPARED}",
                file_types=VIDEO_TYPES,
                file_count="multiple",
                height=FILE_HEIGHT_PX,
            ),
            view=gradio.Radio(
                label="View",
                choices=[
                    ("Beside each other", "side"),
                    ("Behind a moving line", "wipe"),
                    ("Differences", "difference"),
                ],
                value="side",
            ),
            measure=gradio.Checkbox(label="Also measure them: curves and worst moments"),
            compare=gradio.Button("Compare", variant="primary"),
            answer=gradio.Markdown(),
        )


def _make_study_tab(gradio: Any) -> _StudyTab:
    with gradio.Tab("Study"):
        gradio.Markdown(
            "Ask people which of two systems looks real. A clip has the same file name in both."
        )
        names, videos = [], []
        with gradio.Row():
            for number in (1, 2):
                with gradio.Column():
                    names.append(gradio.Textbox(label=f"Name of system {number}", max_lines=1))
                    videos.append(
                        gradio.File(
                            label=f"Videos of system {number}",
                            file_types=VIDEO_TYPES,
                            file_count="multiple",
                            height=FILE_HEIGHT_PX,
                        )
                    )
        kind = gradio.Radio(
            label="Question",
            choices=[("Which of two", "preference"), ("Grades from 1 to 5", "grades")],
            value="preference",
        )
        title = gradio.Textbox(label="Heading of the study's page (optional)", max_lines=1)
        catch = gradio.Number(label="Trials with a known answer", value=2, precision=0, minimum=0)
        make = gradio.Button("Make the study", variant="primary")
        answer = gradio.Markdown()
        archive = gradio.File(label="Study", visible=False, interactive=False)
        gradio.Markdown("## Answers")
        key = gradio.File(
            label="The study's archive, or its key.json",
            file_types=[".zip", ".json"],
            height=FILE_HEIGHT_PX,
        )
        answers = gradio.File(
            label="Files that viewers saved",
            file_types=[".csv"],
            file_count="multiple",
            height=FILE_HEIGHT_PX,
        )
        collect = gradio.Button("Evaluate the answers")
        result = gradio.Markdown()
    return _StudyTab(
        (names[0], names[1]),
        (videos[0], videos[1]),
        kind,
        title,
        catch,
        make,
        answer,
        archive,
        key,
        answers,
        collect,
        result,
    )


def _make_jobs_section(gradio: Any, actions: PageActions) -> _JobsSection:
    gradio.Markdown("## Jobs\nThey go on when this page is closed.")
    table = gradio.HTML(format_jobs(actions.jobs()))
    with gradio.Row():
        chosen = gradio.Dropdown(label="Show a job", choices=[])
        cancel = gradio.Button("Cancel this job")
    return _JobsSection(
        table, chosen, cancel, gradio.Markdown(), gradio.HTML(), gradio.Timer(REFRESH_SECONDS)
    )


class _PageHandlers:
    """Handlers of the page's events: they call `PageActions` and say what components show then."""

    def __init__(self, gradio: Any, actions: PageActions) -> None:
        self._gradio, self.actions = gradio, actions

    def report_errors(self, function: Callable[..., Any], others: int = 0) -> Callable[..., Any]:
        """Show the library's own sentence where a button cannot do its work.

        Args:
            function: what the button does; its first output is a text.
            others: number of its other outputs, which then stay as they are.
        """

        def handle(*values: Any) -> Any:
            try:
                return function(*values)
            except DubfewError as error:
                sentence = f"<p role='alert'>{html.escape(str(error))}</p>"
                return (sentence, *[self._gradio.skip()] * others) if others else sentence

        return handle

    def list_jobs(self, job: str | None) -> Any:
        """Offer the jobs in the list, and keep the chosen one while it is there."""
        jobs = self.actions.jobs()
        names = [(label_job(each), each.id) for each in jobs]
        value = job if job in {each.id for each in jobs} else None
        return self._gradio.update(choices=names, value=value)

    def refresh_jobs(self, job: str | None) -> tuple[Any, Any]:
        """Return the table of jobs, and the list to choose one from."""
        return format_jobs(self.actions.jobs()), self.list_jobs(job)

    def show_job(self, job: str | None) -> str:
        """Return the outcome of a job; nothing where it is gone."""
        found = [each for each in self.actions.jobs() if each.id == job]
        return format_output(found[0]) if found else ""

    def list_actors(self) -> tuple[Any, Any]:
        """Offer the actors in both lists of them."""
        update = self._gradio.update(choices=self.actions.list_actors())
        return update, update

    def learn(self, *values: Any) -> tuple[Any, ...]:
        """Give a job that learns; the files leave their fields, so that none is given twice."""
        video, camera, *others = values
        job = self.actions.learn(video or camera, *others)
        return f"{label_job(job)}; see Jobs below.", None, None, None, self.list_jobs(job.id)

    def dub(self, *values: Any, preview: bool) -> tuple[Any, ...]:
        """Give a job that dubs."""
        actor, scene, sound, microphone, script, language, face = values
        job = self.actions.dub(
            actor,
            scene,
            sound or microphone,
            transcript=script,
            language=language,
            face=face,
            preview=preview,
        )
        return f"{label_job(job)}; see Jobs below.", None, None, None, self.list_jobs(job.id)

    def compare(self, *values: Any) -> tuple[Any, ...]:
        """Give a job that compares."""
        job = self.actions.compare(*values)
        return f"{label_job(job)}; see Jobs below.", None, None, self.list_jobs(job.id)

    def make_study(self, *values: Any) -> tuple[Any, ...]:
        """Make a study and offer its archive."""
        first, one, second, two, kind, title, catch = values
        folder = self.actions.make_download_folder()
        sentence, archive = make_study_archive(
            folder,
            [(first or "", one or []), (second or "", two or [])],
            kind=kind,
            catch=int(catch or 0),
            title=title or "",
        )
        return sentence, self._gradio.update(value=str(archive), visible=True), None, None

    def describe_actor(self, actor: str | None) -> str:
        """Return the facts of an actor."""
        return format_facts(self.actions.describe_actor(actor))

    def delete(self, actor: str | None, typed: str) -> tuple[str, Any, str, Any]:
        """Delete an actor and show the receipt."""
        text = self.actions.delete(actor, typed)
        return f"{actor} is deleted.", self._gradio.update(value=text, visible=True), "", None

    def verify(self, path: str | None) -> tuple[str, None]:
        """List what the marks of a video say."""
        lines = self.actions.verify(path)
        items = "".join(f"<li>{html.escape(each)}</li>" for each in lines)
        return f"<ul>{items}</ul>", None


def _connect_jobs(
    page: Any, jobs: _JobsSection, dubbing: _DubTab, actors: _ActorsTab, handlers: _PageHandlers
) -> None:
    """Keep the jobs and the lists of actors up to date."""
    # Without the bar of progress, which would flicker at every look.
    hidden: dict[str, Any] = {**PRIVATE_EVENT, "show_progress": "hidden"}
    lists = [dubbing.actor, actors.actor]
    jobs.clock.tick(handlers.refresh_jobs, jobs.chosen, [jobs.table, jobs.chosen], **hidden)
    jobs.chosen.change(handlers.show_job, jobs.chosen, jobs.shown, **hidden)
    # A job that ends changes the table: its outcome appears, and a learned actor can be chosen.
    jobs.table.change(handlers.show_job, jobs.chosen, jobs.shown, **hidden)
    page.load(handlers.list_actors, None, lists, **hidden)
    jobs.table.change(handlers.list_actors, None, lists, **hidden)
    jobs.cancel.click(
        handlers.report_errors(handlers.actions.cancel), jobs.chosen, jobs.answer, **PRIVATE_EVENT
    )


def _connect_learn_tab(tab: _LearnTab, jobs: _JobsSection, handlers: _PageHandlers) -> None:
    tab.learn.click(
        handlers.report_errors(handlers.learn, 4),
        [tab.video, tab.camera, tab.name, tab.consent, tab.draft],
        [tab.answer, tab.video, tab.camera, tab.consent, jobs.chosen],
        **PRIVATE_EVENT,
    )


def _connect_dub_tab(tab: _DubTab, jobs: _JobsSection, handlers: _PageHandlers) -> None:
    for button, preview in ((tab.preview, True), (tab.whole, False)):
        button.click(
            handlers.report_errors(partial(handlers.dub, preview=preview), 4),
            [
                tab.actor,
                tab.scene,
                tab.sound,
                tab.microphone,
                tab.script,
                tab.language,
                tab.face,
            ],
            [tab.answer, tab.scene, tab.sound, tab.microphone, jobs.chosen],
            **PRIVATE_EVENT,
        )


def _connect_compare_tab(tab: _CompareTab, jobs: _JobsSection, handlers: _PageHandlers) -> None:
    tab.compare.click(
        handlers.report_errors(handlers.compare, 3),
        [tab.original, tab.outputs, tab.view, tab.measure],
        [tab.answer, tab.original, tab.outputs, jobs.chosen],
        **PRIVATE_EVENT,
    )


def _connect_study_tab(tab: _StudyTab, handlers: _PageHandlers) -> None:
    (first, second), (one, two) = tab.names, tab.videos
    tab.make.click(
        handlers.report_errors(handlers.make_study, 3),
        [first, one, second, two, tab.kind, tab.title, tab.catch],
        [tab.answer, tab.archive, one, two],
        **PRIVATE_EVENT,
    )
    tab.collect.click(
        handlers.report_errors(evaluate_study), [tab.key, tab.answers], tab.result, **PRIVATE_EVENT
    )


def _connect_actors_tab(tab: _ActorsTab, dubbing: _DubTab, handlers: _PageHandlers) -> None:
    describe = handlers.report_errors(handlers.describe_actor)
    tab.actor.change(describe, tab.actor, tab.facts, **PRIVATE_EVENT)
    # The facts say whether an actor is suspended, so they are read again after either button.
    for button, function, inputs in (
        (tab.suspend, handlers.actions.suspend, [tab.actor, tab.reason]),
        (tab.resume, handlers.actions.resume, [tab.actor]),
    ):
        button.click(handlers.report_errors(function), inputs, tab.answer, **PRIVATE_EVENT).then(
            describe, tab.actor, tab.facts, **PRIVATE_EVENT
        )
    tab.delete.click(
        handlers.report_errors(handlers.delete, 3),
        [tab.actor, tab.typed],
        [tab.answer, tab.receipt, tab.typed, tab.actor],
        **PRIVATE_EVENT,
    ).then(handlers.list_actors, None, [dubbing.actor, tab.actor], **PRIVATE_EVENT)
