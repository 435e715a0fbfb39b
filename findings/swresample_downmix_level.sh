#!/usr/bin/env bash
# PyAV 18.1.0 (libswresample of FFmpeg 8.1.2): the level of a downmix.
#
# Expected: the mix of 5.1 or stereo to mono is the same sum of channels, whatever format its samples
# are stored in. Only rounding differs.
# Seen: it depends on the sample format of the output. To integers the weights are scaled so that
# full scale on all channels cannot clip: the center of a 5.1 track arrives in mono at 0.29 of its
# level (-10.7 dB). To floats nothing is scaled: it arrives at 1.00, and equal sound on both sides of
# a stereo track at 1.41, beyond full scale if it was loud. The input's format does not matter.
# So a model that was trained on mono sound of one format hears another level in the other, and
# floats have to be checked before they are written as integers.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "av==18.1.0" "numpy<2.4"
"$folder/venv/bin/python" - <<'PYTHON'
import av
import numpy as np

LEVEL = 0.25


def mix(layout: str, channels: list[str], given: str, wanted: str) -> float:
    """Mix a tone on some channels to mono; return its level over that on each channel."""
    names = [channel.name for channel in av.AudioLayout(layout).channels]
    samples = np.zeros((len(names), 48000), np.float32)
    tone = LEVEL * np.sin(2 * np.pi * 440 * np.arange(48000) / 48000)
    for name in channels:
        samples[names.index(name)] = tone
    if given == "s16p":
        samples = np.round(samples * 32767).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(samples, format=given, layout=layout)
    frame.sample_rate = 48000
    resampler = av.AudioResampler(format=wanted, layout="mono", rate=48000)
    frames = resampler.resample(frame) + resampler.resample(None)
    mono = np.concatenate([each.to_ndarray()[0] for each in frames])
    return float(np.abs(mono).max()) / LEVEL / (32767 if wanted == "s16p" else 1)


print("PyAV", av.__version__, "FFmpeg", av.ffmpeg_version_info)
expected = {("5.1", "FC"): (1.0, 0.293), ("stereo", "FL FR"): (1.414, 1.0)}
for (layout, names), levels in expected.items():
    for given in ("fltp", "s16p"):
        found = [mix(layout, names.split(), given, wanted) for wanted in ("fltp", "s16p")]
        print(f"{names} of {layout}, given as {given}: to floats {found[0]:.3f}, to integers {found[1]:.3f}")
        assert np.allclose(found, levels, atol=0.003), (found, levels)
print("as described")
PYTHON
