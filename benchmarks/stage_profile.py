"""Processor time of each stage of one ``render``, as a table and a picture.

    python -m benchmarks.stage_profile ACTOR --video SCENE --audio SOUND [--out FOLDER]
        [--plot FILE.svg] [-- WORDS OF RENDER]

The render runs in this process, with one thread of torch. Functions of each stage are wrapped by a
clock of their thread's processor time; what a wrapped function calls of another stage counts there.
Decoders, MediaPipe and the encoder have threads of their own, which are told by their names. Linux
alone.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import inspect
import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.common import (
    RESULTS,
    machine_line,
    markdown_table,
    save_figure,
    write_results,
)

# Functions by stage: module, then the name in it.
STAGES = {
    "decoding": ("dubfew.media.reading:read_frames",),
    "conversion to RGB and back": (
        "dubfew.media.frame:Frame.to_rgb",
        "dubfew.media.frame:Frame.crop_rgb",
        "dubfew.media.frame:Frame.with_patch",
    ),
    "detection": ("dubfew.reconstruction.detection.clip_detections:detect_people",),
    "fit of the head": (
        "dubfew.reconstruction.tracking:track_person",
        "dubfew.render.scene:match_actor",
    ),
    "speech and motion": ("dubfew.render.scene:drive_scene",),
    "inputs": (
        "dubfew.render.prediction:MouthPredictor.make_batch",
        "dubfew.render.streaming:choose_references",
        "dubfew.render.streaming:compute_track_geometry",
    ),
    "light and things": ("dubfew.render.prediction:MouthPredictor._match_light",),
    "references and texture": (
        "dubfew.render.prediction:warp_references",
        "dubfew.render.prediction:sample_texture",
    ),
    "network": ("dubfew.render.prediction:MouthPredictor.predict_prepared",),
    "compositing": ("dubfew.render.compositing:MouthCompositor.composite",),
    "background": ("dubfew.render.background:BackgroundPreserver.exclude_background",),
    "mark": ("dubfew.marks.watermark:WatermarkEmbedder.embed_watermark",),
    "encoding": ("dubfew.media.writing:VideoWriter.write",),
}
# Stages of threads that are not Python's, by the start of their names.
NATIVE_THREADS = {"av:": "decoding", "mediapipe": "detection"}
# Seconds between two looks at the threads.
WATCH_SECONDS = 0.1
# What is before and after the stages.
START_STAGE, REST_STAGE = "imports", "loading, checks, signing"
# Decoding and encoding alone: what no way of painting can go below.
FLOOR_STAGES = ("decoding", "encoding")


class ThreadClock:
    """Sums up the processor seconds of wrapped functions, without those of functions inside."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._lock = threading.Lock()
        self._local = threading.local()

    def wrap(self, function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        """Wrap a function or a generator function of a stage."""
        if inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def iterate(*args: Any, **named: Any) -> Iterator[Any]:
                items = function(*args, **named)
                while True:
                    self._enter()
                    try:
                        item = next(items)
                    except StopIteration:
                        return
                    finally:
                        self._leave(stage)
                    yield item

            return iterate

        @functools.wraps(function)
        def call(*args: Any, **named: Any) -> Any:
            self._enter()
            try:
                return function(*args, **named)
            finally:
                self._leave(stage)

        return call

    def _enter(self) -> None:
        if not hasattr(self._local, "stack"):
            self._local.stack = []
        self._local.stack.append([time.thread_time(), 0.0])

    def _leave(self, stage: str) -> None:
        began, inside = self._local.stack.pop()
        spent = time.thread_time() - began
        with self._lock:
            self.seconds[stage] += spent - inside
        if self._local.stack:
            self._local.stack[-1][1] += spent


def wrap_stages(clock: ThreadClock, stages: Mapping[str, tuple[str, ...]] = STAGES) -> None:
    """Replace the functions of all stages by wrapped ones, wherever they were imported to."""
    for stage, places in stages.items():
        for place in places:
            module, _, name = place.partition(":")
            *owners, last = name.split(".")
            owner: Any = importlib.import_module(module)
            for each in owners:
                owner = getattr(owner, each)
            function = getattr(owner, last)
            wrapped = clock.wrap(function, stage)
            setattr(owner, last, wrapped)
            for other in list(sys.modules.values()) if not owners else ():
                if getattr(other, last, None) is function:
                    setattr(other, last, wrapped)


class NativeThreads:
    """Watches the processor seconds of threads that are not Python's."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str, float]] = {}
        self._python: set[int] = set()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            self.look()
            time.sleep(WATCH_SECONDS)

    def look(self) -> None:
        """Read the time of all threads that run."""
        self._python |= {thread.native_id or 0 for thread in threading.enumerate()}
        for folder in Path("/proc/self/task").iterdir():
            try:
                text = (folder / "stat").read_text()
            except OSError:  # it has ended
                continue
            name, _, rest = text.partition("(")[2].rpartition(")")
            fields = rest.split()
            ticks = int(fields[11]) + int(fields[12])
            self._seen[folder.name] = name, ticks / os.sysconf("SC_CLK_TCK")

    def sum_stages(self) -> dict[str, float]:
        """Sum up seconds by stage; threads without a name of their own are the encoder's."""
        sums: dict[str, float] = defaultdict(float)
        for number, (name, seconds) in self._seen.items():
            if int(number) in self._python or int(number) == os.getpid():
                continue
            stage = next(
                (stage for start, stage in NATIVE_THREADS.items() if name.startswith(start)),
                "encoding",
            )
            sums[stage] += seconds
        return sums


def add_stages(
    wrapped: Mapping[str, float], native: Mapping[str, float], imports: float, total: float
) -> dict[str, float]:
    """Add up the seconds of each stage, in the order of a render; the rest has its own name.

    Args:
        wrapped: seconds of wrapped functions.
        native: seconds of other threads.
        imports: seconds of imports.
        total: seconds of the whole process.
    """
    sums = {START_STAGE: imports}
    for stage in STAGES:
        sums[stage] = wrapped.get(stage, 0.0) + native.get(stage, 0.0)
    sums[REST_STAGE] = max(0.0, total - sum(sums.values()))
    return sums


def draw_stages(path: Path, seconds: Mapping[str, float], frames: int) -> None:
    """Draw a bar for each stage, and write the picture.

    Args:
        path: SVG or PNG file.
        seconds: seconds of each stage.
        frames: number of frames.
    """
    from matplotlib.figure import Figure

    names = list(seconds)[::-1]
    values = [1000 * seconds[name] / frames for name in names]
    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    axes = figure.add_subplot()
    colors = ["#b5562b" if name in FLOOR_STAGES else "#1f5f8b" for name in names]
    bars = axes.barh(names, values, color=colors)
    axes.bar_label(bars, [f"{value:.1f}" for value in values], fontsize=7, padding=2)
    axes.set_xlabel(f"processor ms a frame ({frames} frames, {sum(values):.0f} in all)", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.margins(x=0.1)
    save_figure(figure, path)


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("actor")
    parser.add_argument("--video", type=Path, required=True)
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--plot", type=Path, help="default: stage_profile.svg in the folder")
    parser.add_argument("words", nargs="*", help="further words of `dubfew render`")
    options = parser.parse_args(arguments)
    from dubfew.cli.start import tune_process

    tune_process()
    load = os.getloadavg()[0]
    import torch

    import dubfew

    torch.set_num_threads(1)
    for module in ("pipeline", "scene_painter", "streaming"):
        importlib.import_module(f"dubfew.render.{module}")
    imports = time.process_time()
    clock, native = ThreadClock(), NativeThreads()
    wrap_stages(clock)
    options.out.mkdir(parents=True, exist_ok=True)
    out = options.out / "stage_profile.mp4"
    result = dubfew.render(
        options.actor, video=options.video, audio=options.audio, out=out, overwrite=True, fit="trim"
    )
    native.look()
    total = time.process_time()
    seconds = add_stages(clock.seconds, native.sum_stages(), imports, total)
    rows = [[name, value, 1000 * value / result.frames] for name, value in seconds.items()]
    floor = sum(seconds[name] for name in FLOOR_STAGES)
    text = "\n\n".join(
        [
            "# Stages of render",
            f"{machine_line()}, load {load:.1f}",
            f"{options.video.name}, {result.frames} frames, {total:.1f} s of processor time, "
            f"{1000 * floor / result.frames:.1f} ms a frame of them decoding and encoding.",
            markdown_table(["stage", "processor s", "ms a frame"], rows),
        ]
    )
    draw_stages(options.plot or options.out / "stage_profile.svg", seconds, result.frames)
    write_results(options.out, "stage_profile", text + "\n", seconds)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
