"""Blendshape files: motion to ARKit's weights and back, and files of others."""

from __future__ import annotations

import csv
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dubfew.cli.app import app
from dubfew.errors import DubfewError
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.speech.viseme_basis import load_viseme_basis
from dubfew.speech.visemes import controls_from_motion
from dubfew.takes.blendshapes import (
    ARKIT_SHAPES,
    Blendshapes,
    import_take,
    motion_from_blendshapes,
    motion_to_blendshapes,
    read_blendshapes,
    write_blendshapes,
)
from dubfew.takes.record import record_motion
from tests.commands import CommandRunner
from tests.takes.toys import toy_take


def run_command(*words: object) -> Any:
    return CommandRunner().invoke(app, [str(word) for word in words])


def _speech_like_motion(seed: int = 0) -> MouthMotion:
    """Every sign of width, purse and lips beside an opening jaw, within what speech does."""
    random = np.random.default_rng(seed)
    low, high = [-0.02, -0.16, -0.15, -0.02, -0.1], [0.05, 0.02, 0.08, 0.05, 0.0]
    controls = random.uniform(low, high, (200, 5)).astype(np.float32)
    displacement = np.tensordot(controls, load_viseme_basis(), axes=1).astype(np.float32)
    return MouthMotion(displacement, np.arange(200) / 60)


def test_weights_are_from_0_to_1_and_describe_openings_closures_and_rounding():
    motion = _speech_like_motion()
    weights = motion_to_blendshapes(motion).weights
    assert all((values >= 0).all() and (values <= 1).all() for values in weights.values())
    upper, _, width, _, chin = controls_from_motion(motion).T
    # The jaw follows the chin; a mouth that is narrower than at rest is never stretched.
    np.testing.assert_allclose(weights["jawOpen"], np.clip(-chin / 0.30, 0, 1), atol=1e-6)
    assert (weights["mouthStretchLeft"][width < -0.1] < 1e-6).all()
    assert (weights["mouthPucker"][width < -0.1] > 0.1).all()
    assert (weights["mouthUpperUpLeft"][upper < -0.01] < 1e-6).all()


def test_the_controls_survive_a_round_trip():
    motion = _speech_like_motion()
    shapes = motion_to_blendshapes(motion)
    controls = controls_from_motion(motion)
    wanted = np.tensordot(controls, load_viseme_basis(), axes=1)
    # No shape raises the chin above rest, and weights end at 1.
    within = (controls[:, 4] <= 0) & np.all([w < 1 for w in shapes.weights.values()], axis=0)
    assert within.sum() > 150
    again = motion_from_blendshapes(shapes)
    np.testing.assert_allclose(again.displacement[within], wanted[within], atol=2e-4)


def test_closed_lips_over_an_open_jaw_are_mouth_close():
    shapes = Blendshapes(
        {"jawOpen": np.array([0.3], np.float32), "mouthClose": np.array([0.3], np.float32)},
        np.zeros(1),
    )
    closed = motion_from_blendshapes(shapes)
    opened = motion_from_blendshapes(
        Blendshapes({"jawOpen": np.array([0.3], np.float32)}, np.zeros(1))
    )
    assert opened.aperture()[0] > 0.08
    assert abs(closed.aperture()[0]) < 0.35 * opened.aperture()[0]


@pytest.mark.parametrize(("name", "rate"), [("a.csv", 60), ("a.csv", 25), ("a.json", 30)])
def test_files_keep_weights_and_times(tmp_path: Path, name: str, rate: float):
    motion = _speech_like_motion()
    path = tmp_path / name
    write_blendshapes(path, motion, rate, sound="line.wav")
    found = read_blendshapes(path)
    assert len(found.times) == int(motion.times[-1] * rate) + 1
    np.testing.assert_allclose(found.times, np.arange(len(found.times)) / rate, atol=1e-3)
    known = motion_to_blendshapes(motion.resample(np.arange(len(found.times)) / rate))
    for shape, values in known.weights.items():
        np.testing.assert_allclose(found.weights[shape], values, atol=1e-6)


def test_the_csv_has_the_columns_of_the_app(tmp_path: Path):
    write_blendshapes(tmp_path / "a.csv", _speech_like_motion())
    with open(tmp_path / "a.csv", newline="") as file:
        head, *rows = [*csv.reader(file)]
    assert head[:3] == ["Timecode", "BlendShapeCount", "EyeBlinkLeft"]
    assert len(head) == 63
    assert head[-9:-6] == ["HeadYaw", "HeadPitch", "HeadRoll"]
    assert [row[0] for row in rows[58:62]] == [
        *("00:00:00:58.000", "00:00:00:59.000", "00:00:01:00.000", "00:00:01:01.000"),
    ]
    assert {row[1] for row in rows} == {"61"}


def test_names_of_audio2face_and_other_cases_are_known(tmp_path: Path):
    path = tmp_path / "a.json"
    content = {
        "exportFps": 30.0,
        "facsNames": ["browLowerL", "jawDrop", "JawOpenX", "pucker"],
        "weightMat": [[1, 0.25, 0.9, 0.5], [1, 0.5, 0.9, 0.0]],
    }
    path.write_text(json.dumps(content))
    found = read_blendshapes(path)
    assert set(found.weights) == {"jawOpen", "mouthPucker"}
    np.testing.assert_allclose(found.weights["jawOpen"], [0.25, 0.5])
    take = import_take(path)
    assert take.source.kind == "blendshapes"
    assert take.motion.aperture()[1] > 1.5 * take.motion.aperture()[0] > 0


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "a,b\n1,2\n", "first column is not Timecode"),
        ("a.csv", "Timecode,JawOpen\n1:2,0.5\n", "no timecodes"),
        ("a.csv", "Timecode,JawOpen\n00:00:00:05,0.5\n00:00:00:04,0.5\n", "do not rise"),
        ("a.csv", "Timecode,JawOpen\n00:00:00:05,nan\n", "no weights"),
        ("a.csv", "Timecode,JawOpen\n00:00:00:05,50\n", "no weights"),
        ("a.csv", "Timecode,EyeBlinkLeft\n00:00:00:05,0.5\n", "moves the lips"),
        ("a.csv", "Timecode,JawOpen\n", "no frames"),
        ("a.json", "[1, 2]", "Audio2Face JSON"),
        ("a.json", '{"facsNames": ["jawOpen"], "weightMat": [[1, 2]]}', "facsNames"),
        ("a.json", '{"facsNames": [], "weightMat": [], "exportFps": 0}', "Audio2Face JSON"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path: Path, name: str, text: str, message: str):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(DubfewError, match=message) as caught:
        import_take(path)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


@pytest.mark.slow
def test_motion_and_edit_read_and_write_them(tmp_path: Path):
    take = toy_take(seconds=2.0)
    take.save(tmp_path / "line.motion")
    out = tmp_path / "line.csv"
    run = run_command("edit", tmp_path / "line.motion", "--scale", 0.5, "--export", out)
    assert run.exit_code == 0, run.stderr
    again = record_motion(out)
    assert again.source.name == "line.csv"
    # The edit is in the file.
    np.testing.assert_allclose(
        again.motion.aperture().max(), take.motion.aperture().max() / 2, atol=5e-3
    )
    assert run_command("edit", tmp_path / "line.motion", "--fps", 25).exit_code == 2
    # A file that is there stays.
    assert run_command("edit", tmp_path / "line.motion", "--export", out).exit_code == 1
    with pytest.raises(DubfewError, match="holds the motion itself"):
        record_motion(out, language="de")


def test_all_shapes_of_arkit_are_there_once():
    assert len(ARKIT_SHAPES) == len({*ARKIT_SHAPES}) == 52


@pytest.mark.parametrize("suffix", [".usda", ".usdc"])
def test_usd_gives_back_weights_and_times(tmp_path: Path, suffix: str):
    usd = pytest.importorskip("pxr.Usd")
    motion, path = _speech_like_motion(), tmp_path / f"line{suffix}"
    write_blendshapes(path, motion, 24)
    # As USD itself reads it: weights by the names of ARKit, one time code for each frame.
    stage = usd.Stage.Open(str(path))
    assert (stage.GetTimeCodesPerSecond(), stage.GetStartTimeCode()) == (24, 0)
    prim = stage.GetDefaultPrim()
    assert (prim.GetTypeName(), str(prim.GetPath())) == ("SkelAnimation", "/mouth")
    assert tuple(prim.GetAttribute("blendShapes").Get()) == ARKIT_SHAPES
    count = int(stage.GetEndTimeCode()) + 1
    assert count == int(motion.times[-1] * 24 + 1e-6) + 1
    wanted = motion_to_blendshapes(motion.resample(np.arange(count) / 24)).weights
    found = read_blendshapes(path)
    np.testing.assert_allclose(found.times, np.arange(count) / 24)
    for name, values in wanted.items():
        np.testing.assert_allclose(found.weights[name], values, atol=1e-6)
    again = motion_from_blendshapes(Blendshapes(wanted, np.arange(count) / 24))
    np.testing.assert_allclose(import_take(path).motion.displacement, again.displacement, atol=1e-6)


def test_usd_of_others_is_read_alone_and_checked(tmp_path: Path):
    pytest.importorskip("pxr.Usd")
    path = tmp_path / "face.usda"
    body = (
        '#usda 1.0\n(\n  timeCodesPerSecond = 30\n  subLayers = [@none.usda@]\n)\ndef "a" {{\n'
        'def SkelAnimation "b" {{\n'
        ' uniform token[] blendShapes = ["face:jawOpen", "browDownLeft"]\n'
        " float[] blendShapeWeights.timeSamples = {{ 10: {}, 25: [1, 0] }}\n}}\n}}\n"
    )
    path.write_text(body.format("[0.5, 1]"))
    found = read_blendshapes(path)
    np.testing.assert_allclose(found.times, [0, 0.5])
    np.testing.assert_allclose(found.weights["jawOpen"], [0.5, 1])
    for wrong, reason in (("[0.5]", "not one weight"), ("[50, 1]", "no weights from 0 to 1")):
        path.write_text(body.format(wrong))
        with pytest.raises(DubfewError, match=reason):
            read_blendshapes(path)
    path.write_text('#usda 1.0\ndef Mesh "m" {}\n')
    with pytest.raises(DubfewError, match="no animation"):
        read_blendshapes(path)
    path.write_text("broken")
    with pytest.raises(DubfewError, match="no USD file"):
        read_blendshapes(path)


def _read_glb(path: Path) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Read a file by the specification: its JSON, and the numbers of all accessors."""
    content = path.read_bytes()
    magic, version, length = struct.unpack_from("<4sII", content)
    assert (magic, version, length) == (b"glTF", 2, len(content))
    size, kind = struct.unpack_from("<I4s", content, 12)
    assert kind == b"JSON"
    assert size % 4 == 0
    document = json.loads(content[20 : 20 + size])
    assert struct.unpack_from("<I4s", content, 20 + size)[1] == b"BIN\0"
    data = content[28 + size :]
    assert document["buffers"] == [{"byteLength": len(data)}]
    arrays = []
    for each in document["accessors"]:
        view = document["bufferViews"][each["bufferView"]]
        channels = {"SCALAR": 1, "VEC2": 2, "VEC3": 3}[each["type"]]
        form = {5126: "<f4", 5123: "<u2"}[each["componentType"]]
        array = np.frombuffer(data, form, each["count"] * channels, view["byteOffset"])
        assert array.nbytes == view["byteLength"]
        arrays.append(array.reshape(-1, channels))
        np.testing.assert_allclose(arrays[-1].min(0), each["min"], atol=1e-6)
        np.testing.assert_allclose(arrays[-1].max(0), each["max"], atol=1e-6)
    return document, arrays


def test_gltf_moves_a_head_as_the_motion_says(tmp_path: Path):
    motion, path = _speech_like_motion(), tmp_path / "line.glb"
    write_blendshapes(path, motion, 24)
    document, arrays = _read_glb(path)
    (mesh,), (animation,) = document["meshes"], document["animations"]
    (primitive,) = mesh["primitives"]
    names = mesh["extras"]["targetNames"]
    targets = {
        name: arrays[target["POSITION"]]
        for name, target in zip(names, primitive["targets"], strict=True)
    }
    (sampler,) = animation["samplers"]
    times, weights = arrays[sampler["input"]], arrays[sampler["output"]].reshape(-1, len(names))
    wanted = motion_to_blendshapes(motion.resample(times[:, 0].astype(float))).weights
    np.testing.assert_allclose(times[:, 0], np.arange(len(times)) / 24, atol=1e-6)
    np.testing.assert_allclose(weights[:, names.index("jawOpen")], wanted["jawOpen"], atol=1e-5)
    head = load_head_model()
    lips = head.point_matrix((13, 14))  # the inner lips' middles
    rest = arrays[primitive["attributes"]["POSITION"]]

    def measure_gap(**given: float) -> float:
        moved = rest + sum(weight * targets[name] for name, weight in given.items())
        upper, lower = lips @ moved
        return float(upper[1] - lower[1])

    # The table's 0.36 of the eyes' distance, of which a mouth's solve leaves a part.
    unit = head.inter_ocular_distance(np.zeros(len(head.shape_basis)))
    shut = measure_gap()
    assert 0.25 < (measure_gap(jawOpen=1.0) - shut) / unit < 0.4
    assert abs(measure_gap(jawOpen=1.0, mouthClose=1.0) - shut) / unit < 0.02
    # A shape of one side leaves the other alone.
    left = np.abs(targets["mouthStretchLeft"]).max(axis=1)
    assert left[rest[:, 0] > 0.02].max() > 0.003
    assert not left[rest[:, 0] < -0.01].any()
    found = import_take(path).motion
    again = motion_from_blendshapes(motion_to_blendshapes(motion.resample(found.times)))
    np.testing.assert_allclose(found.displacement, again.displacement, atol=1e-5)


def _write_glb(path: Path, values: list[float], **changes: Any) -> None:
    """Write two frames of two shapes, as a program of others may."""
    times = [2.0, 2.5]
    data = struct.pack(f"<{len(times + values)}f", *times, *values)
    sampler = {"input": 0, "output": 1, **changes.pop("sampler", {})}
    document = {
        "asset": {"version": "2.0"},
        "buffers": [{"byteLength": len(data)}],
        "bufferViews": [{"buffer": 0, "byteLength": len(data)}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 2, "type": "SCALAR"},
            {"bufferView": 0, "byteOffset": 8, "componentType": 5126, "count": len(values)}
            | {"type": "SCALAR"},
        ],
        "meshes": [{"primitives": [], "extras": {"targetNames": ["jawOpen", "browDownLeft"]}}],
        "nodes": [{}, {"mesh": 0}],
        "animations": [
            {"samplers": [sampler], "channels": [{"sampler": 0, "target": target}]}
            for target in ({"node": 0, "path": "scale"}, {"node": 1, "path": "weights"})
        ],
        **changes,
    }
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    chunks += struct.pack("<I4s", len(data), b"BIN\0") + data
    path.write_bytes(b"glTF" + struct.pack("<II", 2, 12 + len(chunks)) + chunks)


def test_gltf_of_others_is_read_alone_and_checked(tmp_path: Path):
    path = tmp_path / "face.glb"
    _write_glb(path, [0.5, 1, 1, 0])
    found = read_blendshapes(path)
    np.testing.assert_allclose(found.times, [0, 0.5])
    np.testing.assert_allclose(found.weights["jawOpen"], [0.5, 1])
    # Cubic splines have a tangent on both sides of each value.
    spline = [9, 9, 0.5, 1, 9, 9, 9, 9, 1, 0, 9, 9]
    _write_glb(path, spline, sampler={"interpolation": "CUBICSPLINE"})
    np.testing.assert_allclose(read_blendshapes(path).weights["jawOpen"], [0.5, 1])
    whole = path.read_bytes()
    outside = [{"byteLength": 24, "uri": "other.bin"}]
    for values, changes, reason in (
        ([0.5, 1, 1], {}, "reshape"),
        ([50, 1, 1, 0], {}, "no weights from 0 to 1"),
        ([0.5, 1, 1, 0], {"buffers": outside}, "in another file"),
        ([0.5, 1, 1, 0], {"animations": []}, "no animation"),
        ([0.5, 1, 1, 0], {"accessors": []}, "is no binary glTF"),
        ([0.5, 1, 1, 0], {"meshes": [{}]}, "no animation"),
    ):
        _write_glb(path, values, **changes)
        with pytest.raises(DubfewError, match=reason):
            read_blendshapes(path)
    for content in (b"glTF", whole[:-8], whole[:30], b"glTF" + bytes(40)):
        path.write_bytes(content)
        with pytest.raises(DubfewError, match="is no binary glTF"):
            read_blendshapes(path)
