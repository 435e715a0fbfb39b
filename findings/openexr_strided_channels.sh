#!/usr/bin/env bash
# OpenEXR 3.5.3 (Python wheel): channels that are views with strides.
#
# Expected: File.write stores the values of a channel's array, as any consumer of NumPy's buffers
# does, or refuses an array that is not contiguous.
# Seen: the values are taken as if the array were contiguous. rgb[..., 1] of a picture [H, W, 3] is
# written as the first H * W numbers of its memory: other pixels, without any error or warning.
# np.ascontiguousarray before the call gives the right file.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "openexr==3.5.3" "numpy<3"
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import OpenEXR

rgb = np.arange(24, dtype=np.float32).reshape(2, 4, 3)


def write_and_read(make):
    channels = {name: make(rgb[..., k]) for k, name in enumerate("RGB")}
    with OpenEXR.File({}, channels) as file:
        file.write("a.exr")
    with OpenEXR.File("a.exr", separate_channels=True) as file:
        return file.channels()["G"].pixels


print("green as given ", rgb[..., 1].ravel())
print("views written  ", write_and_read(lambda plane: plane).ravel())
print("copies written ", write_and_read(np.ascontiguousarray).ravel())
PYTHON
