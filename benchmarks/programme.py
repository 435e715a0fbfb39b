"""A programme: many shots cut together, dubbed by one command, killed, resumed, and checked.

    python -m benchmarks.programme CLIPS --sounds SOUNDS --out FOLDER
    python -m benchmarks.programme CLIPS --sounds SOUNDS --out FOLDER --only kills,singles,ray

From a folder of clips it makes camera files at 29.97 frames/s with drop-frame timecode: one for
each person, and some that show three people side by side, two who speak and one who listens. An EDL
from 01:00:00;00 cuts them together, and a cue sheet has lines in three languages. Actors learn in
zero steps from the first three seconds of their clips; the camera files begin behind them. With
``--minutes`` the shots without lines are so long that the whole lasts as many minutes: their film
runs forward and backward, again and again, which costs no render anything. Then come the parts:

- ``dub``: the whole by one call of ``dubfew conform``, without loss.
- ``check``: the new timelines are opened by OpenTimelineIO and compared with the original, cut by
  cut and frame by frame.
- ``kills``: a second conform is ended by SIGKILL again and again, half of the times its worker
  processes as well, and resumed. Its pictures and sounds must be those of the first, to the bit.
- ``singles``: every shot is rendered by a command of its own, for the sum of their times.
- ``ray``: a third conform on a Ray cluster of two nodes on this machine, which see neither keys nor
  a home folder that has any.

Every part leaves its figures in FOLDER/programme.json, so that parts can be run on different days.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.signal import correlate

import dubfew
from benchmarks.common import FOOTAGE, RESULTS, machine_line, markdown_table
from dubfew.conform.timecode import format_timecode, parse_timecode
from dubfew.media import AudioSource, Frame, VideoInfo, VideoWriter, probe, read_audio, read_frames
from dubfew.media.audio import Audio
from dubfew.media.facts import read_facts
from dubfew.media.in_memory import write_audio
from dubfew.media.pixels import ColorTags
from dubfew.registry import Registry
from dubfew.utils.files import sha256_file, write_atomic

NTSC = Fraction(30000, 1001)
# Timecode of the first frame of the programme.
FIRST_TIMECODE = "01:00:00;00"
# Film of each person that shots with lines are cut from, s: it runs forward only.
FORWARD_SECONDS = 9.0
# Seconds of each clip that its actor learns from; camera files begin behind them.
LEARNED_SECONDS = 3.0
# What the shots show, again and again: people by their number, with or without a line.
PATTERN: tuple[tuple[str, bool], ...] = (
    *(("0", True), ("1", False), ("0+1", True), ("2", True), ("0", False), ("3", True)),
    *(("1", True), ("3", False), ("1+2", True), ("2", False)),
)
# Time around its place in which a line's sound is looked for, s.
SOUND_SEARCH_SECONDS = 0.5
# Languages of sounds by the begin of their names.
LANGUAGES = {"german": "de", "french": "fr", "italian": "it", "japan": "ja", "korean": "ko"}
# The camera files' colors: those of HD television.
HD_COLOR = ColorTags(1, 1, 1, 1)
PARTS = ("build", "adapt", "dub", "check", "kills", "singles", "ray")


@dataclass(frozen=True)
class PlannedShot:
    """A shot of the programme.

    Attributes:
        number: its number, from 1.
        reel: name of its camera file, without ending.
        first: its first frame there.
        frames: its number of frames.
        record: its first frame in the programme.
        people: numbers of the people who have a line in it.
    """

    number: int
    reel: str
    first: int
    frames: int
    record: int
    people: tuple[int, ...]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the parts that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="?", type=Path, default=FOOTAGE, help="folder of clips")
    parser.add_argument(
        "--people",
        default="lp_d19.mp4,vr_1.mp4,lp_d18.mp4,lp_d20.mp4",
        help="files of four people, with commas; the last is also the one who listens",
    )
    parser.add_argument("--sounds", type=Path, default=FOOTAGE.parent / "audio")
    parser.add_argument("--out", type=Path, default=RESULTS / "programme")
    parser.add_argument("--shots", type=int, default=30)
    parser.add_argument("--height", type=int, default=540)
    parser.add_argument("--minutes", type=float, help="length of the whole; default: short shots")
    parser.add_argument(
        "--shot-seconds", default="2.0,3.2", help="lengths of shots, s; shorter: no room for a line"
    )
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument(
        "--budget", type=float, default=math.inf, help="seconds after which kills wait for a call"
    )
    parser.add_argument("--jobs", type=int, default=1, help="of a conform; Ray has two nodes")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas")
    given = parser.parse_args(arguments)
    parts = given.only.split(",")
    # The nodes of a cluster on this machine inherit the environment.
    for name in ("DUBFEW_HOME", "DUBFEW_KEYS"):
        os.environ.pop(name, None)
    programme = Programme(given)
    for part in PARTS:
        if part in parts:
            began = time.monotonic()
            found = getattr(programme, part)()
            programme.note(part, {"wall_s": round(time.monotonic() - began, 1), **found})
    print(programme.table())


class Programme:
    """Files of a programme, and the parts of the benchmark.

    Args:
        given: arguments of the command line.
    """

    def __init__(self, given: argparse.Namespace) -> None:
        self.given = given
        self.folder: Path = given.out
        self.media = self.folder / "media"
        self.edl, self.sheet = self.folder / "programme.edl", self.folder / "lines.csv"
        self.people = [given.clips / name for name in given.people.split(",")]
        self.registry = Registry(self.folder / "home")
        self.results = self.folder / "programme.json"

    def note(self, part: str, facts: dict[str, Any]) -> None:
        """Keep the figures of a part."""
        known = json.loads(self.results.read_bytes()) if self.results.exists() else {}
        known[part] = {"machine": machine_line(), **facts}
        write_atomic(self.results, json.dumps(known, indent=1, ensure_ascii=False).encode())
        print(part, json.dumps(facts, ensure_ascii=False), flush=True)

    def table(self) -> str:
        """Return all figures as a table."""
        known = json.loads(self.results.read_bytes()) if self.results.exists() else {}
        rows = [
            [part, name, str(value)]
            for part, facts in known.items()
            for name, value in facts.items()
            if name != "machine"
        ]
        return markdown_table(["part", "figure", "value"], rows)

    # -- parts ---------------------------------------------------------------------------------

    def build(self) -> dict[str, Any]:
        """Write camera files, the EDL and the cue sheet."""
        self.media.mkdir(parents=True, exist_ok=True)
        reels = {str(number): [path] for number, path in enumerate(self.people)}
        # Two people speak, the last one listens.
        for pair in {who for who, _ in PATTERN if "+" in who}:
            reels[pair] = [*(self.people[int(each)] for each in pair.split("+")), self.people[-1]]
        lengths, forward = {}, round(FORWARD_SECONDS * NTSC)
        cut = self._cut_shots()
        for number, (who, paths) in enumerate(sorted(reels.items())):
            # Hours of the day, one for each camera, so that a timecode names a file.
            timecode = f"{number + 10:02d}:59:58;00"
            path = self.media / f"cam{who.replace('+', '_')}.mov"
            needed = max((frames for name, _, frames in cut if name == who), default=0)
            count = _write_reel(paths, path, self.given.height, timecode, max(forward, needed))
            lengths[who] = (count, timecode)
        shots = [*self._plan_shots(cut, lengths)]
        self.edl.write_text(_write_edl(shots, lengths))
        lines = self._write_lines(shots)
        write_atomic(
            self.folder / "shots.json", json.dumps([asdict(each) for each in shots]).encode()
        )
        seconds = sum(shot.frames for shot in shots) / NTSC
        return {
            "shots": len(shots),
            "with_lines": sum(bool(shot.people) for shot in shots),
            "two_mouths": sum(len(shot.people) > 1 for shot in shots),
            "lines": lines,
            "seconds": round(float(seconds), 1),
        }

    def adapt(self) -> dict[str, Any]:
        """Learn the actors, in zero steps, from the first seconds of their clips."""
        known = {each.actor for each in self.registry.list()}
        for number, path in enumerate(self.people):
            if _actor_id(number) not in known:
                dubfew.adapt(
                    path,
                    actor=_actor_id(number),
                    steps=0,
                    start=0.0,
                    seconds=LEARNED_SECONDS,
                    registry=self.registry,
                )
        return {"actors": len(self.people)}

    def dub(self) -> dict[str, Any]:
        """Dub the whole programme by one command."""
        hashes = {path.name: sha256_file(path) for path in sorted(self.media.glob("*.mov"))}
        write_atomic(self.folder / "media.json", json.dumps(hashes).encode())
        began = os.times()
        code, text = self._finish(self._start("dubbed"))
        return {"code": code, "result": text, "processor_s": _children_seconds(began)}

    def check(self) -> dict[str, Any]:
        """Compare the new timelines with the original, cut by cut and frame by frame."""
        import opentimelineio as otio

        facts: dict[str, Any] = {}
        shots = self._read_shots()
        known = json.loads((self.folder / "media.json").read_bytes())
        facts["media_unchanged"] = all(
            sha256_file(self.media / name) == value for name, value in known.items()
        )
        rate = float(NTSC)
        edl = otio.adapters.read_from_file(
            str(self.folder / "dubbed" / "programme.edl"), "cmx_3600", rate=rate
        )
        first = otio.adapters.read_from_file(str(self.edl), "cmx_3600", rate=rate)
        facts["edl_cuts_equal"] = _list_cuts(edl) == _list_cuts(first)
        facts["edl_says_drop"] = (
            "FCM: DROP FRAME" in (self.folder / "dubbed" / "programme.edl").read_text()
        )
        timeline = otio.adapters.read_from_file(str(self.folder / "dubbed" / "programme.otio"))
        facts["starts_at"] = format_timecode(
            round(timeline.global_start_time.value), NTSC, drop=True
        )
        (track,) = [each for each in timeline.video_tracks() if len(each)]
        clips = [each for each in track if isinstance(each, otio.schema.Clip)]
        facts |= self._check_record_timecodes(shots)
        facts["otio_cuts_equal"] = [_clip_range(each) for each in clips] == [
            (shot.first + self._reel_start(shot.reel), shot.frames) for shot in shots
        ]
        facts["frames"] = round(track.duration().value)
        facts["frames_equal"] = facts["frames"] == sum(shot.frames for shot in shots)
        counts = {"untouched": 0, "untouched_frames": 0, "dubbed": 0, "equal": 0, "changed": 0}
        wrong: list[str] = []
        late: list[float] = []
        for shot, clip in zip(shots, clips, strict=True):
            path = _media_path(clip)
            if not shot.people:
                # The very file of the camera, whose hash has not changed, at the same frames.
                if path != (self.media / f"{shot.reel}.mov").absolute():
                    wrong.append(f"shot {shot.number} without a line shows {path}")
                counts["untouched"] += 1
                counts["untouched_frames"] += shot.frames
                continue
            counts["dubbed"] += 1
            wrong += self._compare_shot(shot, clip, path, counts)
            late += self._measure_lines(shot, path)
        facts["lines_heard"] = len(late)
        facts["worst_line_ms"] = round(max(late, key=abs) * 1000, 2)
        return {**facts, **counts, "wrong": wrong}

    def _check_record_timecodes(self, shots: Sequence[PlannedShot]) -> dict[str, Any]:
        """Compare the places of all shots in the new EDL with OpenTimelineIO's own timecodes."""
        import opentimelineio as otio

        def name(frame: int) -> str:
            whole = otio.opentime.RationalTime(frame, float(NTSC))
            return str(otio.opentime.to_timecode(whole, float(NTSC), drop_frame=True))

        origin = otio.opentime.from_timecode(FIRST_TIMECODE, float(NTSC)).value
        text = (self.folder / "dubbed" / "programme.edl").read_text()
        events = [line.split()[-2:] for line in text.splitlines() if " C " in line]
        wanted = [
            [name(origin + frame) for frame in (shot.record, shot.record + shot.frames)]
            for shot in shots
        ]
        return {"record_timecodes_equal": events == wanted, "ends_at": events[-1][-1]}

    def _measure_lines(self, shot: PlannedShot, path: Path) -> list[float]:
        """Find the lines of a shot in its new sound; return how late each is, s."""
        import opentimelineio as otio

        heard = read_audio(path, 48_000)
        begin = parse_timecode(read_facts(path).timecode, NTSC)
        inside = shot.first + self._reel_start(shot.reel) - begin
        origin = otio.opentime.from_timecode(FIRST_TIMECODE, float(NTSC)).value
        found = []
        for row in csv.DictReader(self.sheet.open(encoding="utf-8")):
            if int(row["id"][1:4]) != shot.number:
                continue
            if row["start"].startswith("+"):
                place = float(row["start"]) * NTSC
            else:
                frame = otio.opentime.from_timecode(row["start"], float(NTSC)).value
                place = Fraction(round(frame - origin - shot.record))
            line = read_audio(self.folder / row["audio"], 48_000).samples
            wanted = float((inside + place) / NTSC)
            both = correlate(heard.samples, line, mode="full", method="fft")
            lags = (np.arange(len(both)) - len(line) + 1) / heard.rate - wanted
            # Another line of the shot may have the same words.
            both[np.abs(lags) > SOUND_SEARCH_SECONDS] = -np.inf
            found.append(float(lags[np.argmax(both)]))
        return found

    def kills(self) -> dict[str, Any]:
        """End a conform by SIGKILL again and again, resume it, and compare."""
        out, state = self.folder / "killed", self.folder / "kills.json"
        # A call that was out of time goes on where it was.
        facts: dict[str, Any] = {"kills": 0, "done_at_kill": [], "kills_s": 0.0}
        kept: dict[str, str] = {}
        if state.exists():
            facts, kept = json.loads(state.read_bytes())
        spent, began = facts["kills_s"], time.monotonic()
        shots = sum(bool(shot.people) for shot in self._read_shots())
        for number in range(facts["kills"], self.given.kills):
            if time.monotonic() - began > self.given.budget:
                return facts
            chance = random.Random(number)
            process = self._start("killed")
            # At moments all over the work: after some outputs, and in the middle of the next one.
            wanted = round(number * shots / self.given.kills)
            while process.poll() is None and len(_finished_outputs(out)) < wanted:
                time.sleep(0.2)
            try:
                process.wait(chance.uniform(1, 15))
                break  # done before the kill
            except subprocess.TimeoutExpired:
                _kill(process, with_workers=number % 2 == 0)
            facts["kills"] += 1
            done = _finished_outputs(out)
            facts["done_at_kill"].append(len(done))
            for name in done:
                kept.setdefault(name, sha256_file(out / name))
            facts["kills_s"] = round(spent + time.monotonic() - began, 1)
            write_atomic(state, json.dumps([facts, kept]).encode())
        code, text = self._finish(self._start("killed"))
        facts |= {"code": code, "result": text}
        facts["finished_before_a_kill_kept"] = all(
            sha256_file(out / name) == value for name, value in kept.items()
        )
        facts["leftovers"] = _list_leftovers(out)
        facts["kills_s"] = round(spent + time.monotonic() - began, 1)
        return {**facts, **self._compare_outputs("killed")}

    def singles(self) -> dict[str, Any]:
        """Render every shot by a command of its own."""
        table = self.folder / "dubbed" / ".dubfew-conform" / "shots.jsonl"
        times, spent = [], os.times()
        for line in table.read_text().splitlines():
            row = json.loads(line)
            out = self.folder / "singles" / row["out"]
            out.parent.mkdir(exist_ok=True)
            command = [
                *("render", "--cast", row["cast"], "--video", row["video"], "-o", str(out)),
                *(("--codec", row["codec"]) if row.get("codec") else ()),
                *("--lossless", "--no-watermark", "--language", row["language"]),
                *("--overwrite", "--progress", "none"),
            ]
            began = time.monotonic()
            code, text = self._finish(self._run(command))
            if code:
                return {"code": code, "result": text}
            times.append(time.monotonic() - began)
        return {
            "renders": len(times),
            "sum_s": round(sum(times), 1),
            "processor_s": _children_seconds(spent),
            **self._compare_outputs("singles"),
        }

    def ray(self) -> dict[str, Any]:
        """Dub the programme on a Ray cluster of two nodes on this machine."""
        from ray.cluster_utils import Cluster

        cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
        )
        try:
            cluster.add_node(num_cpus=1)
            cluster.wait_for_nodes()
            # Only this command knows where the keys are, not the nodes that it gives the jobs to.
            # Copies of both: two homes with the same keys would break each other's audit log.
            home, keys = self.folder / "home-of-ray", self.folder / "private-keys"
            for made, source in ((home, self.registry.home), (keys, self.registry.keys)):
                shutil.rmtree(made, ignore_errors=True)
                shutil.copytree(source, made)
            environment = {
                "RAY_ADDRESS": cluster.address,
                "DUBFEW_HOME": str(home),
                "DUBFEW_KEYS": str(keys),
            }
            began = time.monotonic()
            process = self._start("ray", "--engine", "ray", environment=environment)
            code, text = self._finish(process)
            seconds = time.monotonic() - began
        finally:
            cluster.shutdown()
        facts = {"nodes": 2, "code": code, "result": text, "dub_s": round(seconds, 1)}
        return {**facts, **self._compare_outputs("ray")}

    # -- helpers -------------------------------------------------------------------------------

    def _cut_shots(self) -> list[tuple[str, bool, int]]:
        """Choose people, whether they speak, and frames of each shot, the same at every call."""
        chance = random.Random(1)
        low, high = (float(each) for each in self.given.shot_seconds.split(","))
        shots = [
            (*PATTERN[number % len(PATTERN)], round(chance.uniform(low, high) * NTSC))
            for number in range(self.given.shots)
        ]
        if self.given.minutes is None:
            return shots
        # Shots without lines share what is left of the whole; the last one takes the rest.
        left = round(self.given.minutes * 60 * NTSC) - sum(n for _, speaks, n in shots if speaks)
        silent = sum(not speaks for _, speaks, _ in shots)
        made: list[tuple[str, bool, int]] = []
        for who, speaks, frames in shots:
            if not speaks:
                frames = left // silent
                left, silent = left - frames, silent - 1
            made.append((who, speaks, frames))
        return made

    def _plan_shots(
        self, cut: Sequence[tuple[str, bool, int]], lengths: dict[str, tuple[int, str]]
    ) -> Iterator[PlannedShot]:
        """Choose the passage of film of every shot, the same at every call."""
        chance, record = random.Random(2), 0
        for number, (who, speaks, wanted) in enumerate(cut):
            available = lengths[who][0]
            if speaks:
                available = min(available, round(FORWARD_SECONDS * NTSC))
            frames = min(wanted, available)
            first = chance.randint(0, available - frames)
            people = tuple(int(each) for each in who.split("+")) if speaks else ()
            yield PlannedShot(
                number + 1, f"cam{who.replace('+', '_')}", first, frames, record, people
            )
            record += frames

    def _write_lines(self, shots: Sequence[PlannedShot]) -> int:
        """Write the cue sheet and the sounds of its lines; return their number."""
        sounds = [
            (code, path)
            for name, code in LANGUAGES.items()
            for path in sorted(self.given.sounds.glob(f"{name}*"))
        ]
        by_language: dict[str, list[Path]] = {}
        for code, path in sounds:
            by_language.setdefault(code, []).append(path)
        languages = sorted(by_language)[:3]
        if not languages:
            sys.exit(
                f"{self.given.sounds} has no sounds that are named after {', '.join(LANGUAGES)}"
            )
        (self.folder / "lines").mkdir(exist_ok=True)
        rows = ["id,shot,character,language,start,end,audio,text"]
        start_frame = parse_timecode(FIRST_TIMECODE, NTSC)
        for shot in shots:
            code = languages[shot.number % len(languages)]
            seconds = shot.frames / NTSC
            for place, person in enumerate(shot.people):
                # Two people speak one after the other, and overlap a little.
                room = float(seconds) / len(shot.people)
                begin = 0.1 + place * (room - 0.2)
                file = by_language[code][(shot.number + person) % len(by_language[code])]
                name = f"l{shot.number:03d}{'ab'[place]}"
                sound = read_audio(file, 48_000)
                length = min(room - 0.15, 2.2)
                offset = round(0.2 * sound.rate)
                samples = sound.samples[offset : offset + round(length * sound.rate)]
                write_audio(self.folder / "lines" / f"{name}.wav", Audio(samples, sound.rate))
                frame = start_frame + shot.record + round(begin * NTSC)
                # Timecodes of the programme, which name the shot too, and times within it in turns.
                by_timecode = place or shot.number % 2
                start = format_timecode(frame, NTSC, drop=True) if by_timecode else f"+{begin:.2f}"
                number = "" if by_timecode else shot.number
                rows.append(f"{name},{number},P{person},{code},{start},,lines/{name}.wav,")
        self.sheet.write_text("\n".join(rows) + "\n")
        return len(rows) - 1

    def _read_shots(self) -> list[PlannedShot]:
        found = json.loads((self.folder / "shots.json").read_bytes())
        return [PlannedShot(**{**each, "people": tuple(each["people"])}) for each in found]

    def _reel_start(self, reel: str) -> int:
        """Return the timecode of a camera file's first frame, in frames."""
        return parse_timecode(read_facts(self.media / f"{reel}.mov").timecode, NTSC)

    def _start(
        self, out: str, *more: str, environment: dict[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start the one command that dubs the programme."""
        roles = [f"--role=P{number}={_actor_id(number)}" for number in range(len(self.people))]
        command = [
            *("conform", str(self.edl), "--lines", str(self.sheet), "--media", str(self.media)),
            *roles,
            *("--out", str(self.folder / out), "--lossless", "--no-watermark"),
            *("--jobs", str(self.given.jobs), "--json", *more),
        ]
        return self._run(command, environment)

    def _run(
        self, command: Sequence[str], environment: dict[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start a command of dubfew in a process group of its own."""
        log = open(self.folder / "stderr.log", "a")  # noqa: SIM115 - lives as long as the process
        return subprocess.Popen(
            [sys.executable, "-m", "dubfew", *command],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
            env={**os.environ, "DUBFEW_HOME": str(self.registry.home), **(environment or {})},
        )

    def _finish(self, process: subprocess.Popen[str]) -> tuple[int, Any]:
        """Wait for a command; return its exit code and what it printed."""
        text = process.communicate()[0].strip().splitlines()
        try:
            found = json.loads(text[-1])
        except (IndexError, ValueError):
            return process.returncode, text[-1:]
        return process.returncode, {
            name: value if isinstance(value, (int, float, str)) else len(value)
            for name, value in found.items()
            if name in ("done", "kept", "failed", "untouched", "seconds", "error")
        }

    def _compare_shot(
        self, shot: PlannedShot, clip: Any, path: Path, counts: dict[str, int]
    ) -> list[str]:
        """Compare a dubbed shot with its original, frame by frame."""
        wrong = []
        info = probe(path)
        begin = parse_timecode(read_facts(path).timecode, NTSC)
        stated = clip.media_reference.available_range
        if round(stated.start_time.value) != begin or round(stated.duration.value) != info.frames:
            wrong.append(f"shot {shot.number}: the timeline's range of {path.name} is another one")
        inside = shot.first + self._reel_start(shot.reel) - begin
        new = read_frames(path, start=inside, stop=inside + shot.frames)
        old = read_frames(
            self.media / f"{shot.reel}.mov", start=shot.first, stop=shot.first + shot.frames
        )
        for made, filmed in zip(new, old, strict=True):
            counts["changed" if _differs(made, filmed, 0) else "equal"] += 1
            # The last third of the frame shows who listens.
            if "_" in shot.reel and _differs(made, filmed, 2 * info.width // 3):
                wrong.append(f"shot {shot.number}: the one who listens has changed")
                break
        return wrong

    def _compare_outputs(self, other: str) -> dict[str, Any]:
        """Compare packets of pictures and sound of all shots with those of the first conform."""
        names = sorted(path.name for path in (self.folder / "dubbed").glob("*.mov"))
        different = [
            name
            for name in names
            if _hash_packets(self.folder / "dubbed" / name)
            != _hash_packets(self.folder / other / name)
        ]
        facts: dict[str, Any] = {"shots_compared": len(names), "different": different}
        for suffix in (".otio", ".edl"):
            files = [self.folder / place / f"programme{suffix}" for place in ("dubbed", other)]
            if files[1].exists():
                texts = [path.read_text().replace(path.parent.name, "X") for path in files]
                facts[f"{suffix[1:]}_equal"] = texts[0] == texts[1]
        return facts


def _actor_id(number: int) -> str:
    return f"person-{number}"


def _write_reel(paths: Sequence[Path], out: Path, height: int, timecode: str, frames: int) -> int:
    """Write a camera file of people side by side, without loss; return its number of frames.

    More than `FORWARD_SECONDS` of it are the same film, backward and forward in turns.
    """
    width = height * 16 // 9 // 6 * 6
    column = width // len(paths)
    videos = [[frame.to_rgb() for frame in read_frames(path)] for path in paths]
    rates = [probe(path).fps for path in paths]
    # The nearest frame by time: a change of the rate alone would change how fast people move.
    skipped = [math.ceil(rate * Fraction(LEARNED_SECONDS)) for rate in rates]
    videos = [video[first:] for video, first in zip(videos, skipped, strict=True)]
    forward = min(int(len(v) / rate * NTSC) for v, rate in zip(videos, rates, strict=True))
    forward = min(forward, round(FORWARD_SECONDS * NTSC))
    count = frames if frames > round(FORWARD_SECONDS * NTSC) else forward
    period = max(2 * (forward - 1), 1)
    info = VideoInfo(
        out, width, height, NTSC, colorspace=1, color_primaries=1, color_trc=1, color_range=1
    )
    sound = next((path for path in paths if probe(path).has_audio), None)
    source = (
        None
        if sound is None
        else AudioSource(sound, start=LEARNED_SECONDS, duration=float(count / NTSC))
    )
    with VideoWriter(
        out, info, audio=source, lossless=True, preset="ultrafast", timecode=timecode
    ) as writer:
        for number in range(count):
            place = number % period
            place = place if place < forward else period - place
            parts = [
                _fit(video[min(round(place / NTSC * rate), len(video) - 1)], column, height)
                for video, rate in zip(videos, rates, strict=True)
            ]
            picture = np.concatenate(parts, axis=1)
            writer.write(Frame.from_rgb(picture, number, NTSC, color=HD_COLOR))
    return count


def _fit(rgb: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Scale a picture to a height, and cut or pad its sides to a width."""
    # Heads stand in the upper part of upright pictures.
    rows = min(rgb.shape[0], rgb.shape[1] * max(height / width, 1))
    rgb = rgb[: round(rows)]
    scale = height / rgb.shape[0]
    size = (round(rgb.shape[1] * scale), height)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    scaled = np.asarray(cv2.resize(rgb, size, interpolation=method), np.uint8)
    spare = width - scaled.shape[1]
    if spare < 0:
        left = -spare // 2
        return scaled[:, left : left + width]
    left = spare // 2
    return np.pad(scaled, ((0, 0), (left, spare - left), (0, 0)))


def _write_edl(shots: Sequence[PlannedShot], lengths: dict[str, tuple[int, str]]) -> str:
    """Write a CMX 3600 list with dropped numbers."""
    text = ["TITLE: PROGRAMME", "FCM: DROP FRAME", ""]
    origin = parse_timecode(FIRST_TIMECODE, NTSC)
    for shot in shots:
        start = parse_timecode(lengths[shot.reel[3:].replace("_", "+")][1], NTSC)
        begins = (start + shot.first, origin + shot.record)
        times = [
            format_timecode(each, NTSC, drop=True)
            for begin in begins
            for each in (begin, begin + shot.frames)
        ]
        reel = shot.reel.upper()[:8]
        text.append(f"{shot.number:03d}  {reel:<8} V     C        {' '.join(times)}")
        text.append(f"* FROM CLIP NAME: {shot.reel}.mov")
    return "\n".join(text) + "\n"


def _list_cuts(timeline: Any) -> list[tuple[int, int]]:
    """List media range of every clip of an EDL."""
    return [_clip_range(each) for each in timeline.find_clips()]


def _clip_range(clip: Any) -> tuple[int, int]:
    found = clip.trimmed_range()
    return round(found.start_time.value), round(found.duration.value)


def _media_path(clip: Any) -> Path:
    from urllib.parse import unquote, urlparse

    return Path(unquote(urlparse(clip.media_reference.target_url).path))


def _differs(made: Frame, filmed: Frame, left: int) -> bool:
    """Return whether two pictures differ at or behind a column."""
    for a, b in zip(made.planes(), filmed.planes(), strict=True):
        column = -(-left * a.shape[1] // made.width)
        if not np.array_equal(a[:, column:], b[:, column:]):
            return True
    return False


def _kill(process: subprocess.Popen[str], *, with_workers: bool) -> None:
    """End a command by SIGKILL; its workers have process groups of their own."""
    workers = _list_children(process.pid) if with_workers else []
    process.kill()
    for worker in workers:
        try:
            os.kill(worker, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.communicate()


def _list_children(parent: int) -> list[int]:
    """List the processes that a process has started; Linux alone says it here."""
    try:
        return [int(x) for x in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
    except OSError:
        return []


def _children_seconds(began: os.times_result) -> float:
    """Return the processor time of all commands that have ended since a moment, s."""
    return round(sum(os.times()[2:4]) - sum(began[2:4]), 1)


def _finished_outputs(folder: Path) -> list[str]:
    """List the outputs whose records say that they are done."""
    found = []
    for path in sorted((folder / ".dubfew-batch").glob("[0-9]*.json")):
        record = json.loads(path.read_bytes())
        if record.get("state") == "done":
            found.append(f"{path.stem}.mov")
    return found


def _list_leftovers(folder: Path) -> list[str]:
    """List files that a finished conform should not leave."""
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and (path.suffix in (".tmp", ".part") or path.name.startswith(".tmp"))
    )


def _hash_packets(path: Path) -> str:
    """Hash the packets of pictures and sound. Credentials hold the time of their signature."""
    if not path.exists():
        return "missing"
    value = hashlib.sha256()
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.stream.type in ("video", "audio") and packet.size:
                value.update(f"{packet.stream.index} {packet.pts}".encode())
                value.update(bytes(packet))
    return value.hexdigest()


if __name__ == "__main__":
    main()
