#!/usr/bin/env bash
# PyAV 18.1.0 (libswscale 9.5 of FFmpeg 8.1.2): gray pictures of BT.709 video.
#
# Expected: a YUV frame as gray is its luma, brought to full range: Y 85 of limited range becomes 80,
# as it is in yuvj420p. That needs no color matrix, and a wrong one can do no harm.
# Seen: gray is computed from RGB with the weights of BT.601, whatever the frame's matrix. A red
# (200, 50, 30), Y 85 in BT.709, becomes 92 instead of 80. Naming the matrix of both sides to
# reformat changes nothing, nor does a filter graph; 10 and 16 bit and floats are the same. Frames of
# BT.601 are right.
# The frame that reformat returns still says limited range, although its values have full range.
# So a program that looks at the luma of HD video should take the plane Y itself.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "av==18.1.0" "numpy<2.4"
"$folder/venv/bin/python" - <<'PYTHON'
from fractions import Fraction

import av
import numpy as np
from av.filter import Graph
from av.video.reformatter import ColorRange


def first(frame: av.VideoFrame, kind=np.uint8) -> float:
    return np.frombuffer(bytes(frame.planes[0]), kind)[0]


def filter_to_gray(frame: av.VideoFrame) -> av.VideoFrame:
    """Convert a frame by a filter graph."""
    graph = Graph()
    frame.pts, frame.time_base = 0, Fraction(1, 25)
    source = graph.add_buffer(
        width=64, height=64, format=frame.format.name, time_base=frame.time_base
    )
    form, sink = graph.add("format", "gray"), graph.add("buffersink")
    source.link_to(form)
    form.link_to(sink)
    graph.configure()
    source.push(frame)
    return sink.pull()


print("PyAV", av.__version__, "libswscale", av.library_versions["libswscale"])
red = np.full((64, 64, 3), (200, 50, 30), np.uint8)
rgb = av.VideoFrame.from_ndarray(red, format="rgb24")
hd = rgb.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
sd = rgb.reformat(format="yuv420p", dst_colorspace="ITU601", dst_color_range="MPEG")
both = dict(src_colorspace="ITU709", dst_colorspace="ITU709")
gray = hd.reformat(format="gray")
found = {
    "Y of BT.709, limited range": first(hd),
    "yuvj420p": first(hd.reformat(format="yuvj420p")),
    "gray": first(gray),
    "gray, both matrices named": first(hd.reformat(format="gray", **both)),
    "gray, filter graph": first(filter_to_gray(hd)),
    "gray10le / 4": first(hd.reformat(format="gray10le"), np.uint16) / 4,
    "grayf32le * 255": first(hd.reformat(format="grayf32le"), np.float32) * 255,
    "of BT.601: Y": first(sd),
    "of BT.601: yuvj420p": first(sd.reformat(format="yuvj420p")),
    "of BT.601: gray": first(sd.reformat(format="gray")),
}
for name, value in found.items():
    print(f"{name}: {value:.1f}")
print("the gray frame's range:", ColorRange(gray.color_range).name)

luma = 0.2126 * 200 + 0.7152 * 50 + 0.0722 * 30  # 80.5
other = 0.299 * 200 + 0.587 * 50 + 0.114 * 30  # 92.6
assert abs(found["yuvj420p"] - luma) < 1.5
for name in found:
    if name.startswith("gray"):
        assert abs(found[name] - other) < 3, name
assert abs(found["of BT.601: gray"] - found["of BT.601: yuvj420p"]) < 1.5
assert gray.color_range == ColorRange.MPEG
print("as described")
PYTHON
