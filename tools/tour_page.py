"""Drive the page of ``dubfew app`` in a real browser, from an empty home: pictures and a report.

    pip install 'dubfew[app]' playwright axe-core-python
    python -m tools.tour_page --chromium /usr/bin/chromium --out FOLDER

The person of the tour is the bundled one, who does not exist. Every tab is looked at in two widths
and two themes, and every state of the flow is a picture: learn, dub while the tab is closed,
verify, compare, a study, suspend, delete; the camera, by a file in its place; 20 uploads at once.
axe-core looks at each. The browser reaches nothing but this machine, and its requests are listed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "dubfew" / "demo"
ACTOR_CLIP, NEW_SPEECH = DEMO / "actor.mp4", DEMO / "dub.wav"
PARTS = ("tabs", "dub", "judge", "camera", "actors", "uploads")
TABS = ("Learn", "Dub", "Actors", "Verify", "Compare", "Study")
# Width of a desk and of a phone, px.
WIDTHS = (1280, 390)
THEMES = ("light", "dark")
HEIGHT_PX = 900
# Longest time of a job, s.
MAX_JOB_SECONDS = 600
# Time in which Gradio shows what a click changed, s.
SETTLE_SECONDS = 1.5
UPLOADS = 20
# Frames of the scene that is dubbed.
SCENE_FRAMES = 50
# Viewers of the study; the last one does not look.
NUM_VIEWERS = 4


@dataclass
class TourReport:
    """What was seen.

    Attributes:
        violations: findings of axe-core, by the name of the picture.
        hosts: hosts that the browser asked.
        errors: errors of the browser's console.
        facts: what else was checked, by name.
        failures: parts of the tour that could not be finished, and why.
    """

    violations: dict[str, list[str]] = field(default_factory=dict)
    hosts: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


class PageTour:
    """One browser that looks at one page.

    Args:
        browser: Playwright's browser.
        url: address of the page.
        out: folder of the pictures.
    """

    def __init__(self, browser: Any, url: str, out: Path) -> None:
        from axe_core_python.sync_playwright import Axe

        self.browser, self.url, self.out = browser, url, out
        self.report = TourReport()
        self._axe = Axe()

    @contextmanager
    def tab(self, width: int = WIDTHS[0], theme: str = THEMES[0], **more: Any) -> Iterator[Any]:
        """Open the page in a new tab, and close it at the end."""
        context = self.browser.new_context(
            viewport={"width": width, "height": HEIGHT_PX}, color_scheme=theme, **more
        )
        try:
            yield self.open_page(context)
        finally:
            context.close()

    def open_page(self, context: Any) -> Any:
        """Open the page in a context, and note what it asks for."""
        page = context.new_page()
        page.on("request", lambda request: self.note_request(request.url))
        page.on("console", self._note_message)
        page.goto(self.url, wait_until="domcontentloaded", timeout=120_000)
        page.get_by_role("tab", name=TABS[0]).wait_for(timeout=120_000)
        page.wait_for_timeout(1000 * SETTLE_SECONDS)
        return page

    def look(self, page: Any, name: str) -> None:
        """Take a picture, and let axe-core look."""
        page.wait_for_timeout(1000 * SETTLE_SECONDS)
        page.screenshot(path=self.out / f"{name}.png", full_page=True)
        found = self._axe.run(page)["violations"]
        self.report.violations[name] = [
            f"{each['id']} ({len(each['nodes'])}): {each['nodes'][0]['html'][:120]}"
            for each in found
        ]

    def note_request(self, url: str) -> None:
        """Keep the host that the browser asked; other addresses by their scheme."""
        parts = urlsplit(url)
        self.report.hosts.add(parts.hostname or f"{parts.scheme}:")

    def _note_message(self, message: Any) -> None:
        if message.type == "error":
            self.report.errors.append(message.text[:200])


def show_tab(page: Any, name: str) -> None:
    """Choose a tab; on a narrow page some are in the menu behind the others."""
    found = page.get_by_role("tab", name=name)
    if not found.is_visible():
        page.locator(".overflow-menu > button").click()
        page.locator(".overflow-dropdown button", has_text=name).click()
    else:
        found.click()
    page.wait_for_timeout(1000 * SETTLE_SECONDS)


def choose_files(page: Any, label: str, *paths: Path) -> None:
    """Give files to the field of a label, and wait until they are sent."""
    block = page.locator(".block", has=page.locator("label", has_text=label))
    block = block.locator("visible=true").last
    block.locator("input[type=file]").set_input_files([str(path) for path in paths])
    block.locator(".file-preview").wait_for(timeout=60_000)


def choose(page: Any, label: str, value: str) -> None:
    """Choose from a list."""
    page.get_by_label(label, exact=True).locator("visible=true").first.click()
    page.get_by_role("option", name=re.compile(re.escape(value))).first.click()


def wait_for_job(page: Any, job: str) -> str:
    """Wait until the newest job of some words has ended, and return its row of the table."""
    end = time.monotonic() + MAX_JOB_SECONDS
    state = ""
    while time.monotonic() < end:
        rows = page.locator(".jobs tbody tr", has_text=job)
        state = rows.first.locator("td").nth(2).inner_text() if rows.count() else ""
        if state in ("done", "failed", "cancelled"):
            # The outcome appears with the next look of the page.
            page.wait_for_timeout(2000 * SETTLE_SECONDS)
            return " ".join(rows.first.inner_text().split())
        page.wait_for_timeout(1000)
    raise SystemExit(f"the job has not ended in {MAX_JOB_SECONDS} s: {state}")


def look_at_tabs(tour: PageTour) -> None:
    """Look at every tab in every width and theme."""
    for width in WIDTHS:
        for theme in THEMES:
            with tour.tab(width, theme) as page:
                for name in TABS:
                    show_tab(page, name)
                    tour.look(page, f"{name.lower()}-{width}-{theme}")


def learn_and_dub(tour: PageTour, home: Path) -> None:
    """Learn, dub with the tab closed, verify."""
    facts = tour.report.facts
    scene = write_scene(tour.out / "scene.mp4")
    with tour.tab() as page:
        page.get_by_role("button", name="Learn", exact=True).click()
        page.locator("p[role=alert]").wait_for()
        tour.look(page, "flow-01-error")
        choose_files(page, "Video of the actor", ACTOR_CLIP)
        page.get_by_label("Id of the actor").fill("mary")
        page.get_by_label("Draft: do not train").check()
        page.get_by_role("button", name="Learn", exact=True).click()
        tour.look(page, "flow-02-learning")
        facts["learned"] = wait_for_job(page, "Learn mary")
        tour.look(page, "flow-03-learned")
        show_tab(page, "Dub")
        choose(page, "Actor", "mary")
        choose_files(page, "Scene", scene)
        choose_files(page, "New speech", NEW_SPEECH)
        page.get_by_role("button", name="Dub the whole").click()
        tour.look(page, "flow-04-dubbing")
    # The tab is closed; the job goes on.
    folders = set((home / "jobs").glob("*/*/output*.mp4"))
    end = time.monotonic() + MAX_JOB_SECONDS
    while not folders and time.monotonic() < end:
        time.sleep(1)
        folders = set((home / "jobs").glob("*/*/output*.mp4"))
    (dubbed,) = folders
    with tour.tab(WIDTHS[1], THEMES[1]) as page:
        facts["dubbed while the tab was closed"] = wait_for_job(page, "Dub mary")
        page.get_by_label("Show a job").click()
        page.get_by_role("option").first.click()
        page.locator(".output video").last.wait_for()
        page.wait_for_function(
            "[...document.querySelectorAll('.output video')].every(v => v.readyState > 1)"
        )
        tour.look(page, "flow-05-dubbed-390-dark")
    kept = tour.out / "dubbed.mp4"
    kept.write_bytes(dubbed.read_bytes())
    with tour.tab() as page:
        show_tab(page, "Verify")
        choose_files(page, "Video to check", kept)
        page.get_by_role("button", name="Verify", exact=True).click()
        page.locator("li", has_text="marks are intact").wait_for(timeout=120_000)
        facts["verified"] = page.locator("li").all_inner_texts()
        tour.look(page, "flow-06-verified")


def compare_and_ask(tour: PageTour) -> None:
    """Compare the dub with its scene, and make a study of both that viewers answer."""
    facts = tour.report.facts
    scene, kept = tour.out / "scene.mp4", tour.out / "dubbed.mp4"
    with tour.tab() as page:
        show_tab(page, "Compare")
        choose_files(page, "Original video", scene)
        choose_files(page, "Dubbed videos", kept)
        page.get_by_label("Also measure them").check()
        page.get_by_role("button", name="Compare", exact=True).click()
        facts["compared"] = wait_for_job(page, "Compare")
        tour.look(page, "flow-07-compared")
        with page.context.expect_page() as opened:
            page.get_by_role("link", name=re.compile("Measures of")).click()
        opened.value.wait_for_load_state()
        tour.look(opened.value, "flow-08-measures")
        opened.value.close()
        show_tab(page, "Study")
        for number, path in ((1, scene), (2, kept)):
            copy = tour.out / f"system{number}" / "clip.mp4"
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(path.read_bytes())
            page.get_by_label(f"Name of system {number}").fill(path.stem)
            choose_files(page, f"Videos of system {number}", copy)
        page.get_by_role("button", name="Make the study").click()
        page.get_by_text("Give viewers the folder").wait_for(timeout=120_000)
        tour.look(page, "flow-09-study")
        with page.expect_download() as given:
            page.locator("a[download='study.zip']").click()
        archive = tour.out / "study.zip"
        given.value.save_as(archive)
        answers = answer_study(tour, archive, kept.stem)
        choose_files(page, "The study's archive", archive)
        choose_files(page, "Files that viewers saved", *answers)
        page.get_by_role("button", name="Evaluate the answers").click()
        page.get_by_text("viewers, ").wait_for(timeout=60_000)
        facts["study"] = (
            page.locator("table", has_text="preferred").locator("tbody tr").all_inner_texts()
        )
        tour.look(page, "flow-09-study-evaluated")


def suspend_and_delete(tour: PageTour, home: Path) -> None:
    """Suspend an actor, resume and delete them."""
    with tour.tab() as page:
        show_tab(page, "Actors")
        page.get_by_label("Actor", exact=True).locator("visible=true").first.click()
        first = page.get_by_role("option").first
        actor = first.inner_text().strip().split()[-1]
        first.click()
        page.get_by_label("Reason of a suspension").fill("asked to")
        page.get_by_role("button", name="Suspend").click()
        page.get_by_text(f"{actor} is suspended").wait_for()
        tour.look(page, "flow-10-suspended")
        page.get_by_role("button", name="Resume").click()
        page.get_by_text("can be rendered again").wait_for()
        page.get_by_label("Type the id here").fill(actor)
        page.get_by_role("button", name="Delete").click()
        page.get_by_text(f"{actor} is deleted").wait_for()
        tour.look(page, "flow-11-deleted")
    dubs = [*(home / "jobs").glob("*/*/output.mp4")]
    tour.report.facts["files after the deletion"] = f"{len(dubs)} outputs of jobs without an actor"


def answer_study(tour: PageTour, archive: Path, favorite: str) -> list[Path]:
    """Open a study's page from its folder, and answer it as several viewers do.

    Args:
        tour: the tour.
        archive: the study.
        favorite: system that all viewers prefer; the last one prefers spoilt copies, too.

    Returns:
        The files that the viewers saved.
    """
    folder = tour.out / "study"
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    key = json.loads((folder / "key.json").read_text())
    systems = {
        media: system
        for trial in key["trials"]
        for media, system in zip(trial["media"], trial["systems"], strict=True)
    }
    saved: list[Path] = []
    for viewer in range(NUM_VIEWERS):
        context = tour.browser.new_context(viewport={"width": 1100, "height": 800})
        page = context.new_page()
        page.on("request", lambda request: tour.note_request(request.url))
        page.goto((folder / "page" / "index.html").absolute().as_uri())
        while number := page.locator("video").count():
            # Answers open when both videos ran to their end.
            assert page.locator("button[data-side]").first.is_disabled()
            for place in range(number):
                page.evaluate(
                    "k => { const v = document.querySelectorAll('video')[k];"
                    " v.muted = true; v.playbackRate = 4; return v.play() }",
                    place,
                )
                page.wait_for_function(
                    "k => document.querySelectorAll('video')[k].ended", arg=place, timeout=60_000
                )
            if not saved:
                tour.look(page, f"study-page-{page.locator('h1').count()}")
            names = page.evaluate(
                "[...document.querySelectorAll('video')].map(v => v.src.split('/').pop())"
            )
            shown = [systems[name] for name in names]
            is_catch = "catch-bad" in shown
            careless = is_catch and viewer == NUM_VIEWERS - 1
            wanted = favorite if not is_catch else "catch-bad" if careless else "catch-good"
            page.locator(f"button[data-side='{shown.index(wanted)}']").click()
        with page.expect_download() as given:
            page.locator("#save").click()
        saved.append(tour.out / f"viewer{viewer}.csv")
        given.value.save_as(saved[-1])
        context.close()
    return saved


def learn_from_camera(tour: PageTour) -> None:
    """Record with a camera, in whose place a file is, and learn from it."""
    with tour.tab(permissions=["camera", "microphone"]) as page:
        page.get_by_role("button", name="Or record with the camera").click()
        page.get_by_text("Click to Access Webcam").first.click()
        page.wait_for_timeout(3000)
        tour.look(page, "camera-1-seen")
        # One button starts and ends the recording.
        page.get_by_label("start recording").click()
        page.wait_for_timeout(5000)
        page.get_by_label("start recording").click()
        page.wait_for_timeout(4000)
        tour.look(page, "camera-2-recorded")
        page.get_by_label("Id of the actor").fill("filmed")
        page.get_by_label("Draft: do not train").check()
        page.get_by_role("button", name="Learn", exact=True).click()
        page.wait_for_timeout(3000)
        tour.report.facts["camera"] = wait_for_job(page, "Learn filmed")
        tour.look(page, "camera-3-learned")


def upload_together(tour: PageTour) -> None:
    """Give a job from each of many tabs at once, and cancel them."""
    context = tour.browser.new_context(viewport={"width": WIDTHS[0], "height": HEIGHT_PX})
    pages = [tour.open_page(context) for _ in range(UPLOADS)]
    started = time.monotonic()
    for page in pages:  # sent without waiting for each other
        block = page.locator(".block", has=page.locator("label", has_text="Video of the actor"))
        block.last.locator("input[type=file]").set_input_files(str(ACTOR_CLIP))
    for number, page in enumerate(pages):
        page.locator(".file-preview").first.wait_for(timeout=120_000)
        page.get_by_label("Id of the actor").fill(f"many{number}")
        page.get_by_label("Draft: do not train").check()
        page.get_by_role("button", name="Learn", exact=True).click(no_wait_after=True)
    for page in pages:
        page.get_by_text("see Jobs below").wait_for(timeout=120_000)
    seconds = time.monotonic() - started
    pages[0].wait_for_timeout(4000)
    rows = pages[0].locator(".jobs tbody tr").all_inner_texts()
    given = {found[0] for row in rows if (found := re.findall(r"many\d+", row))}
    tour.report.facts["uploads at once"] = f"{len(given)} of {UPLOADS} jobs in {seconds:.0f} s"
    tour.look(pages[0], "uploads")
    context.close()


def summarize(report: TourReport) -> str:
    """Format a report as Markdown."""
    clean = sum(not found for found in report.violations.values())
    lines = [
        "# Tour of the page",
        f"axe-core: {clean} of {len(report.violations)} states without a violation.",
        f"Hosts asked: {', '.join(sorted(report.hosts))}.",
        f"Errors of the browser's console: {len(report.errors)}.",
        *(f"{name}: {value}" for name, value in report.facts.items()),
        *(f"{name}: {'; '.join(found)}" for name, found in report.violations.items() if found),
        *(f"not finished, {part}: {why}" for part, why in report.failures.items()),
        *dict.fromkeys(report.errors),
    ]
    return "\n\n".join(lines) + "\n"


def write_scene(path: Path) -> Path:
    """Write the first two seconds of the bundled clip."""
    from dubfew.media import AudioSource, VideoWriter, probe, read_frames

    info = probe(ACTOR_CLIP)
    sound = AudioSource(ACTOR_CLIP, duration=SCENE_FRAMES / float(info.fps))
    with VideoWriter(path, info, audio=sound) as writer:
        for frame in read_frames(ACTOR_CLIP, stop=SCENE_FRAMES):
            writer.write(frame)
    return path


def write_camera_film(path: Path) -> None:
    """Write the bundled clip as raw video, which Chromium takes in place of a camera."""
    from dubfew.media import read_frames

    frames = [frame.to_rgb() for frame in read_frames(ACTOR_CLIP)]
    height, width = frames[0].shape[:2]
    with open(path, "wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F25:1 Ip A1:1 C420jpeg\n".encode())
        for rgb in frames:
            file.write(b"FRAME\n" + _to_planes(rgb))


def _to_planes(rgb: Any) -> bytes:
    """Return the planes of a frame with half the resolution of color (JPEG's YCbCr)."""
    import numpy as np

    matrix = np.array([[0.299, 0.587, 0.114], [-0.1687, -0.3313, 0.5], [0.5, -0.4187, -0.0813]])
    values = rgb.astype(np.float32) @ matrix.T.astype(np.float32) + [0, 128, 128]
    height, width = (size // 2 * 2 for size in rgb.shape[:2])
    small = values[:height, :width].reshape(height // 2, 2, width // 2, 2, 3).mean((1, 3))
    planes = [values[..., 0], small[..., 1], small[..., 2]]
    return b"".join(np.clip(plane + 0.5, 0, 255).astype(np.uint8).tobytes() for plane in planes)


def main(arguments: list[str] | None = None) -> int:
    """Run the tour; the exit code is 1 if anything was found or could not be finished."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the pictures")
    parser.add_argument("--chromium", help="browser; default: Playwright's own")
    parser.add_argument("--port", type=int, default=7861)
    parser.add_argument(
        "--only",
        choices=PARTS,
        nargs="+",
        default=PARTS,
        help="judge needs the video of an earlier dub in the folder, actors one who was learned",
    )
    options = parser.parse_args(arguments)
    from playwright.sync_api import Error, sync_playwright

    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="dubfew-tour-") as name:
        home, film = Path(name) / "home", Path(name) / "camera.y4m"
        if "camera" in options.only:
            write_camera_film(film)
        server = subprocess.Popen(
            [sys.executable, "-m", "dubfew", "app", "--port", str(options.port)],
            env={**os.environ, "DUBFEW_HOME": str(home)},
            stdout=subprocess.DEVNULL,
        )
        url = f"http://127.0.0.1:{options.port}/"
        try:
            _wait_for_server(url, server)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=options.chromium,
                    args=[
                        "--no-sandbox",
                        # Every other name and address is unknown to the browser.
                        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
                        "--use-fake-device-for-media-stream",
                        f"--use-file-for-fake-video-capture={film}",
                    ],
                )
                tour = PageTour(browser, url, options.out)
                try:
                    for part, run in {
                        "tabs": lambda: look_at_tabs(tour),
                        "dub": lambda: learn_and_dub(tour, home),
                        "judge": lambda: compare_and_ask(tour),
                        "camera": lambda: learn_from_camera(tour),
                        "actors": lambda: suspend_and_delete(tour, home),
                        "uploads": lambda: upload_together(tour),
                    }.items():
                        if part in options.only:
                            try:
                                run()
                            except (Error, SystemExit) as error:
                                # The other parts are still seen.
                                tour.report.failures[part] = str(error).splitlines()[0]
                finally:
                    # What was seen before something failed is said, too.
                    text = summarize(tour.report)
                    (options.out / "report.md").write_text(text)
                    print(text, flush=True)
                browser.close()
        finally:
            server.terminate()
            server.wait()
    foreign = tour.report.hosts - {"127.0.0.1", "data:", "blob:", "file:"}
    bad = any(tour.report.violations.values()) or foreign or tour.report.failures
    return 1 if bad else 0


def _wait_for_server(url: str, server: subprocess.Popen[bytes]) -> None:
    from urllib.request import urlopen

    for _ in range(240):
        if server.poll() is not None:
            raise SystemExit("dubfew app has ended")
        try:
            urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.5)
    raise SystemExit("dubfew app does not answer")


if __name__ == "__main__":
    sys.exit(main())
