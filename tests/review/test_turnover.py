"""Folders for compositors: mattes, windows, ST-maps and facts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dubfew.batch.state import DONE, BatchState, RowRecord
from dubfew.batch.table import BatchRow
from dubfew.errors import DubfewError, OutputExistsError
from dubfew.jobs.description import JobDescription
from dubfew.media import Audio, Frame, VideoInfo, VideoWriter
from dubfew.media.in_memory import write_audio
from dubfew.reconstruction.detection.clip_detections import ClipDetections
from dubfew.reconstruction.detection.people import DetectedPerson
from dubfew.reconstruction.heads.landmark_indices import EYE_CORNERS, INNER_LIPS
from dubfew.review import turnover
from dubfew.review.turnover import WINDOW_PX, make_st_maps, write_turnover
from dubfew.review.uv_maps import make_uv_map
from dubfew.takes.take import Take
from dubfew.utils.files import sha256_file
from tests.takes.toys import toy_take

cv2 = pytest.importorskip("cv2")

WIDTH, HEIGHT, FRAMES = 160, 120, 6
# What the "render" of these tests paints, and faces whose mouths are in it and beside it.
MOUTH = (slice(60, 80), slice(30, 60))
FACES = ((45.0, 40.0), (120.0, 40.0))


def _write_video(path: Path, *, paints: bool = False, crf: int | None = None) -> None:
    random = np.random.default_rng(0).integers(60, 180, (HEIGHT // 8, WIDTH // 8, 3))
    base = random.astype(np.uint8).repeat(8, 0).repeat(8, 1)
    info = VideoInfo(path, WIDTH, HEIGHT, 25)
    quality = {"lossless": True} if crf is None else {"crf": crf}
    with VideoWriter(path, info, timecode="01:00:00:00", **quality) as writer:
        for number in range(FRAMES):
            rgb = base.copy()
            if paints and number != 2:
                rgb[MOUTH] = 255 - rgb[MOUTH]
            writer.write(Frame.from_rgb(rgb, number, 25))


def _people(path: Path) -> ClipDetections:
    """Two faces that move by a pixel each frame; the mouth of the first is painted."""
    people = []
    for number, (x, y) in enumerate(FACES):
        points = np.random.default_rng(number).uniform(-15, 15, (FRAMES, 478, 3))
        points[:] = points[0]
        points[:, EYE_CORNERS, :2] = [[-20, 0], [20, 0]]
        points[:, list(INNER_LIPS), :2] = [0, 30]
        points[..., :2] += np.array([x, y]) + np.arange(FRAMES)[:, None, None]
        nothing = np.zeros((FRAMES, 48, 32, 3), np.uint8)
        person = (number, np.arange(FRAMES), points.astype(np.float32), nothing, 40.0, ())
        people.append(DetectedPerson(*person))
    times = np.arange(FRAMES) / 25
    return ClipDetections(times, (WIDTH, HEIGHT), np.zeros(FRAMES, np.int32), people)


@pytest.fixture
def batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one output whose line has a motion, and a job that failed."""
    monkeypatch.setattr(turnover, "detect_people", _people)
    out = tmp_path / "out"
    out.mkdir()
    _write_video(tmp_path / "scene.mkv")
    _write_video(out / "one.mkv", paints=True)
    write_audio(tmp_path / "line.wav", Audio(np.zeros(4800, np.float32), 48000))
    toy_take().save(tmp_path / "line.motion")
    job = JobDescription(
        actor="mary",
        video=tmp_path / "scene.mkv",
        audio=tmp_path / "line.wav",
        options={"motion": tmp_path / "line.motion"},
    )
    rows = [BatchRow(name, "", job, Path(f"{name}.mkv")) for name in ("one", "two")]
    state = BatchState(out)
    state.folder.mkdir()
    state.write_rows(rows)
    state.write(rows[0], RowRecord(DONE, "", {"frames": FRAMES}))
    return out


@pytest.mark.slow
def test_a_folder_has_plate_dub_mattes_motion_and_facts(batch, tmp_path):
    result = write_turnover(batch, tmp_path / "turn", st_maps=False)
    assert (result.shots, result.left_out, result.notes) == (("one",), ("two",), ())
    place = tmp_path / "turn" / "one"
    facts = json.loads((place / "shot.json").read_text())
    assert facts["sha256"]["plate"] == sha256_file(tmp_path / "scene.mkv")
    assert sha256_file(place / facts["dub"]) == sha256_file(batch / "one.mkv")
    assert (facts["fps"], facts["frames"], facts["first_frame"]) == ([25, 1], FRAMES, 1001)
    assert facts["timecode"] == "01:00:00:00"
    wanted = np.zeros((HEIGHT, WIDTH), bool)
    wanted[MOUTH] = True
    for number in range(FRAMES):
        matte = cv2.imread(str(place / "matte" / f"matte.{1001 + number}.png"), -1)
        assert np.array_equal(matte, 255 * (wanted & (number != 2)))
    assert facts["painted"] == [
        None if number == 2 else [30, 60, 60, 80] for number in range(FRAMES)
    ]
    # The face whose mouth was painted, and the motion of its line.
    assert [each["face"] for each in facts["window"]["faces"]] == [0]
    (line,) = facts["lines"]
    assert (line["actor"], line["audio"]) == ("mary", "line.wav")
    assert Take.load(place / line["motion"]).edits == toy_take().edits
    # The eyes stand still in the window, 220 px apart.
    matrices = np.array(facts["window"]["faces"][0]["plate_to_window"])
    points = _people(Path()).people[0].landmarks[:, EYE_CORNERS, :2]
    eyes = np.einsum("nij,npj->npi", matrices[:, :, :2], points) + matrices[:, None, :, 2]
    np.testing.assert_allclose(eyes, np.broadcast_to(eyes[0], eyes.shape), atol=1.0)
    np.testing.assert_allclose(eyes[0], [[146, 110], [366, 110]], atol=1.0)
    with pytest.raises(OutputExistsError):
        write_turnover(batch, tmp_path / "turn")
    with pytest.raises(DubfewError, match="no such output"):
        write_turnover(batch, tmp_path / "turn", only="two")


@pytest.mark.slow
def test_mattes_of_an_encoder_that_loses_are_blocks_around_the_paint(batch, tmp_path):
    _write_video(batch / "one.mkv", paints=True, crf=23)
    result = write_turnover(batch, tmp_path / "turn")
    assert "loses" in result.notes[0]
    matte = cv2.imread(str(tmp_path / "turn" / "one" / "matte" / "matte.1001.png"), -1) > 0
    assert matte[MOUTH].all()
    assert matte.mean() < 0.15


def test_maps_bring_a_window_of_the_plate_and_back():
    angle, scale = 0.2, 3.0
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.column_stack([turn, (WINDOW_PX / 2, WINDOW_PX / 2) - turn @ (80, 60)])
    columns, rows = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    plate = np.stack([columns, rows], axis=2).astype(np.float32)
    to_window, to_plate = make_st_maps(matrix, WIDTH, HEIGHT)

    def sample(image: np.ndarray, st: np.ndarray) -> np.ndarray:
        """As Nuke's STMap does: v counts from below, pixels have their centers at +0.5."""
        height, width = image.shape[:2]
        x, y = st[..., 0] * width - 0.5, (1 - st[..., 1]) * height - 0.5
        return cv2.remap(image, x, y, cv2.INTER_LINEAR)

    window = sample(plate, to_window)
    assert window.shape == (WINDOW_PX, WINDOW_PX, 2)
    # The middle of the window shows the middle of the plate.
    np.testing.assert_allclose(window[255:257, 255:257].mean((0, 1)), [80, 60], atol=1e-3)
    back = sample(window, to_plate)
    inside = np.zeros((HEIGHT, WIDTH), bool)
    inside[4:-4, 4:-4] = True
    inside &= cv2.erode(to_plate[..., 2], np.ones((5, 5))) > 0
    assert inside.mean() > 0.6
    np.testing.assert_allclose(back[inside], plate[inside], atol=0.02)


@pytest.mark.slow
def test_maps_are_written_as_float_exr(batch, tmp_path):
    exr = pytest.importorskip("OpenEXR")
    write_turnover(batch, tmp_path / "turn", st_maps=True)
    place = tmp_path / "turn" / "one" / "stmap" / "face0"
    assert len([*place.glob("window.*.exr")]) == len([*place.glob("plate.*.exr")]) == FRAMES
    facts = json.loads((tmp_path / "turn" / "one" / "shot.json").read_text())
    matrix = np.array(facts["window"]["faces"][0]["plate_to_window"][1])
    wanted, _ = make_st_maps(matrix, WIDTH, HEIGHT)
    with exr.File(str(place / "window.1002.exr"), separate_channels=True) as file:
        found = {name: each.pixels for name, each in file.channels().items()}
    assert found["R"].dtype == np.float32
    np.testing.assert_allclose(found["G"], wanted[..., 1], atol=1e-5)


@pytest.mark.slow
def test_uv_maps_are_those_of_the_painted_face_in_the_dub(batch, tmp_path, monkeypatch):
    exr = pytest.importorskip("OpenEXR")

    def find_people(path: Path) -> ClipDetections:
        """In the dub the order is another one, and the mouth is lower."""
        found = _people(path)
        if path.stem != "one":
            return found
        for person in found.people:
            person.landmarks[:, list(INNER_LIPS), 1] += 3
        first, second = found.people
        people = [replace(second, number=0), replace(first, number=1)]
        return replace(found, people=people)

    monkeypatch.setattr(turnover, "detect_people", find_people)
    write_turnover(batch, tmp_path / "turn", uv_maps=True)
    place = tmp_path / "turn" / "one"
    assert [each.name for each in (place / "uv").iterdir()] == ["face0"]
    wanted = make_uv_map(find_people(batch / "one.mkv").people[1].landmarks[1], WIDTH, HEIGHT)
    assert wanted[..., 2].any()
    with exr.File(str(place / "uv" / "face0" / "uv.1002.exr"), separate_channels=True) as file:
        found = np.stack([file.channels()[name].pixels for name in "RGB"], axis=2)
    np.testing.assert_allclose(found, wanted, atol=1e-3)
    assert len([*(place / "uv" / "face0").iterdir()]) == FRAMES
    facts = json.loads((place / "shot.json").read_text())
    assert facts["uv"] == {"files": "uv/face%d/uv.%04d.exr"}
