#!/usr/bin/env bash
# OpenEXR 3.5.3 (Python wheel): one header dict for several files.
#
# Expected: the dict that is given to File is read, or copied, so that the same compression and type
# can be given for the next picture, whatever its size.
# Seen: File writes dataWindow and displayWindow of its picture into the caller's dict. The same dict
# then demands this size: the next picture of another size is refused with "dataWindow size does not
# match pixel array size". A copy of the dict for every file is the way out.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "openexr==3.5.3" "numpy<3"
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import OpenEXR


def write(header, size):
    plane = np.zeros((size, size), np.float32)
    with OpenEXR.File(header, {"R": plane, "G": plane, "B": plane}) as file:
        file.write("a.exr")


header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
given = dict(header)
write(header, 4)
print("keys that were added:", sorted(header.keys() - given.keys()))
try:
    write(header, 8)
except ValueError as error:
    print("the same dict:", error)
else:
    raise SystemExit("changed: the same dict took a picture of another size")
write(dict(given), 8)
print("a copy: written")
assert {"dataWindow", "displayWindow"} <= header.keys() - given.keys(), "changed: the dict is left alone"
PYTHON
