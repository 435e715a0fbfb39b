#!/usr/bin/env bash
# opencolorio 2.6.0 (module PyOpenColorIO): ExceptionMissingFile is no Exception of the library.
#
# Expected: in C++ ExceptionMissingFile derives from OCIO::Exception, so `except ocio.Exception` around
# a transform catches whatever the library raises.
# Seen: in Python both derive from the built-in Exception alone. A color space that is not there is
# caught; a table that a transform names and that is not there goes by. Both classes have to be named.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "opencolorio==2.6.0"
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import PyOpenColorIO as ocio

print("PyOpenColorIO", ocio.__version__)
print("ExceptionMissingFile:", [base.__name__ for base in ocio.ExceptionMissingFile.__mro__])
config = ocio.Config.CreateFromBuiltinConfig("cg-config-v1.0.0_aces-v1.3_ocio-v2.1")
caught = []
for name, arguments in {
    "a space that is not there": ("none", "ACEScg"),
    "a table that is not there": (ocio.FileTransform("none.cube"),),
}.items():
    try:
        config.getProcessor(*arguments)
    except ocio.Exception:
        caught.append(name)
        print(name, "is caught by Exception of the library")
    except ocio.ExceptionMissingFile:
        print(name, "is not")
if caught != ["a space that is not there"]:
    sys.exit("this has changed")
PYTHON
echo "as described"
