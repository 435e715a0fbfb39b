"""The layout of the page: tabs, fields and buttons."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

from dubfew.errors import DubfewError
from dubfew.page.actions import (
    PageActions,
    format_facts,
    format_jobs,
    format_output,
    label_job,
)
from dubfew.utils.import_utils import import_optional

# Time between two looks at the jobs, s.
REFRESH_SECONDS = 1.5
# Height of a field for a file, px: room for its three lines.
FILE_HEIGHT_PX = 150
# Endings that a file dialog offers; any file can be chosen, and is judged by its content.
VIDEO_TYPES = ["video", ".mxf", ".mpg", ".mts"]
SOUND_TYPES = ["audio", ".wav", ".flac"]
PAGE_CSS = """
.or { color: inherit !important; }
.dark button[role=tab].selected { color: var(--primary-300) !important; }
[role=alert] { border-left: .3rem solid var(--error-border-color, #b91c1c); padding-left: .6rem; }
.jobs { width: 100%; border-collapse: collapse; }
.jobs th, .jobs td { text-align: left; padding: .4rem .6rem; }
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


def make_blocks(actions: PageActions) -> Any:
    """Make the page.

    Args:
        actions: what the buttons do.

    Returns:
        Gradio's ``Blocks``.
    """
    gradio = import_optional("gradio")

    def say(function: Callable[..., Any], others: int = 0) -> Callable[..., Any]:
        """Show the library's own sentence where a button cannot do its work.

        Args:
            function: what the button does; its first output is a text.
            others: number of its other outputs, which then stay as they are.
        """

        def wrapper(*values: Any) -> Any:
            try:
                return function(*values)
            except DubfewError as error:
                sentence = f"<p role='alert'>{html.escape(str(error))}</p>"
                return (sentence, *[gradio.skip()] * others) if others else sentence

        return wrapper

    with gradio.Blocks(title="dubfew", analytics_enabled=False) as page:
        gradio.Markdown(
            "# dubfew\nLearn an actor, then make them speak. Nothing leaves this machine."
        )
        with gradio.Tabs():
            with gradio.Tab("Learn"):
                video = gradio.File(
                    label="Video of the actor, 2 to 10 seconds or more",
                    file_types=VIDEO_TYPES,
                    height=FILE_HEIGHT_PX,
                )
                name = gradio.Textbox(label="Id of the actor", placeholder="mary", max_lines=1)
                consent = gradio.File(
                    label="Consent record (optional)", file_types=[".json"], height=FILE_HEIGHT_PX
                )
                draft = gradio.Checkbox(label="Draft: do not train, done in seconds")
                learn = gradio.Button("Learn", variant="primary")
                learned = gradio.Markdown()
            with gradio.Tab("Dub"):
                actor = gradio.Dropdown(label="Actor", choices=actions.list_actors())
                scene = gradio.File(
                    label="Scene (default: the actor's own footage)",
                    file_types=VIDEO_TYPES,
                    height=FILE_HEIGHT_PX,
                )
                sound = gradio.File(
                    label="New speech", file_types=SOUND_TYPES, height=FILE_HEIGHT_PX
                )
                with gradio.Accordion("More", open=False):
                    language = gradio.Textbox(
                        label="Language of the speech, such as de", max_lines=1
                    )
                    script = gradio.Textbox(label="Text of the speech (optional)", lines=3)
                    face = gradio.Textbox(
                        label="Face in the scene: its number, largest, or X,Y", max_lines=1
                    )
                with gradio.Row():
                    preview = gradio.Button("Preview two seconds")
                    whole = gradio.Button("Dub the whole", variant="primary")
                dubbed = gradio.Markdown()
            with gradio.Tab("Actors"):
                who = gradio.Dropdown(label="Actor", choices=actions.list_actors())
                facts = gradio.HTML()
                reason = gradio.Textbox(label="Reason of a suspension (optional)", max_lines=1)
                with gradio.Row():
                    suspend = gradio.Button("Suspend")
                    resume = gradio.Button("Resume")
                typed = gradio.Textbox(
                    label="Type the id here to delete the actor for ever", max_lines=1
                )
                delete = gradio.Button("Delete", variant="stop")
                told = gradio.Markdown()
                receipt = gradio.Code(
                    label="Receipt of the deletion", language="json", visible=False
                )
            with gradio.Tab("Verify"):
                checked = gradio.File(
                    label="Video to check", file_types=VIDEO_TYPES, height=FILE_HEIGHT_PX
                )
                verify = gradio.Button("Verify", variant="primary")
                findings = gradio.HTML()
        gradio.Markdown("## Jobs\nThey go on when this page is closed.")
        table = gradio.HTML(format_jobs(actions.jobs()))
        with gradio.Row():
            chosen = gradio.Dropdown(label="Show a job", choices=[])
            cancel = gradio.Button("Cancel this job")
        cancelled = gradio.Markdown()
        shown = gradio.HTML()
        clock = gradio.Timer(REFRESH_SECONDS)

        def choose(job: str | None) -> Any:
            jobs = actions.jobs()
            names = [(label_job(each), each.id) for each in jobs]
            value = job if job in {each.id for each in jobs} else None
            return gradio.update(choices=names, value=value)

        def refresh(job: str | None) -> tuple[Any, Any]:
            return format_jobs(actions.jobs()), choose(job)

        def show(job: str | None) -> str:
            found = [each for each in actions.jobs() if each.id == job]
            return format_output(found[0]) if found else ""

        def reload() -> tuple[Any, Any]:
            update = gradio.update(choices=actions.list_actors())
            return update, update

        def give_learn(*values: Any) -> tuple[str, Any, Any, Any]:
            job = actions.learn(*values)
            return f"{label_job(job)}; see Jobs below.", None, None, choose(job.id)

        def give_dub(*values: Any) -> tuple[str, Any, Any, Any]:
            who_speaks, filmed, spoken, text, tongue, which = values[:6]
            job = actions.dub(
                who_speaks,
                filmed,
                spoken,
                transcript=text,
                language=tongue,
                face=which,
                preview=values[6],
            )
            return f"{label_job(job)}; see Jobs below.", None, None, choose(job.id)

        def give_deletion(name: str | None, again: str) -> tuple[str, Any, str, Any]:
            text = actions.delete(name, again)
            return f"{name} is deleted.", gradio.update(value=text, visible=True), "", None

        def check(path: str | None) -> tuple[str, None]:
            lines = actions.verify(path)
            items = "".join(f"<li>{html.escape(each)}</li>" for each in lines)
            return f"<ul>{items}</ul>", None

        hidden: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        clock.tick(refresh, chosen, [table, chosen], **hidden)
        chosen.change(show, chosen, shown, **hidden)
        table.change(show, chosen, shown, **hidden)
        page.load(reload, None, [actor, who], **hidden)
        table.change(reload, None, [actor, who], **hidden)
        private: dict[str, Any] = {"api_visibility": "private"}
        learn.click(
            say(give_learn, 3),
            [video, name, consent, draft],
            [learned, video, consent, chosen],
            **private,
        )
        given = [actor, scene, sound, script, language, face]
        for button, is_preview in ((preview, True), (whole, False)):
            button.click(
                say(lambda *values, is_preview=is_preview: give_dub(*values, is_preview), 3),
                given,
                [dubbed, scene, sound, chosen],
                **private,
            )
        who.change(
            say(lambda name: format_facts(actions.describe_actor(name))), who, facts, **private
        )
        suspend.click(say(actions.suspend), [who, reason], told, **private).then(
            say(lambda name: format_facts(actions.describe_actor(name))), who, facts, **private
        )
        resume.click(say(actions.resume), who, told, **private).then(
            say(lambda name: format_facts(actions.describe_actor(name))), who, facts, **private
        )
        delete.click(
            say(give_deletion, 3), [who, typed], [told, receipt, typed, who], **private
        ).then(reload, None, [actor, who], **private)
        verify.click(say(check, 1), checked, [findings, checked], **private)
        cancel.click(say(actions.cancel), chosen, cancelled, **private)
    return page
