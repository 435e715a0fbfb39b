"""Small videos and sounds made on the spot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.media.pictures import smooth_rgb, sound_frame


@pytest.fixture
def make_video(tmp_path: Path) -> Callable[..., Path]:
    """Encode by bare PyAV, so that the room's reader is not tested against its own writer."""

    def make(
        name: str = "video.mp4",
        *,
        count: int = 10,
        width: int = 64,
        height: int = 48,
        fps: Fraction | int = 25,
        codec: str = "libx264",
        pix_fmt: str = "yuv420p",
        ticks: Sequence[int] | None = None,
        time_base: Fraction | None = None,
        options: dict[str, str] | None = None,
        tags: dict[str, int] | None = None,
        audio: np.ndarray | None = None,  # [channels, n] float32
        audio_rate: int = 48000,
        audio_codec: str = "aac",
        audio_delay: float = 0.0,
        layout: str = "mono",
    ) -> Path:
        path = tmp_path / name
        options = options or ({"qp": "0", "preset": "ultrafast"} if codec == "libx264" else {})
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=Fraction(fps), options=options)
            stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
            stream.codec_context.time_base = time_base or 1 / Fraction(fps)
            for tag, value in (tags or {}).items():
                setattr(stream.codec_context, tag, value)
            sound = None
            if audio is not None:
                sound = container.add_stream(audio_codec, rate=audio_rate, layout=layout)
            for number in range(count):
                picture = av.VideoFrame.from_ndarray(smooth_rgb(height, width, number), "rgb24")
                picture = picture.reformat(format=pix_fmt)
                picture.pts = number if ticks is None else ticks[number]
                picture.time_base = stream.codec_context.time_base
                for packet in stream.encode(picture):
                    packet.duration = packet.duration or 1
                    container.mux(packet)
            container.mux(stream.encode(None))
            if sound is not None:
                for start in range(0, audio.shape[1], 1024):
                    part = np.ascontiguousarray(audio[:, start : start + 1024])
                    frame = sound_frame(part, audio_rate, layout, start)
                    frame.pts += round(audio_delay * audio_rate)
                    container.mux(sound.encode(frame))
                container.mux(sound.encode(None))
        return path

    return make


@pytest.fixture
def make_wav(tmp_path: Path) -> Callable[..., Path]:
    def make(
        samples: np.ndarray,  # [channels, n] float32
        rate: int,
        name: str = "sound.wav",
        codec: str = "pcm_s16le",
        layout: str = "mono",
    ) -> Path:
        path = tmp_path / name
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=rate, layout=layout)
            for start in range(0, samples.shape[1], 1024):
                part = np.ascontiguousarray(samples[:, start : start + 1024])
                container.mux(stream.encode(sound_frame(part, rate, layout, start)))
            container.mux(stream.encode(None))
        return path

    return make
