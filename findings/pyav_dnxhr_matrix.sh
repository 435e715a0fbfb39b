#!/usr/bin/env bash
# PyAV 18.1.0 with FFmpeg 8.1.2: the color matrix of DNxHR.
#
# Expected: an encoder that is told of BT.2020, by its context and by each frame, writes that into
# the stream if the stream has a place for it, or refuses.
# Seen: DNxHR has two bits for the matrix, and FFmpeg's decoder reads them. The encoder leaves them
# at BT.709 whatever it is told, without a warning. In a MOV file the container says BT.2020, and
# the decoded frames say BT.709. Who believes the frames sees reds 8 levels off. With the bits set
# by hand the colors are right. ProRes keeps the matrix.
# So a reader of DNxHR should take the container's tag before the frame's, and a writer of DNxHR
# without such a container should convert to BT.709.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "av==18.1.0"
"$folder/venv/bin/python" - <<'PYTHON'
import io
from fractions import Fraction

import av

NAMES = {1: "BT.709", 9: "BT.2020"}
RED = (200, 40, 40)
WIDTH, HEIGHT = 256, 128
# Place of the bits of the matrix in the header of a frame, and their value for BT.2020.
MATRIX_BYTE, BT2020_BITS = 0x2C, 0b010


def encode(codec, options, matrix):
    """Return a MOV file of one red picture, and its packet."""
    file = io.BytesIO()
    with av.open(file, "w", format="mov") as output:
        video = output.add_stream(codec, rate=25, options=options)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv422p10le"
        context = video.codec_context
        context.colorspace = matrix
        context.color_primaries, context.color_trc = (1, 1) if matrix == 1 else (9, 14)
        rgb = av.VideoFrame(WIDTH, HEIGHT, "rgb24")
        rgb.planes[0].update(bytes(RED) * (rgb.planes[0].buffer_size // 3))
        picture = rgb.reformat(format="yuv422p10le", dst_colorspace=matrix)
        picture.pts, picture.time_base, picture.colorspace = 0, Fraction(1, 25), matrix
        packets = [*video.encode(picture), *video.encode(None)]
        data = bytes(packets[0])
        output.mux(packets)
    return file, data


def decode(codec, data):
    """Decode a packet outside of a container."""
    decoder = av.CodecContext.create(codec, "r")
    return [*decoder.decode(av.Packet(data)), *decoder.decode(None)][0]


def read(frame):
    """Return the matrix that a frame tells, and its color by that matrix."""
    rgb = frame.reformat(format="rgb24", src_colorspace=frame.colorspace)
    return int(frame.colorspace), tuple(bytes(rgb.planes[0])[:3])


print("PyAV", av.__version__, "FFmpeg", av.ffmpeg_version_info)
results = {}
av.logging.set_level(av.logging.WARNING)
with av.logging.Capture(local=False) as warnings:
    for name, encoder, options in (
        ("DNxHR", "dnxhd", {"profile": "dnxhr_hqx"}),
        ("ProRes", "prores_ks", {}),
    ):
        for told in NAMES:
            file, data = encode(encoder, options, told)
            file.seek(0)
            with av.open(file) as source:
                container = int(source.streams.video[0].codec_context.colorspace)
                matrix, color = read(next(source.decode(video=0)))
            error = max(abs(a - b) for a, b in zip(color, RED, strict=True))
            results[name, told] = container, matrix, error
            print(
                f"{name} told {NAMES[told]}: container {NAMES[container]}, frame {NAMES[matrix]}, "
                f"{RED} is read as {color}"
            )
            if (name, told) == ("DNxHR", 9):
                bits = bytearray(data)
                bits[MATRIX_BYTE] |= BT2020_BITS
                matrix, color = read(decode("dnxhd", bytes(bits)))
                error = max(abs(a - b) for a, b in zip(color, RED, strict=True))
                results["by hand"] = matrix, error
                print(f"    with the bits set by hand: frame {NAMES[matrix]}, read as {color}")
from_dnxhd = [warning for warning in warnings if warning[1] != "prores"]
print("warnings about DNxHR:", len(from_dnxhd))

assert results["DNxHR", 1][:2] == (1, 1) and results["DNxHR", 1][2] <= 4, results
assert results["DNxHR", 9][:2] == (9, 1) and results["DNxHR", 9][2] >= 7, results
assert results["by hand"][0] == 9 and results["by hand"][1] <= 4, results
assert results["ProRes", 9][:2] == (9, 9) and results["ProRes", 9][2] <= 4, results
assert not from_dnxhd
print("as described")
PYTHON
