"""Make the replay set that ships: film synthetic people, then track and prepare them.

    python -m tools.build_replay_set [--clips FOLDER] [--out FILE]

The people are tracked like real ones, so that the set has the errors that training sees. Clips
that are already in the folder (``synthetic_SEED.mp4``) are not filmed again. The same versions of
the encoder and of MediaPipe give the same file.
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

# Seeds of the people in the set, far from those of the demo and the tests. Twelve vary in every
# trait; more make the file larger.
PERSON_SEEDS = tuple(range(1001, 1013))
# Frame sizes and encoder qualities in turn, so that the set varies as footage does.
FRAME_SIZES_PX, CLIP_CRFS = (256, 352, 448, 576), (16, 20, 24)
# Length of each clip, s: long enough for every mouth shape, short enough to film twelve.
CLIP_SECONDS = 5.0
# Frames that are kept of each person: their pictures are most of the file's size.
FRAMES_PER_PERSON = 16
# Edge of the mouth windows that are stored, px: that of the renderers' windows.
WINDOW_SIZE_PX = 160


def film_person(seed: int, folder: Path) -> Path:
    """Film one person, unless their clip is there already.

    Args:
        seed: one of ``PERSON_SEEDS``; it decides frame size and quality, too.
        folder: folder of the clips.

    Returns:
        Path of the clip.
    """
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
    """Track a clip and pick the frames that the set keeps.

    Args:
        clip: a filmed person.
        head: head model to track with.
    """
    track = track_video(clip, head=head)
    footage = align_footage(load_clip_footage(clip, track, head, window_size=WINDOW_SIZE_PX), head)
    return ReplayPerson.from_footage(footage, FRAMES_PER_PERSON)


def build_replay_set(out: Path, folder: Path) -> None:
    """Film, prepare and store all people.

    Args:
        out: file to write.
        folder: folder of the clips, which exists.
    """
    head = load_head_model()
    people = [prepare_person(film_person(seed, folder), head) for seed in PERSON_SEEDS]
    out.parent.mkdir(parents=True, exist_ok=True)
    save_replay(out, people, make_replay_header(head))


def make_replay_header(head: HeadModel) -> dict[str, Any]:
    """Describe the set for the file's header: head model, people and license."""
    return {
        "head": head.name,
        "people": [f"synthetic person, seed {seed}" for seed in PERSON_SEEDS],
        "licence": "MIT, made by dubfew.synthetic",
    }


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Make the replay set of synthetic people.")
    parser.add_argument("--clips", type=Path, help="folder of the clips, made if missing")
    parser.add_argument("--out", type=Path, default=bundled_replay_path(), help="file to write")
    options = parser.parse_args(arguments)
    with ExitStack() as stack:
        folder = options.clips or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        build_replay_set(options.out, folder)


if __name__ == "__main__":
    main()
