"""Fixtures: a synthetic person's clip with and without watermark, and a signer."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from dubfew.marks.certificate import SigningIdentity, load_signing_identity
from dubfew.marks.watermark import WatermarkEmbedder
from dubfew.media import AudioSource, VideoWriter, probe, read_frames
from dubfew.reconstruction.crop import compute_track_regions, render_soft_mask
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.tracking import track_video
from tests.footage import ACTOR, cut

ID = "00c0ffee11"
FRAMES = 60


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("marks")


@pytest.fixture(scope="session")
def identity(folder) -> SigningIdentity:
    return load_signing_identity(folder / "home")


@pytest.fixture(scope="session")
def short(folder) -> Path:
    """A few frames with sound."""
    return cut(folder / "short.mp4", 0, 6)


@pytest.fixture(scope="session")
def unmarked(folder) -> Path:
    return cut(folder / "unmarked.mp4", 0, FRAMES)


@pytest.fixture(scope="session")
def marked(folder, unmarked) -> Path:
    """The clip with the watermark ``ID``, written by the default encoder."""
    track = track_video(unmarked)
    regions, marker = compute_track_regions(track, load_head_model()), WatermarkEmbedder(ID)
    path = folder / "marked.mp4"
    with VideoWriter(path, probe(unmarked), preset="veryfast") as writer:
        for row, frame in enumerate(read_frames(unmarked)):
            paint = frame.to_rgb().astype(np.float32)
            hull, window = regions.hull[row], regions.window[row]
            inside = render_soft_mask(hull, 1.0, 0.0, 0.0, 1.0, frame.height, frame.width) > 0
            marker.embed_watermark(frame, paint, inside, (0, 0), window)
            writer.write(frame.with_patch(0, 0, (paint + 0.5).astype(np.uint8), inside))
    return path


def encoded_again(source: Path, target: Path, crf: int, skip: int = 0) -> Path:
    """Encode a video once more with H.264, without its first frames."""
    with av.open(str(source)) as read, av.open(str(target), "w") as written:
        stream = written.add_stream("libx264", rate=25, options={"crf": str(crf)})
        video = read.streams.video[0]
        stream.width, stream.height, stream.pix_fmt = video.width, video.height, "yuv420p"
        for number, frame in enumerate(read.decode(video=0)):
            if number >= skip:
                frame.pts, frame.time_base, frame.pict_type = number - skip, 1 / video.base_rate, 0
                written.mux(stream.encode(frame))
        written.mux(stream.encode(None))
    return target


def synthetic_clip_as(path: Path, frames: int = 6) -> Path:
    """Write the start of the synthetic clip into a container."""
    with VideoWriter(path, probe(ACTOR), audio=AudioSource(ACTOR, duration=frames / 25)) as writer:
        for frame in read_frames(ACTOR, stop=frames):
            writer.write(frame)
    return path


def packets_of(path: Path) -> list[tuple[int, int | None, int | None, bytes]]:
    """Return all packets: number of the stream, times, bytes."""
    with av.open(str(path)) as container:
        return [
            (packet.stream_index, packet.pts, packet.dts, bytes(packet))
            for packet in container.demux()
        ]
