"""Four people: the bundled one, made up as others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dubfew.media import Frame, VideoWriter, probe, read_frames
from dubfew.reconstruction.face_embeddings import FACE_EMBEDDINGS
from tests.footage import ACTOR

FRAMES = 4
# Make-up: what the three colours of the lower face are multiplied with.
PEOPLE = {
    "red": (1.3, 0.6, 0.6),
    "green": (0.6, 1.3, 0.6),
    "blue": (0.6, 0.6, 1.3),
    "plain": (1.0, 1.0, 1.0),
}


class ColourEmbedding:
    """Tells people apart by the colour of their chins, as a face-recognition network would not."""

    name = "colour"
    same_person_distance = 0.0

    def __call__(
        self, rgb: NDArray[np.uint8], landmarks: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        x, y = landmarks[[17, 152], :2].mean(0).astype(int)  # between lower lip and chin
        patch = rgb[y - 4 : y + 5, x - 4 : x + 5].reshape(-1, 3).mean(0)
        return (patch / 255).astype(np.float32)


@pytest.fixture(autouse=True)
def embedding() -> Iterator[str]:
    """The name of an embedding that needs nothing installed."""
    FACE_EMBEDDINGS.register("colour", ColourEmbedding)
    yield "colour"
    FACE_EMBEDDINGS.unregister("colour")


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A video of each."""
    folder = tmp_path_factory.mktemp("people")
    info = probe(ACTOR)
    frames = list(read_frames(ACTOR, stop=FRAMES))
    for name, colour in PEOPLE.items():
        with VideoWriter(folder / f"{name}.mp4", info, crf=12, preset="ultrafast") as writer:
            for number, frame in enumerate(frames):
                rgb = frame.to_rgb()
                lower = rgb[rgb.shape[0] // 2 :]
                lower[:] = np.clip(lower * colour, 0, 255).astype(np.uint8)
                made_up = Frame.from_rgb(rgb, color=frame.color)
                writer.write(made_up.with_time(number, number / info.fps))
    return {name: folder / f"{name}.mp4" for name in PEOPLE}
