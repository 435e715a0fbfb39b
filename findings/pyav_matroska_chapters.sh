#!/usr/bin/env bash
# PyAV 18.1.0 with FFmpeg 8.1.2: chapters of an MP4 file copied to Matroska.
#
# Expected: picture, sound and chapters keep their places to each other.
# Seen: AAC in MP4 begins before the first frame, by the encoder's priming of 1024 samples. The
# Matroska muxer moves all streams later, so that the first packet is at 0. It does not move the
# chapters. They begin 21 ms too early at 48 kHz: a chapter that began with a shot shows a frame of
# the shot before. A copy to MP4 keeps the places, and so does a Matroska file that the encoder
# itself writes to.
# So who copies to Matroska must move chapters by the time of the earliest packet, if it is
# negative. They may be set after the packets, before the file is closed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "av==18.1.0"
"$folder/venv/bin/python" - <<'PYTHON'
import io
from fractions import Fraction

import av

RATE = 48_000
MS = Fraction(1, 1000)


def chapters(shift=0):
    """Return a chapter for each second, moved by some ms."""
    return [
        {
            "id": number + 1,
            "start": 1000 * number + shift,
            "end": 1000 * (number + 1) + shift,
            "time_base": MS,
            "metadata": {"title": title},
        }
        for number, title in enumerate(("dark", "bright"))
    ]


def encode(container):
    """Write 1 s of dark and 1 s of bright pictures with silent AAC, and a chapter for each."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        output.set_chapters(chapters())
        video = output.add_stream("mpeg4", rate=25, width=64, height=64, pix_fmt="yuv420p")
        audio = output.add_stream("aac", rate=RATE, layout="mono")
        for number in range(50):
            picture = av.VideoFrame(64, 64, "yuv420p")
            for plane, value in zip(picture.planes, (40 if number < 25 else 200, 128, 128), strict=True):
                plane.update(bytes([value]) * plane.buffer_size)
            picture.pts, picture.time_base = number, Fraction(1, 25)
            output.mux(video.encode(picture))
        for start in range(0, 2 * RATE, 1024):
            sound = av.AudioFrame(format="fltp", layout="mono", samples=1024)
            sound.rate, sound.pts, sound.time_base = RATE, start, Fraction(1, RATE)
            sound.planes[0].update(bytes(sound.planes[0].buffer_size))
            output.mux(audio.encode(sound))
        output.mux(video.encode(None))
        output.mux(audio.encode(None))
    return file


def copy(file, container, is_moved=False):
    """Copy the packets of picture and sound, and set the chapters."""
    copied = io.BytesIO()
    file.seek(0)
    with av.open(file) as source, av.open(copied, "w", format=container) as output:
        if not is_moved:
            output.set_chapters(chapters())
        streams = [*source.streams.video, *source.streams.audio]
        targets = {stream.index: output.add_stream_from_template(stream) for stream in streams}
        earliest = Fraction(0)
        for packet in source.demux(streams):
            if packet.dts is not None:
                earliest = min(earliest, packet.pts * packet.time_base)
                packet.stream = targets[packet.stream.index]
                output.mux(packet)
        if is_moved:
            output.set_chapters(chapters(round(-earliest / MS)))
    return copied


def measure(name, file):
    """Return by how many ms the second chapter begins before the first bright picture."""
    file.seek(0)
    with av.open(file) as source:
        chapter = source.chapters()[1]
        begin = chapter["start"] * chapter["time_base"]
        frames = source.decode(video=0)
        bright = next(frame.time for frame in frames if bytes(frame.planes[0])[0] > 120)
    early = round((bright - float(begin)) * 1000)
    print(f"{name}: chapter at {float(begin):.3f} s, its picture at {bright:.3f} s")
    return early


print("PyAV", av.__version__, "FFmpeg", av.ffmpeg_version_info)
mp4 = encode("mp4")
results = [
    measure("MP4, encoded", mp4),
    measure("Matroska, encoded", encode("matroska")),
    measure("MP4 copied to MP4", copy(mp4, "mp4")),
    measure("MP4 copied to Matroska", copy(mp4, "matroska")),
    measure("MP4 copied to Matroska, chapters moved", copy(mp4, "matroska", is_moved=True)),
]
print("chapter is early by, ms:", *results)

assert results == [0, 0, 0, 21, 0], results
print("as described")
PYTHON
