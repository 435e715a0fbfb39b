#!/usr/bin/env bash
# PyAV 18.1.0 (libswscale 9.5): the white of YUV video in 16-bit RGB and in RGB of floats.
#
# Expected: white is the top of the scale: 65535 in rgb48le, 1023 in gbrp10le, 1.0 in gbrpf32le, as
# it is 255 in rgb24.
# Seen: 8-bit white (Y 235 of limited, 255 of full range) and 10-bit limited white (Y 940) become
# 65280 to 65283 in rgb48le, 1020 in gbrp10le and 0.996 in gbrpf32le: 255 * 256, not 255 * 257. Levels
# are shifted, not stretched. 10-bit full-range white (Y 1023) becomes 65472, which is 1023 * 64.
# So levels of rgb48le are divided by 256 to compare them with 8-bit ones; who divides by 65535
# works on pictures that are 0.4 % too dark, and white never clips.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "av==18.1.0" "numpy==2.3.4"
"$folder/venv/bin/python" - <<'PYTHON'
import av
import numpy as np
from av.video.reformatter import ColorRange

print("av", av.__version__, "libswscale", av.library_versions["libswscale"])


def convert_white(pix_fmt, luma, chroma, color_range, target):
    frame = av.VideoFrame(16, 16, pix_fmt)
    kind = np.uint16 if "10" in pix_fmt else np.uint8
    for level, plane in zip((luma, chroma, chroma), frame.planes, strict=True):
        count = plane.buffer_size // np.dtype(kind).itemsize
        plane.update(np.full(count, level, kind).tobytes())
    frame.color_range = color_range
    result = frame.reformat(format=target)
    out = {"rgb24": np.uint8, "rgb48le": np.uint16, "gbrp10le": np.uint16, "gbrpf32le": np.float32}
    return float(np.frombuffer(result.planes[0], out[target])[0])


rows = {
    ("yuv444p", 235, 128, ColorRange.MPEG): (255, 65283, 1020, 0.996),
    ("yuv444p", 255, 128, ColorRange.JPEG): (255, 65280, 1020, 0.996),
    ("yuv444p10le", 940, 512, ColorRange.MPEG): (255, 65283, 1020, 0.996),
    ("yuv444p10le", 1023, 512, ColorRange.JPEG): (255, 65472, 1023, 0.999),
}
targets = ("rgb24", "rgb48le", "gbrp10le", "gbrpf32le")
for (pix_fmt, luma, chroma, color_range), expected in rows.items():
    seen = tuple(convert_white(pix_fmt, luma, chroma, color_range, each) for each in targets)
    print(pix_fmt, luma, color_range.name, *(f"{t} {v:g}" for t, v in zip(targets, seen)))
    assert np.allclose(seen, expected, atol=6e-4), (seen, expected)
print("as described")
PYTHON
