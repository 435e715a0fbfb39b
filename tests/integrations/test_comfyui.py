"""The nodes for ComfyUI, on a stand-in of its programming interface and short clips."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from dubfew.errors import ActorNotFoundError, MediaError
from dubfew.media import probe
from dubfew.registry import Registry
from tests.footage import cut
from tests.integrations.comfy_stand_in import Progress, VideoFromFile, install_stand_in

PACK = Path(__file__).resolve().parents[2] / "integrations" / "comfyui"


@pytest.fixture
def bar(monkeypatch, tmp_path) -> Progress:
    monkeypatch.setenv("DUBFEW_HOME", str(tmp_path / "home"))
    return install_stand_in(monkeypatch, tmp_path / "output")


@pytest.fixture
def nodes(bar, monkeypatch) -> ModuleType:
    """The pack's module, imported as ComfyUI imports a folder of custom nodes."""
    spec = importlib.util.spec_from_file_location(
        "dubfew_pack", PACK / "__init__.py", submodule_search_locations=[str(PACK)]
    )
    assert spec is not None
    assert spec.loader is not None
    pack = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "dubfew_pack", pack)
    monkeypatch.delitem(sys.modules, "dubfew_pack.nodes", raising=False)
    spec.loader.exec_module(pack)
    return sys.modules["dubfew_pack.nodes"]


def list_nodes(nodes: ModuleType) -> dict[str, Any]:
    extension = asyncio.run(nodes.comfy_entrypoint())
    return {node.define_schema().node_id: node for node in asyncio.run(extension.get_node_list())}


def test_every_node_of_the_workflows_exists(nodes) -> None:
    known = list_nodes(nodes)
    assert len(known) == 6
    workflows = sorted((PACK / "workflows").glob("*.json"))
    assert workflows
    for path in workflows:
        steps = json.loads(path.read_text("utf-8"))
        for step in steps.values():
            if not step["class_type"].startswith("Dubfew"):
                continue
            schema = known[step["class_type"]].define_schema()
            ids = {each.id for each in schema.inputs}
            needed = {
                each.id
                for each in schema.inputs
                if not each.optional and "default" not in each.keywords
            }
            assert needed <= set(step["inputs"]) <= ids, (path.name, step["class_type"])
            for value in step["inputs"].values():
                if isinstance(value, list):  # a link to another step's output
                    source = steps[value[0]]["class_type"]
                    if source in known:
                        assert value[1] < len(known[source].define_schema().outputs)


def test_every_step_of_a_workflow_is_run(nodes) -> None:
    # ComfyUI runs only the nodes that an output node needs.
    outputs = {
        name for name, node in list_nodes(nodes).items() if node.define_schema().is_output_node
    }
    for path in sorted((PACK / "workflows").glob("*.json")):
        steps = json.loads(path.read_text("utf-8"))
        waiting = [key for key, step in steps.items() if step["class_type"] in outputs]
        run: set[str] = set()
        while waiting:
            key = waiting.pop()
            run.add(key)
            links = [each for each in steps[key]["inputs"].values() if isinstance(each, list)]
            waiting += [link[0] for link in links]
        ours = {key for key, step in steps.items() if step["class_type"].startswith("Dubfew")}
        assert ours <= run, path.name


def test_the_lines_of_the_guide(tmp_path: Path) -> None:
    root = PACK.parents[1]
    lines = (root / "docs" / "guides" / "comfyui.md").read_text("utf-8").split("```\n")[1]
    # Programs that would reach the network: pip does nothing, git copies this checkout's folder.
    programs = tmp_path / "programs"
    programs.mkdir()
    clone = f'mkdir dubfew && cp -r "{PACK.parent}" dubfew/'
    for name, body in (("pip", "true"), ("git", clone)):
        (programs / name).write_text(f"#!/bin/sh\n{body}\n")
        (programs / name).chmod(0o755)
    (tmp_path / "ComfyUI" / "custom_nodes").mkdir(parents=True)
    path = f"{programs}:{os.environ['PATH']}"
    subprocess.run(["sh", "-ec", lines], cwd=tmp_path, env={"PATH": path}, check=True)
    copied = tmp_path / "ComfyUI" / "custom_nodes" / "dubfew"
    assert (copied / "__init__.py").read_text() == (PACK / "__init__.py").read_text()
    assert {each.name for each in (copied / "workflows").iterdir()} == {
        "learn_and_dub.json",
        "edit_motion.json",
    }


def test_without_an_actor(nodes) -> None:
    (choice,) = nodes.LoadActor.define_schema().inputs
    assert choice.keywords["options"] == [nodes.NO_ACTOR]
    with pytest.raises(ActorNotFoundError, match="mary"):
        nodes.LoadActor.run(actor="mary")


def test_sounds(nodes) -> None:
    waveform = torch.arange(12.0).reshape(1, 2, 6)
    samples, rate = nodes.to_sound({"waveform": waveform, "sample_rate": 48000})
    assert (samples.shape, rate) == ((6, 2), 48000)
    assert samples[1].tolist() == [1.0, 7.0]
    with pytest.raises(ValueError, match="2 sounds"):
        nodes.to_sound({"waveform": waveform.reshape(2, 1, 6), "sample_rate": 48000})


def test_a_trimmed_video_is_written_first(nodes, tmp_path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"video")
    with nodes.stored_video(VideoFromFile(str(path))) as stored:
        assert stored == path
    with nodes.stored_video(VideoFromFile(str(path), (1.0, 2.0))) as stored:
        assert stored != path
        assert stored.read_bytes() == b"video"
    assert not stored.exists()


def test_edits_of_a_motion(nodes, tmp_path) -> None:
    sound = {"waveform": torch.zeros(1, 1, 8000), "sample_rate": 16000}
    (motion,) = nodes.RecordMotion.run(speech=sound)
    (edited,) = nodes.EditMotion.run(motion=motion, operation="scale", value=0.5, end=0.2)
    (edited,) = nodes.EditMotion.run(motion=edited, operation="close", start=0.1)
    assert [(each.operation, each.value, each.start, each.end) for each in edited.edits] == [
        ("scale", 0.5, None, 0.2),
        ("close", 0.0, 0.1, None),
    ]


@pytest.mark.slow
def test_learn_dub_verify(nodes, bar, tmp_path) -> None:
    footage = VideoFromFile(str(cut(tmp_path / "mary.mp4", 0, 16)))
    scene = VideoFromFile(str(cut(tmp_path / "scene.mp4", 40, 46)))
    actor, report = nodes.AdaptActor.run(video=footage, actor="mary")
    assert actor == "mary"
    assert report.startswith("mary, revision 1: 16 frames")
    assert bar.values[-1] == (1000, 1000)
    assert nodes.LoadActor.run(actor="mary") == ("mary",)
    assert nodes.LoadActor.fingerprint_inputs("mary") == "mary 1"
    sound = {"waveform": torch.zeros(1, 2, 11520), "sample_rate": 48000}
    (motion,) = nodes.RecordMotion.run(speech=sound)
    video, note = nodes.DubScene.run(actor=actor, scene=scene, speech=sound, motion=motion)
    assert "6 of 6 frames painted" in note
    assert Path(video.path) == tmp_path / "output" / "dubfew" / "dub_00001_.mp4"
    assert probe(Path(video.path)).frames == 6
    intact, findings = nodes.VerifyMarks.run(video=video)
    # Six frames are too few to read a watermark from.
    assert not intact
    assert "Content Credentials" in findings
    assert [each.actor for each in Registry().list()] == ["mary"]
    # The user's stop leaves nothing half written.
    bar.is_interrupted = True
    with pytest.raises(InterruptedError):
        nodes.DubScene.run(actor=actor, scene=scene, speech=sound)
    assert [path.name for path in (tmp_path / "output" / "dubfew").iterdir()] == ["dub_00001_.mp4"]
    bar.is_interrupted = False
    (tmp_path / "none.mp4").write_bytes(b"no video")
    with pytest.raises(MediaError, match=r"none\.mp4"):
        nodes.AdaptActor.run(video=VideoFromFile(str(tmp_path / "none.mp4")), actor="x")
