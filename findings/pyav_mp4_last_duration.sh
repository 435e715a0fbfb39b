#!/usr/bin/env bash
# PyAV 18.1.0 with FFmpeg 8.1.2: a last picture that is held, in MP4 with B frames.
#
# Expected: the packet of the frame that is shown last says how long it is shown, and the file is
# so long.
# Seen: that is so only if this packet is also the last one in the file. With B frames it often is
# not. Then the muxer writes the whole length into the header (mvhd), but not into the table of
# samples, whose times are those between packets as they are stored. FFmpeg's own reader goes by
# the table: of 1.36 s it sees 0.40 s. There is no warning. Matroska keeps the duration.
# So a last frame that is held must be the last packet (no B frames, or an end without them), or be
# repeated.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "av==18.1.0"
"$folder/venv/bin/python" - <<'PYTHON'
import io
import struct
from fractions import Fraction

import av


def write(container, b_frames):
    """Write 10 pictures, the last of which is held for 1 s, and return the file and its order."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        video = output.add_stream("mpeg4", rate=25, width=64, height=64, pix_fmt="yuv420p")
        video.codec_context.max_b_frames = b_frames
        packets = []
        for number in range(10):
            picture = av.VideoFrame(64, 64, "yuv420p")
            for plane in picture.planes:
                plane.update(bytes([20 * number]) * plane.buffer_size)
            picture.pts, picture.time_base = number, Fraction(1, 25)
            packets += video.encode(picture)
        packets += video.encode(None)
        order = [packet.pts for packet in packets]
        for packet in packets:
            packet.duration = 25 if packet.pts == 9 else 1  # of 1/25 s
        output.mux(packets)
    return file, order


def length_read(file):
    """Return the length that is read, s, and the time for which the last picture is shown."""
    file.seek(0)
    with av.open(file) as source:
        frames = list(source.decode(video=0))
        last = float(frames[-1].duration * frames[-1].time_base)
        return round(source.duration / av.time_base, 3), round(last, 3)


def length_in_header(file):
    """Return the length in the MP4 header (mvhd, version 0), s."""
    data = file.getvalue()
    scale, duration = struct.unpack_from(">2I", data, data.index(b"mvhd") + 16)
    return duration / scale


print("PyAV", av.__version__, "FFmpeg", av.ffmpeg_version_info)
read, header = {}, {}
av.logging.set_level(av.logging.WARNING)
with av.logging.Capture(local=False) as warnings:
    for container in ("mp4", "matroska"):
        for b_frames in (0, 2):
            file, order = write(container, b_frames)
            read[container, b_frames] = length_read(file)
            length, last = read[container, b_frames]
            print(f"{container}, {b_frames} B frames: packets {order}")
            print(f"    length read {length:.2f} s, last picture shown for {last:.2f} s")
            if container == "mp4":
                header[b_frames] = length_in_header(file)
                print(f"    length in the header {header[b_frames]:.2f} s")
print("warnings:", len(warnings))

assert read["mp4", 0] == read["matroska", 0] == read["matroska", 2] == (1.36, 1.0), read
assert read["mp4", 2] == (0.4, 0.04), read
assert header == {0: 1.36, 2: 1.36}, header
assert not warnings
print("as described")
PYTHON
