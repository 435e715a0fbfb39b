#!/bin/sh
# Install dubfew for a container into a virtual environment, without what it does not use there.
# Both Dockerfiles run this in the root of a checkout; it needs eu-strip (Debian's elfutils).
#   sh tools/install_image.sh FOLDER [OPTIONS OF PIP]
# docs/guides/containers.md says what each step saves.
set -eu
folder=$1
shift
python3 -m venv "$folder"
"$folder/bin/pip" install --no-cache-dir --no-compile --constraint constraints.txt "$@" \
    '.[serve,transcript]'
# MediaPipe asks for these, and dubfew uses no part of it that needs them.
"$folder/bin/pip" uninstall --yes jax jaxlib ml_dtypes opencv-contrib-python sentencepiece
cd "$folder"/lib/python3*/site-packages
# Tests of packages, what compilers need, and MediaPipe's models of hands and bodies.
find . -depth -type d -name tests -exec rm -rf {} +
rm -rf torch/test torch/include c2pa/libs/*.rlib
find torch/bin -type f ! -name torch_shm_manager -delete
find mediapipe/modules -name '*.tflite' ! -path '*/face_*' ! -path '*/selfie_*' -delete
# Symbols for debuggers. The strip of binutils moves parts of libraries that auditwheel has changed,
# so that they do not load any more; eu-strip leaves all in its place.
find . -name '*.so*' -type f ! -path './nvidia/*' -exec eu-strip {} +
"$folder/bin/python" -m pip uninstall --yes setuptools pip
# Bytecode of what a dub and the server import, and of nothing else. It also shows that all is there.
scratch=$(mktemp -d)
export DUBFEW_HOME="$scratch/home" DUBFEW_KEYS="$scratch/keys"
"$folder/bin/dubfew" demo --out "$scratch/demo" --progress none
code=0
timeout --signal=INT 20 "$folder/bin/dubfew" serve --port 0 || code=$?
test "$code" = 124
rm -rf "$scratch"
