#!/usr/bin/env bash
# MediaPipe 0.10.21: what `process` of its Python solutions returns.
#
# Expected: an object that holds what was found in the picture, and goes with its last reference.
# Seen: a new class for every picture (`isinstance(result, type)`), made by `namedtuple`, with the
# mask or the landmarks as attributes of the class. A class refers to itself, so counting references
# never frees it: the masks stay until Python's collector of cycles has run, and its oldest
# generation, where results of a long loop end up, is looked at ever more rarely. A float mask of
# 1080 x 1920 has 8 MB. With the collector off, as some loops have it for even timing, or with large
# thresholds, memory grows with every picture although nothing is kept. Results cannot be pickled
# for another process either.
# So take the arrays out and delete them from the class, or collect in the loop.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "mediapipe==0.10.21"
"$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import gc
import importlib.metadata
import pickle
import weakref

import mediapipe
import numpy as np

PICTURES = 5
picture = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
print("mediapipe", importlib.metadata.version("mediapipe"))
classes, masks = [], []
with mediapipe.solutions.selfie_segmentation.SelfieSegmentation(model_selection=0) as solution:
    solution.process(picture)
    gc.collect()
    gc.disable()
    for _ in range(PICTURES):
        result = solution.process(picture)
        classes.append(isinstance(result, type))
        masks.append(weakref.ref(result.segmentation_mask))
        try:
            pickle.dumps(result)
        except Exception as error:
            refused = type(error).__name__
        else:
            refused = ""
        del result
    kept = sum(mask() is not None for mask in masks)
    gc.collect()
    left = sum(mask() is not None for mask in masks)
print("results that are classes:", sum(classes), "of", PICTURES)
print("pickle refuses a result:", refused or "no")
print("masks in memory after the last reference has gone:", kept, "of", PICTURES)
print("after a collection of cycles:", left)
assert all(classes), "results are objects now"
assert refused, "results can be pickled now"
assert kept == PICTURES, "masks go with their results now"
assert left == 0, left
PYTHON
echo "seen as described"
