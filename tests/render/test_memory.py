"""What the stages of a render take must grow far less with its frames than their landmarks do."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from dubfew.adapt.artefact import ActorAdapter
from dubfew.motion.extraction import motion_from_track
from dubfew.motion.retargeting import retarget_mouth
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.track import Track
from dubfew.references.selection import choose_references
from dubfew.references.steady_insides import MouthInsides
from dubfew.references.track_geometry import compute_frame_keys
from dubfew.render.needs import measure_needs
from dubfew.speech.model import MotionSpace, SpeechModel
from dubfew.speech.style import SpeakingStyle
from dubfew.utils import growable_array
from tests.data.people import toy_track

# Frames of the shorter and the longer scene; work in blocks of frames takes the same in both.
SHORT, LONG = 1024, 4096
# Numbers of an actor's stored references, as many as `dubfew adapt` stores.
REFERENCES = 48


@pytest.fixture(autouse=True)
def short_arrays_in_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let landmarks of scenes of seconds lie in a file, as those of minutes do."""
    monkeypatch.setattr(growable_array, "IN_MEMORY_BYTES", 2**18)


def make_scene(frames: int) -> Track:
    """A track of a head whose landmarks lie in a file."""
    track = toy_track(64)
    return track.select(np.resize(np.arange(len(track)), frames))


def measure_peak(work: Callable[[], object]) -> int:
    """The most memory that some work has at once, bytes."""
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def measure_growth(make_work: Callable[[int], Callable[[], object]]) -> float:
    """Memory by which work grows with each frame, bytes."""
    short, long = make_work(SHORT), make_work(LONG)
    short()  # what is loaded once counts for neither
    return (measure_peak(long) - measure_peak(short)) / (LONG - SHORT)


def choose(frames: int) -> Callable[[], object]:
    head, scene = load_head_model(), make_scene(frames)
    keys = compute_frame_keys(toy_track(REFERENCES), head)
    has_teeth = np.arange(REFERENCES) % 2 == 0
    insides = MouthInsides(has_teeth, motion_from_track(scene, head).aperture())
    return lambda: choose_references(scene, head, keys, 4, mouth_in_scene=False, insides=insides)


def drive(frames: int) -> Callable[[], object]:
    head, scene = load_head_model(), make_scene(frames)
    motion = motion_from_track(scene, head)
    return lambda: retarget_mouth(scene, head, motion)


def extract(frames: int) -> Callable[[], object]:
    head, scene = load_head_model(), make_scene(frames)
    return lambda: motion_from_track(scene, head)


def speak(frames: int) -> Callable[[], object]:
    space: MotionSpace = SpeechModel.load_default().space
    style, times = SpeakingStyle.neutral(space), np.arange(frames) / 25
    coefficients = np.random.default_rng(0).normal(size=(frames, len(space.basis)))
    return lambda: style.apply(space.reconstruct(coefficients, times), reach=0.1)


def show_some(frames: int) -> Callable[[], object]:
    scene = make_scene(frames)
    rows = np.flatnonzero(np.arange(frames) % 3)
    return lambda: scene.select(rows)


# Landmarks take 5,736 bytes of each frame, a mouth's motion 756, jaw and expression of two tracks
# 424, and the distances to all references 192.
@pytest.mark.parametrize(
    ("make_work", "limit"),
    [(choose, 1000), (drive, 1600), (extract, 3600), (speak, 3800), (show_some, 1000)],
)
def test_stages_of_a_long_scene_make_no_copies_of_its_faces(
    make_work: Callable[[int], Callable[[], object]], limit: float
) -> None:
    assert measure_growth(make_work) < limit


@pytest.mark.slow
def test_needs_of_a_long_dub_take_no_copies_of_its_faces(registry) -> None:
    stored = registry.open("actor")
    adapter = ActorAdapter.from_files({name: stored.read(name) for name in stored.file_names()})
    head = load_head_model(adapter.config["head"])
    footage = Track.from_bytes(adapter.track_bytes, "track")

    def measure(frames: int) -> Callable[[], object]:
        scene = footage.select(np.resize(np.arange(len(footage)), frames))
        motion, painted = motion_from_track(scene, head), np.arange(frames) % 100 > 0
        return lambda: measure_needs(
            adapter, head, scene, motion, painted, relit=0, mouth_in_scene=False
        )

    assert measure_growth(measure) < 2500
