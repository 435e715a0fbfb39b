#!/usr/bin/env bash
# OpenTimelineIO 0.18.1 with otio-fcp-adapter 1.0.0: clips without media, and drop-frame programs, in
# Final Cut Pro 7 XML.
#
# Expected: clips of different sources refer to different files, and a program that begins at
# 01:00:00;00 (29.97 fps, drop-frame) says so.
# Seen: all clips that have no media reference share one <file id="file-1">, whatever their names, so
# that whoever relinks one links all. The program's timecode is always written as non-drop-frame:
# 01:00:00;00 becomes 00:59:56:12, the same frame under another name.
# metadata["fcp_xml"]["timecode"]["displayformat"] = "DF" on the timeline writes it as drop-frame.
# So exporters give every clip a reference of its own and name the format of the timecode.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "opentimelineio==0.18.1" "otio-fcp-adapter==1.0.0"
"$folder/venv/bin/python" - <<'PYTHON'
from importlib.metadata import version
from xml.etree import ElementTree

import opentimelineio as otio
from opentimelineio.opentime import RationalTime, TimeRange, from_timecode

RATE = 30000 / 1001
print("opentimelineio", version("opentimelineio"), "fcp", version("otio-fcp-adapter"))
timeline = otio.schema.Timeline("PROGRAM", global_start_time=from_timecode("01:00:00;00", RATE))
track = otio.schema.Track("V", kind="Video")
timeline.tracks.append(track)
for number, name in enumerate(("ONE", "TWO")):
    start = RationalTime(300 * (number + 1), RATE)
    track.append(otio.schema.Clip(name, source_range=TimeRange(start, RationalTime(60, RATE))))


def look(timeline):
    tree = ElementTree.fromstring(otio.adapters.write_to_string(timeline, "fcp_xml"))
    files = [item.find("file").get("id") for item in tree.iter("clipitem")]
    timecode = tree.find(".//sequence/timecode")
    return files, timecode.findtext("string"), timecode.findtext("displayformat")


files, text, form = look(timeline)
print("files of ONE and TWO:", files)
print("01:00:00;00 is written as", text, form)
timeline.metadata["fcp_xml"] = {"timecode": {"displayformat": "DF"}}
_, named_text, named_form = look(timeline)
print("with a display format in the metadata:", named_text, named_form)

assert files == ["file-1", "file-1"]
assert (text, form) == ("00:59:56:12", "NDF")
assert named_form == "DF"
print("as described")
PYTHON
