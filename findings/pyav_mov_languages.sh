#!/usr/bin/env bash
# PyAV 18.1.0 with FFmpeg 8.1.2: languages of tracks in QuickTime files.
#
# Expected: 20 languages have two codes in ISO 639-2, such as "deu" and "ger". Both are valid, and
# QuickTime has one number for German. So the writer stores that number for either code, or warns.
# Seen: the MOV muxer knows at most one code of each language. It drops the other without a word,
# and the track has no language then. Which one it knows follows no rule: "ger", "dut" and "chi"
# are kept and "deu", "nld" and "zho" are not, but "fra", "ces" and "ron" are kept and "fre", "cze"
# and "rum" are not. Swedish has one code, "swe". It is dropped, and "sve" is kept. MP4 keeps all
# of them.
# So a program that writes QuickTime must translate the codes, and one that reads it must know
# "sve".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "av==18.1.0"
"$folder/venv/bin/python" - <<'PYTHON'
import io

import av

# Both codes of each language: after its English name (B), and after its own (T).
PAIRS = (
    "alb/sqi arm/hye baq/eus bur/mya chi/zho cze/ces dut/nld fre/fra geo/kat ger/deu gre/ell "
    "ice/isl mac/mkd mao/mri may/msa per/fas rum/ron slo/slk tib/bod wel/cym"
)


def language_read(code, container):
    """Write a short silent track with a language, and return the language that is read."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        track = output.add_stream("aac", rate=48_000, layout="mono")
        track.metadata["language"] = code
        frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
        frame.rate, frame.pts = 48_000, 0
        frame.planes[0].update(bytes(frame.planes[0].buffer_size))
        output.mux([*track.encode(frame), *track.encode(None)])
    file.seek(0)
    with av.open(file) as source:
        return source.streams.audio[0].metadata.get("language")


print("PyAV", av.__version__, "FFmpeg", av.ffmpeg_version_info)
pairs = [pair.split("/") for pair in PAIRS.split()]
codes = [code for pair in pairs for code in pair] + ["swe", "sve"]
av.logging.set_level(av.logging.WARNING)
with av.logging.Capture(local=False) as warnings:
    mov = {code: language_read(code, "mov") for code in codes}
mp4 = {code: language_read(code, "mp4") for code in codes}
kept = {code for code in codes if mov[code] == code}
dropped = {code for code in codes if mov[code] is None}
print("kept in MOV, B:", *(b for b, _ in pairs if b in kept))
print("kept in MOV, T:", *(t for _, t in pairs if t in kept))
print("dropped in MOV, B:", *(b for b, _ in pairs if b in dropped))
print("dropped in MOV, T:", *(t for _, t in pairs if t in dropped))
print("Swedish in MOV: swe is read as", mov["swe"], "and sve as", mov["sve"])
print("dropped in MP4:", *(code for code in codes if mp4[code] != code))
print("warnings while MOV was written:", len(warnings))

assert kept | dropped == set(codes)
assert " ".join(b for b, _ in pairs if b in kept) == (
    "alb arm baq bur chi dut geo ger gre ice mac may per tib wel"
)
assert " ".join(t for _, t in pairs if t in kept) == "ces fra ron slk"
assert "swe" in dropped and "sve" in kept
assert all(mp4[code] == code for code in codes)
assert not warnings
print("as described")
PYTHON
