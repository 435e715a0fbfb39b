#!/usr/bin/env bash
# OpenTimelineIO 0.18.1 with otio-cmx3600-adapter 1.0.0: where a program begins, in EDLs.
#
# Expected: a Timeline's global_start_time is the record timecode at which an EDL begins, both when
# one is written and when one is read.
# Seen: the reader leaves global_start_time None. It keeps the first record timecode as a negative
# start of the picture track's source_range instead. The writer ignores global_start_time without a
# warning: a program that begins at 01:00:00;00 is written from 00:00:00;00. A track's source_range
# that starts at minus the frame number of the first record timecode gives the right EDL.
# So who writes EDLs sets that range, and who reads them looks there.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "opentimelineio==0.18.1" "otio-cmx3600-adapter==1.0.0"
"$folder/venv/bin/python" - <<'PYTHON'
from importlib.metadata import version

import opentimelineio as otio
from opentimelineio.opentime import RationalTime, TimeRange, from_timecode

RATE = 30000 / 1001
print("opentimelineio", version("opentimelineio"), "cmx3600", version("otio-cmx3600-adapter"))


def write_and_find_start(timeline):
    text = otio.adapters.write_to_string(timeline, "cmx_3600", rate=RATE)
    event = next(line for line in text.splitlines() if line.startswith("001"))
    return text, event.split()[6]


start = from_timecode("01:00:00;00", RATE)
timeline = otio.schema.Timeline("PROGRAM", global_start_time=start)
track = otio.schema.Track("V", kind="Video")
timeline.tracks.append(track)
length = RationalTime(60, RATE)
track.append(otio.schema.Clip("ONE", source_range=TimeRange(RationalTime(300, RATE), length)))

_, ignored = write_and_find_start(timeline)
print("global_start_time 01:00:00;00 is written as", ignored)
track.source_range = TimeRange(-start, length)
text, kept = write_and_find_start(timeline)
print("a source_range that starts at", -start.value, "is written as", kept)
again = otio.adapters.read_from_string(text, "cmx_3600", rate=RATE)
read_range = again.video_tracks()[0].source_range
print("read again: global_start_time", again.global_start_time, "and", read_range)

assert ignored == "00:00:00;00"
assert kept == "01:00:00;00"
assert again.global_start_time is None
assert round(read_range.start_time.value) == -107892
print("as described")
PYTHON
