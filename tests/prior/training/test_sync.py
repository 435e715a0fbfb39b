"""The training of SyncNets: pairs, accuracy, going on after a stop, the gate before the file."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from dubfew.data.clip_samples import shrink_images
from dubfew.errors import ArtefactError, DubfewError
from dubfew.prior.syncnets import make_syncnet
from dubfew.prior.syncnets._base import SyncNetwork
from dubfew.prior.syncnets._file import load_syncnet
from dubfew.prior.training import sync as sync_training
from dubfew.prior.training.sync import (
    SyncPairs,
    SyncTrainConfig,
    collate_pairs,
    measure_sync_accuracy,
    select_sync_clips,
    train_syncnet,
)
from tests.data.clips import toy_clip, write_toy_clips

SETTINGS = {"divisor": 64}


@pytest.fixture(scope="module")
def people(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sync")
    write_toy_clips(folder / "data", range(2))
    write_toy_clips(folder / "other", range(2, 3))
    return folder


@pytest.fixture
def config(people, tmp_path, monkeypatch) -> SyncTrainConfig:
    monkeypatch.setattr(sync_training, "HELD_OUT_PAIRS", 4)
    monkeypatch.setattr(sync_training, "SCORED_AT_ONCE", 4)
    return SyncTrainConfig(
        data=str(people / "data"),
        held_out=str(people / "other"),
        out=str(tmp_path / "run"),
        settings=SETTINGS,
        layout="face256",
        shrink=4,
        steps=2,
        batch=2,
        checkpoint=1,
    )


def test_half_of_the_pairs_are_out_of_sync_by_a_window_or_more() -> None:
    clip = toy_clip()
    pairs = SyncPairs([clip], 12, sound="mel16", shrink=16)
    oracle = Oracle(clip, right=True)
    for number in range(12):
        pair = pairs[number]
        assert pair.frames.shape == (1, 5, 3, 16, 16)
        assert float(pair.in_sync) == (number + 1) % 2
        seen = [k for k, each in enumerate(oracle.frames) if torch.equal(each, pair.frames[0])]
        heard = [k for k, each in enumerate(oracle.sounds) if torch.equal(each, pair.sound[0])]
        assert len(seen) == len(heard) == 1
        assert seen == heard if pair.in_sync else abs(seen[0] - heard[0]) >= 5


@pytest.mark.slow
def test_windows_of_one_clip_are_compared_with_each_other() -> None:
    clip = toy_clip()
    pairs = SyncPairs([clip], 6, sound="mel16", shrink=16, windows=4)
    oracle = Oracle(clip, right=True)
    batch = collate_pairs([pairs[number] for number in range(6)])
    assert batch.frames.shape == (24, 5, 3, 16, 16)
    assert len(batch.in_sync) > 24
    assert batch.in_sync.mean() == 0.5
    # The clip is told by comparing, so every pair is right if rows are.
    scores = oracle.score_embedded(*batch.join(*batch.embed(oracle)))
    assert torch.equal(scores, batch.in_sync)
    seen = [k for each in batch.frames for k, f in enumerate(oracle.frames) if torch.equal(f, each)]
    heard = [k for each in batch.sound for k, s in enumerate(oracle.sounds) if torch.equal(s, each)]
    assert seen == heard
    out = [
        abs(seen[a] - heard[b])
        for a, b, same in zip(batch.frame_rows, batch.sound_rows, batch.in_sync, strict=True)
        if not same
    ]
    assert min(out) >= 5
    # Lips of the very frames, as differences from the mean.
    assert batch.seen_lips.shape == (24, 10)
    assert torch.equal(batch.seen_lips, batch.heard_lips)
    gaps = clip.measure_lips()[:, 0]
    expected = (gaps[seen[3] : seen[3] + 5] - gaps.mean()) / gaps.std()
    np.testing.assert_allclose(batch.seen_lips[3, ::2], expected, atol=1e-4)
    # Each item's pairs are of its own windows.
    assert torch.equal(batch.frame_rows // 4, batch.sound_rows // 4)
    varied = SyncPairs([clip], 6, sound="mel16", shrink=16, windows=4, augment=True)[0]
    assert torch.equal(varied.sound, pairs[0].sound)
    assert 0.01 < (varied.frames - pairs[0].frames).abs().mean() < 0.3


def test_clips_without_sound_or_too_short_are_left_out() -> None:
    clip = toy_clip()
    silent = dataclasses.replace(clip, samples=np.zeros(0, np.float32))
    assert select_sync_clips([clip, silent, clip.select_frames(np.arange(9))]) == [clip]


class Oracle(SyncNetwork):
    """Tells pairs by comparing them with the clip."""

    def __init__(self, clip, right: bool) -> None:
        super().__init__()
        self.config = make_syncnet("aps", SETTINGS).config
        self.right = right
        features = SyncPairs([clip], 2, sound="mel16").features
        self.frames, self.sounds = [], []
        for row in range(len(clip) - 4):
            rows = np.arange(row, row + 5)
            self.frames.append(shrink_images(clip.images[rows], 16))
            self.sounds.append(features.cut_windows(0, clip.samples, clip.frames[rows] / 25)[0])

    @property
    def embedding_width(self):
        return 1

    def embed_faces(self, frames):
        return frames

    def embed_sound(self, sound):
        return sound

    def score_embedded(self, frames, sound):
        if not self.right:
            return torch.ones(len(frames))
        scores = []
        for picture, heard in zip(frames, sound, strict=True):
            row = next(k for k, each in enumerate(self.frames) if torch.equal(each, picture))
            scores.append(float(torch.equal(self.sounds[row], heard)))
        return torch.tensor(scores)

    def compute_embedded_loss(self, frames, sound, in_sync):
        raise NotImplementedError


@pytest.mark.slow
def test_accuracy_of_a_perfect_network_and_of_one_that_always_agrees(monkeypatch) -> None:
    monkeypatch.setattr(sync_training, "HELD_OUT_PAIRS", 20)
    clip = toy_clip()
    assert measure_sync_accuracy(Oracle(clip, right=True), [clip], shrink=16) == 1
    assert measure_sync_accuracy(Oracle(clip, right=False), [clip], shrink=16) == 0.5
    assert measure_sync_accuracy(Oracle(clip, right=True), []) is None


@pytest.mark.slow
def test_a_bad_network_is_refused_and_forced(config) -> None:
    with pytest.raises(DubfewError, match=r"held-out pairs right, expected 80"):
        train_syncnet(config)
    assert not (Path(config.out) / "syncnet.safetensors").exists()
    path, info = train_syncnet(config, force=True)
    network, stored = load_syncnet(path)
    assert stored == info
    assert (info.name, info.settings, info.steps, info.people) == ("aps", SETTINGS, 2, 2)
    assert 0 <= info.accuracy <= 1
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())
    lines = (Path(config.out) / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2]
    assert "accuracy_heldout" in json.loads(lines[0])


@pytest.mark.slow
def test_an_interrupted_training_ends_with_the_same_bits(config, tmp_path) -> None:
    config = dataclasses.replace(config, batch=4, windows=2, augment=True, lips=1.0)
    whole = dataclasses.replace(config, out=str(tmp_path / "whole"))
    first, _ = train_syncnet(whole, force=True)

    def stop(progress) -> None:
        if progress.done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_syncnet(config, stop, force=True)
    second, _ = train_syncnet(config, force=True)
    assert second.read_bytes() == first.read_bytes()


@pytest.mark.slow
def test_another_configuration_does_not_go_on_but_its_syncnet_can_be_the_start(
    config, tmp_path
) -> None:
    first, _ = train_syncnet(config, force=True)
    with pytest.raises(ArtefactError, match="another configuration"):
        train_syncnet(dataclasses.replace(config, learning_rate=1e-3), force=True)
    # At such a rate the weights stay where they began.
    still = {"out": str(tmp_path / "next"), "seed": 1, "steps": 1, "learning_rate": 1e-9}
    then = dataclasses.replace(config, start=str(first), **still)
    second, _ = train_syncnet(then, force=True)
    known, found = (dict(load_syncnet(path)[0].named_parameters()) for path in (first, second))
    for name, value in known.items():
        torch.testing.assert_close(found[name], value, atol=1e-6, rtol=0)
    assert any(value.std() > 0.01 for value in known.values())
    with pytest.raises(ArtefactError, match="'start' names a SyncNet 'aps'"):
        train_syncnet(dataclasses.replace(then, network="wav2lip"))
    plain = dataclasses.replace(then, network="wav2lip", start="", out=str(tmp_path / "plain"))
    third, _ = train_syncnet(plain, force=True)
    begun = dataclasses.replace(then, start=str(third), out=str(tmp_path / "begun"))
    fourth, _ = train_syncnet(begun, force=True)
    first_layers = [load_syncnet(path)[0].face[0].convolution.weight for path in (third, fourth)]
    torch.testing.assert_close(*first_layers, atol=1e-6, rtol=0)


def test_values_of_the_papers_fill_in() -> None:
    config = SyncTrainConfig(data="", out="")
    aps = config.with_paper_values(make_syncnet("aps", SETTINGS))
    assert (aps.steps, aps.batch, aps.learning_rate) == (370_000, 256, 2e-4)
    dinet = config.with_paper_values(make_syncnet("dinet", {"divisor": 16, "size": 32}))
    assert (dinet.batch, dinet.learning_rate) == (20, 1e-4)
    with pytest.raises(ArtefactError, match="'batch' is 256 and 'windows' 6"):
        SyncTrainConfig(data="", out="", windows=6).with_paper_values(make_syncnet("aps", SETTINGS))


@pytest.mark.parametrize(
    ("key", "value"),
    [("network", "lipnet"), ("steps", -1), ("shrink", 0), ("mixed_precision", "int8"),
     ("batch", "many"), ("depth", 3)],
)  # fmt: skip
def test_wrong_values_are_named(tmp_path, key, value) -> None:
    path = tmp_path / "sync.json"
    path.write_text(json.dumps({"data": "a", "out": "b", key: value}))
    with pytest.raises(ArtefactError, match=str(key if key != "network" else value)):
        SyncTrainConfig.load(path)
