"""Make the pictures of the README's tutorial, from people who do not exist.

python -m tools.write_tutorial_pictures    # writes docs/pictures/*.webp; takes minutes
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

import dubfew
from dubfew.evaluate.contact_sheets import draw_contact_sheet, make_sheet_rows
from dubfew.media import read_frames
from dubfew.reconstruction.detection.landmarks import FaceLandmarker
from dubfew.registry import Registry
from dubfew.synthetic.clip import render_clip
from dubfew.synthetic.person import SyntheticPerson

PICTURES = Path(__file__).resolve().parent.parent / "docs" / "pictures"
# Edge of a picture and height of its caption, px: six fit beside each other on a page.
TILE_PX, CAPTION_PX = 224, 46
# Frame of the bundled clip that shows a clear mouth.
CLEAR_FRAME = 30
# Turn of the head from which dubfew leaves a mouth as it is, with some to spare, rad.
AWAY_RADIANS = 1.25
# Quality of WebP (0 to 100): mouths stay sharp, and the pictures together stay below 200 kB.
WEBP_QUALITY = 82
# Corrections that the second picture shows.
OPENINGS = (0.6, 1.4)


def main() -> None:
    """Write both pictures."""
    PICTURES.mkdir(exist_ok=True)
    clip, dub = (Path(str(files("dubfew.demo") / name)) for name in ("actor.mp4", "dub.wav"))
    draw_footage(clip).save(PICTURES / "footage.webp", quality=WEBP_QUALITY)
    draw_corrections(clip, dub).save(PICTURES / "corrections.webp", quality=WEBP_QUALITY)


def draw_footage(clip: Path) -> Image.Image:
    """Draw what footage to learn from looks like, and what it must not look like."""
    frame = next(read_frames(clip, start=CLEAR_FRAME)).to_rgb()
    with FaceLandmarker() as landmarker:
        face = landmarker(frame)
    if face is None:
        raise SystemExit("no face in the bundled clip: choose another frame")
    turned = next(
        render_clip(
            SyntheticPerson(4),
            seconds=0.04,
            size=2 * TILE_PX,
            seed=1,
            head_turn=(0, AWAY_RADIANS, 0),
        ).frames
    )
    tiles: tuple[tuple[str, NDArray[np.uint8]], ...] = (
        ("good: the face from\nthe front, sharp", frame),
        ("bad: the face\nis small", _change(frame, _shrink)),
        ("bad: blurred\nby motion", _change(frame, _blur)),
        ("bad: too dark", (frame * 0.16).astype(np.uint8)),
        ("bad: the mouth\nis covered", _cover(frame, face)),
        ("bad: turned away", np.asarray(turned)),
    )
    font = ImageFont.load_default(15)
    sheet = Image.new("RGB", (3 * (TILE_PX + 6), 2 * (TILE_PX + CAPTION_PX)), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (caption, pixels) in enumerate(tiles):
        left, top = number % 3 * (TILE_PX + 6), number // 3 * (TILE_PX + CAPTION_PX)
        tile = Image.fromarray(pixels).resize((TILE_PX, TILE_PX), Image.Resampling.LANCZOS)
        sheet.paste(tile, (left, top))
        draw.multiline_text((left + 2, top + TILE_PX + 3), caption, "black", font)
    return sheet


def draw_corrections(clip: Path, dub: Path) -> Image.Image:
    """Draw a scene, its dub, and what ``--open`` does to the dub."""
    with tempfile.TemporaryDirectory() as folder:
        registry = Registry(Path(folder) / "home")
        videos = {"scene": clip}
        for name, opening in (("dub", 1.0), *((f"--open {value}", value) for value in OPENINGS)):
            videos[name] = Path(folder) / f"{opening}.mp4"
            dubfew.dub(clip, dub, open=opening, out=videos[name], registry=registry)
        rows, moments = make_sheet_rows(videos, count=5)
        return draw_contact_sheet(rows, moments=moments, tile_px=150)


def _change(
    frame: NDArray[np.uint8], change: Callable[[Image.Image], Image.Image]
) -> NDArray[np.uint8]:
    return np.asarray(change(Image.fromarray(frame)))


def _shrink(image: Image.Image) -> Image.Image:
    """Put the picture far away, before its own background."""
    corner = image.crop((0, 0, image.width // 8, image.height // 8))
    far = corner.resize(image.size).filter(ImageFilter.GaussianBlur(20))
    small = image.resize((image.width // 6, image.height // 6), Image.Resampling.LANCZOS)
    far.paste(small, (image.width // 2 - small.width // 2, image.height // 2))
    return far


def _blur(image: Image.Image) -> Image.Image:
    """Average the picture along a sideways motion of 5 % of its width."""
    pixels = np.asarray(image, np.float32)
    steps = range(0, image.width // 20, 2)
    return Image.fromarray(np.mean([np.roll(pixels, s, 1) for s in steps], 0).astype(np.uint8))


def _cover(frame: NDArray[np.uint8], face: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Hold a sheet of paper before the mouth."""
    covered = frame.copy()
    left, right = face[:, 0].min(), face[:, 0].max()
    covered[int(face[2, 1]) : int(face[:, 1].max()) + 20, int(left) : int(right)] = 225
    return covered


if __name__ == "__main__":
    main()
