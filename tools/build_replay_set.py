"""Make the replay set that ships: film synthetic people, track and prepare them like anybody.

    python -m tools.build_replay_set [--clips FOLDER] [--out FILE]

Clips that are already in the folder (``synthetic_SEED.mp4``) are not filmed again. The same
versions of the encoder and of MediaPipe give the same file.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from dubfew.adapt.replay import ReplayPerson, bundled_replay_path, save_replay
from dubfew.reconstruction.heads.head_model import HeadModel, load_head_model
from dubfew.reconstruction.tracking import track_video
from dubfew.references.alignment import align_footage
from dubfew.references.cropping import load_clip_footage
from dubfew.synthetic import SyntheticPerson, write_clip

# Everybody in the set has a seed of their own; they vary in every trait by themselves. Sizes and
# qualities vary like those of footage do.
PERSON_SEEDS = tuple(range(1001, 1013))
FRAME_SIZES_PX, CLIP_CRFS = (256, 352, 448, 576), (16, 20, 24)
CLIP_SECONDS = 5.0
FRAMES_PER_PERSON = 16
WINDOW_SIZE_PX = 160


def film_person(seed: int, folder: Path) -> Path:
    """The clip of one person, filmed unless it is there."""
    path = folder / f"synthetic_{seed}.mp4"
    if not path.exists():
        write_clip(
            SyntheticPerson(seed),
            path,
            seconds=CLIP_SECONDS,
            size=FRAME_SIZES_PX[seed % len(FRAME_SIZES_PX)],
            seed=seed,
            crf=CLIP_CRFS[seed % len(CLIP_CRFS)],
        )
    return path


def prepare_person(clip: Path, head: HeadModel) -> ReplayPerson:
    """A filmed person as training sees them: landmarks, fit and alignment, errors included."""
    track = track_video(clip, head=head)
    footage = align_footage(load_clip_footage(clip, track, head, window_size=WINDOW_SIZE_PX), head)
    return ReplayPerson.from_footage(footage, FRAMES_PER_PERSON)


def build_replay_set(out: Path, folder: Path) -> None:
    """Film, prepare and store everybody."""
    head = load_head_model()
    people = [prepare_person(film_person(seed, folder), head) for seed in PERSON_SEEDS]
    out.parent.mkdir(parents=True, exist_ok=True)
    save_replay(out, people, make_replay_header(head))


def make_replay_header(head: HeadModel) -> dict[str, Any]:
    """What the file says of itself."""
    return {
        "head": head.name,
        "people": [f"synthetic person, seed {seed}" for seed in PERSON_SEEDS],
        "licence": "MIT, made by dubfew.synthetic",
    }


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description="Make the replay set of synthetic people.")
    parser.add_argument("--clips", type=Path, help="folder of the clips, made if not there")
    parser.add_argument("--out", type=Path, default=bundled_replay_path())
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = given.clips or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        build_replay_set(given.out, folder)


if __name__ == "__main__":
    main()
