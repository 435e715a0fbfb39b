"""Run the example workflows in a running ComfyUI, in its page in a real browser: pictures of them.

    pip install playwright
    python -m tools.tour_comfyui --chromium /usr/bin/chromium --out FOLDER

ComfyUI has the pack in ``custom_nodes``, and in its input folder ``actor.mp4``, ``scene.mp4`` and
``line.wav``. The exit code is 1 if a workflow fails or the page asks another host.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

WORKFLOWS = Path(__file__).resolve().parents[1] / "integrations" / "comfyui" / "workflows"
# In this order: the second one dubs the actor that the first one learns.
NAMES = ("learn_and_dub", "edit_motion")
WIDTH_PX, HEIGHT_PX = 1500, 620
# Longest time of a workflow, s, and time in which the page settles, ms.
MAX_SECONDS, SETTLE_MS = 500, 3000
# Show a workflow in ComfyUI's own format of its API.
LOAD = """async ([steps, name]) => {
  const app = window.comfyAPI.app.app;
  await app.loadApiJson(steps, name);
}"""
QUEUE = "async () => { await window.comfyAPI.app.app.queuePrompt(0, 1); }"
# Lay the nodes out and show all of them, below the page's bar and beside its buttons.
FIT = """([width, height]) => {
  const { graph, canvas } = window.comfyAPI.app.app;
  graph.arrange(50);
  const left = Math.min(...graph._nodes.map(n => n.pos[0]));
  const top = Math.min(...graph._nodes.map(n => n.pos[1] - 30));
  const right = Math.max(...graph._nodes.map(n => n.pos[0] + n.size[0]));
  const bottom = Math.max(...graph._nodes.map(n => n.pos[1] + n.size[1]));
  const scale = Math.min(1, (width - 120) / (right - left), (height - 160) / (bottom - top));
  canvas.ds.scale = scale;
  canvas.ds.offset[0] = 80 / scale - left;
  canvas.ds.offset[1] = 90 / scale - top;
  canvas.setDirty(true, true);
}"""


def run_workflow(page: Any, url: str, name: str) -> dict[str, Any]:
    """Run a workflow in the page, and return its entry in ComfyUI's history."""
    steps = json.loads((WORKFLOWS / f"{name}.json").read_text("utf-8"))
    page.keyboard.press("Escape")  # closes the choice of templates that an empty page begins with
    before = set(read_history(url))
    page.evaluate(LOAD, [steps, name])
    page.wait_for_timeout(SETTLE_MS)
    page.keyboard.press("Escape")
    page.evaluate(QUEUE)
    end = time.monotonic() + MAX_SECONDS
    while time.monotonic() < end:
        found = [entry for key, entry in read_history(url).items() if key not in before]
        if found:
            return dict(found[0])
        page.wait_for_timeout(1000)
    raise SystemExit(f"{name} has not ended in {MAX_SECONDS} s")


def read_history(url: str) -> dict[str, Any]:
    """Read what ComfyUI has run, by id."""
    with urlopen(f"{url}/history", timeout=60) as answer:
        return dict(json.load(answer))


def main(arguments: list[str] | None = None) -> int:
    """Run all workflows; the exit code is 1 if one fails or another host was asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8188")
    parser.add_argument("--out", type=Path, required=True, help="folder of the pictures")
    parser.add_argument("--chromium", help="browser; default: Playwright's own")
    options = parser.parse_args(arguments)
    from playwright.sync_api import sync_playwright

    options.out.mkdir(parents=True, exist_ok=True)
    own = urlsplit(options.url).hostname
    hosts: set[str | None] = set()
    failed = False
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=options.chromium,
            args=["--no-sandbox", f"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE {own}"],
        )
        page = browser.new_page(viewport={"width": WIDTH_PX, "height": HEIGHT_PX})
        page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
        page.goto(options.url)
        page.wait_for_function("window.comfyAPI?.app?.app?.graph", timeout=120_000)
        page.wait_for_timeout(2 * SETTLE_MS)
        for name in NAMES:
            began = time.monotonic()
            entry = run_workflow(page, options.url, name)
            seconds = time.monotonic() - began
            print(f"{name}: {entry['status']['status_str']}, {seconds:.0f} s", flush=True)
            print(json.dumps(entry["outputs"], indent=1), flush=True)
            failed |= entry["status"]["status_str"] != "success"
            page.evaluate(FIT, [WIDTH_PX, HEIGHT_PX])
            page.wait_for_timeout(SETTLE_MS)
            page.screenshot(path=options.out / f"{name}.png")
        browser.close()
    print("hosts:", ", ".join(sorted(host for host in hosts if host)))
    return 1 if failed or hosts - {own, None} else 0


if __name__ == "__main__":
    sys.exit(main())
