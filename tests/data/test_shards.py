from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dubfew.data.dataset import MouthDataset
from dubfew.data.footage_io import save_footage, serialize_footage
from dubfew.data.mapped_arrays import ConcatenatedArray, MappedFile
from dubfew.data.shards import (
    ShardWriter,
    list_stored_clips,
    open_prepared_clips,
    read_shard,
    rewrite_shards,
    serialize_header,
    serialize_sample,
    shard_paths,
)
from dubfew.data.tar import read_members, serialize_member, write_tar_end
from dubfew.errors import ArtefactError, DubfewError
from dubfew.references.footage import FOOTAGE_ARRAY_NAMES, Footage
from tests.data.people import toy_footage


def write_part(path: Path, footage: Footage, facts: Mapping[str, Any], segments: int = 1) -> Path:
    """A clip's tar as the workers write it."""
    key = path.stem
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        for number, rows in enumerate(np.array_split(np.arange(len(footage)), segments)):
            header = {"format_version": 1, "clip": key, "segment": number, **facts}
            header |= {"start": int(footage.frames[rows[0]]), "frames": len(rows), "seconds": 0.5}
            files = {
                "json": serialize_header(header),
                "footage.safetensors": serialize_footage(footage.select_frames(rows), {}),
            }
            file.write(serialize_sample(f"{key}_{number:05d}", files))
        write_tar_end(file)
    return path


def facts(name: str) -> dict[str, Any]:
    return {"file": f"{name}.mp4", "identity": name, "sha256": f"{ord(name[0]):02x}" * 32}


@pytest.fixture(scope="module")
def people() -> list[Footage]:
    return [toy_footage(26, 0), toy_footage(25, 1), toy_footage(25, 2)]


@pytest.fixture
def folder(tmp_path: Path, people: list[Footage]) -> Path:
    """Ann in three segments and Bob in one shard, Cy in the next."""
    writer = ShardWriter(tmp_path, 1_000_000)
    for name, footage, segments in zip(("ann", "bob", "cy"), people, (3, 1, 2), strict=True):
        writer.add(write_part(tmp_path / ".parts" / f"{name}.tar", footage, facts(name), segments))
    writer.close()
    return tmp_path


def same(a: Footage, b: Footage) -> None:
    for name in FOOTAGE_ARRAY_NAMES:
        np.testing.assert_array_equal(np.asarray(getattr(a, name)), np.asarray(getattr(b, name)))


def test_people_come_back_whole(folder, people):
    assert [path.name for path in shard_paths(folder)] == ["shard-000000.tar", "shard-000001.tar"]
    assert not list((folder / ".parts").iterdir())
    opened = open_prepared_clips(folder)
    for (footage, header), original, name in zip(opened, people, ("ann", "bob", "cy"), strict=True):
        same(footage, original)
        assert header.items() >= facts(name).items()
        assert "segment" not in header
    assert [clip["frames"] for clip in list_stored_clips(folder)] == [26, 25, 25]


@pytest.mark.slow
def test_training_sees_the_same_whether_people_are_in_memory_or_on_disk(folder, people):
    options = {"length": 6, "num_references": 2, "seed": 3}
    lazy = MouthDataset([footage for footage, _ in open_prepared_clips(folder)], **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for sample, expected in zip(
            map(lazy.__getitem__, range(6)), MouthDataset(people, **options), strict=False
        ):
            assert torch.equal(sample.target, expected.target)
            for name, value in vars(expected.inputs).items():
                assert torch.equal(getattr(sample.inputs, name), value)


def test_windows_stay_on_the_disk_also_in_another_process(folder, people):
    footage = open_prepared_clips(folder)[0][0]
    packed = pickle.dumps(footage)
    assert isinstance(footage.images, ConcatenatedArray)
    assert len(packed) < people[0].images.nbytes / 4
    same(pickle.loads(packed), people[0])
    one = open_prepared_clips(folder)[1][0].images[4]
    one[:] = 0  # belongs to the reader alone
    same(open_prepared_clips(folder)[1][0], people[1])


INDICES = st.one_of(
    st.integers(-26, 25),
    st.slices(26),
    st.lists(st.integers(-26, 25), max_size=8).map(lambda rows: np.array(rows, np.int64)),
    st.lists(st.booleans(), min_size=26, max_size=26).map(np.array),
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(rows=INDICES)
def test_joined_rows_are_indexed_as_an_array_is(module_folder, people, rows):
    found, expected = open_prepared_clips(module_folder)[0][0].vertices, people[0].vertices
    np.testing.assert_array_equal(found[rows], expected[rows])
    np.testing.assert_array_equal(found[rows, ..., :2], expected[rows, ..., :2])
    if not isinstance(rows, np.ndarray):
        np.testing.assert_array_equal(found[rows, ..., 1], expected[rows, ..., 1])


@pytest.fixture(scope="module")
def module_folder(tmp_path_factory: pytest.TempPathFactory, people: list[Footage]) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    writer = ShardWriter(folder, 1)
    writer.add(write_part(folder / ".parts" / "ann.tar", people[0], facts("ann"), 3))
    return folder


def test_rows_out_of_range_are_refused(folder):
    with pytest.raises(IndexError):
        open_prepared_clips(folder)[0][0].images[26]


@pytest.mark.slow
def test_unaligned_arrays_are_read_correctly(tmp_path, people):
    data = serialize_footage(people[0], {})
    for shift in (1, 2, 3, 4, 7):
        path = tmp_path / f"{shift}.bin"
        path.write_bytes(bytes(shift) + data)
        arrays, _ = MappedFile(path).read_safetensors(shift, len(data))
        found = {name: stored.array for name, stored in arrays.items()}
        assert not found["frames"].flags.aligned
        dataset = MouthDataset([Footage(**found)], 1, num_references=2)
        expected = MouthDataset([people[0]], 1, num_references=2)
        same(dataset.people[0], people[0])
        assert torch.equal(dataset[0].inputs.sampling_grid, expected[0].inputs.sampling_grid)


def test_written_arrays_are_aligned(folder):
    for path in shard_paths(folder):
        for sample in read_shard(path):
            member = sample.members["footage.safetensors"]
            for stored in (
                MappedFile(path).read_safetensors(member.data_offset, member.num_bytes)[0].values()
            ):
                assert stored.offset % 8 == 0 or stored.dtype.itemsize < 8
                assert stored.offset % stored.dtype.itemsize == 0


def test_clips_of_earlier_versions_are_read_beside_shards(folder, people):
    save_footage(folder / "old.mp4.safetensors", people[1], {"file": "old.mp4", "license": "CC0"})
    footage, header = open_prepared_clips(folder)[-1]
    same(footage, people[1])
    assert header["identity"] == "old"
    assert header["license"] == "CC0"


@pytest.mark.parametrize("name", ["bob", "bob.mp4", f"{ord('b'):02X}" * 32])
def test_people_on_the_exclude_list_are_not_opened(folder, name):
    assert [header["identity"] for _, header in open_prepared_clips(folder, [f" {name} "])] == [
        "ann",
        "cy",
    ]


def test_a_folder_without_people_is_an_error(folder, tmp_path_factory):
    with pytest.raises(DubfewError, match="prior prepare"):
        open_prepared_clips(tmp_path_factory.mktemp("empty"))
    with pytest.raises(DubfewError, match="exclude list"):
        open_prepared_clips(folder, {"ann", "bob", "cy"})


def traces(folder: Path, footage: Footage) -> list[str]:
    """Files that hold a row of some footage's windows or meshes."""
    picture = footage.images[5].tobytes()
    needles = [picture[len(picture) // 2 :][:400], footage.vertices[5].tobytes()[:400]]
    assert all(len(needle) == 400 for needle in needles)
    return [
        path.name
        for path in folder.rglob("*")
        if path.is_file() and any(needle in path.read_bytes() for needle in needles)
    ]


def test_a_removed_person_leaves_no_byte(folder, people):
    assert traces(folder, people[0]) == ["shard-000000.tar"]
    untouched = (folder / "shard-000001.tar").read_bytes()
    removed = rewrite_shards(folder, lambda header: None if header["identity"] == "ann" else header)
    assert removed == ["ann.mp4"]
    assert traces(folder, people[0]) == []
    assert [header["identity"] for _, header in open_prepared_clips(folder)] == ["bob", "cy"]
    same(open_prepared_clips(folder)[0][0], people[1])
    assert (folder / "shard-000001.tar").read_bytes() == untouched
    assert rewrite_shards(folder, lambda header: None if header["identity"] == "cy" else header)
    assert [path.name for path in shard_paths(folder)] == ["shard-000000.tar"]


def test_origins_can_be_corrected(folder, people):
    def correct(header):
        return header | {"license": "CC-BY-4.0 (ä)"} if header["identity"] == "ann" else header

    assert rewrite_shards(folder, correct) == []
    footage, header = open_prepared_clips(folder)[0]
    assert header["license"] == "CC-BY-4.0 (ä)"
    same(footage, people[0])


def test_the_same_clips_make_the_same_bytes(folder, tmp_path_factory, people):
    again = tmp_path_factory.mktemp("again")
    writer = ShardWriter(again, 1_000_000)
    for name, footage, segments in zip(("ann", "bob", "cy"), people, (3, 1, 2), strict=True):
        writer.add(write_part(again / ".parts" / f"{name}.tar", footage, facts(name), segments))
    writer.close()
    for path in shard_paths(folder):
        assert path.read_bytes() == (again / path.name).read_bytes()


def test_python_reads_the_tar(folder):
    import tarfile

    with tarfile.open(shard_paths(folder)[0]) as tar:
        members = tar.getmembers()
        assert {member.mtime for member in members} == {0}
        found = [(m.name, m.offset_data, m.size) for m in members]
    assert found == [
        (m.name, m.data_offset, m.num_bytes) for m in read_members(shard_paths(folder)[0])
    ]


@pytest.mark.slow
def test_webdataset_reads_the_shards(folder, people):
    webdataset = pytest.importorskip("webdataset")
    from safetensors.numpy import load

    paths = [str(path) for path in shard_paths(folder)]
    samples = list(webdataset.WebDataset(paths, shardshuffle=False, empty_check=False))
    assert len(samples) == 6
    assert samples[0]["__key__"] == "ann_00000"
    found = [load(s["footage.safetensors"])["images"] for s in samples[:3]]
    np.testing.assert_array_equal(np.concatenate(found), people[0].images)


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.3, 0.9, 0.9995])
def test_a_truncated_shard_is_named(folder, share):
    path = shard_paths(folder)[0]
    data = path.read_bytes()
    path.write_bytes(data[: int(share * (len(data) - 1024))])
    with pytest.raises(ArtefactError, match=r"shard-000000\.tar is damaged.*delete it") as found:
        open_prepared_clips(folder)
    assert len(str(found.value).splitlines()) == 1


def test_a_shard_from_the_future_is_refused(tmp_path, people):
    write_part(tmp_path / "shard-000000.tar", people[0], facts("ann") | {"format_version": 2})
    with pytest.raises(ArtefactError, match="update dubfew"):
        open_prepared_clips(tmp_path)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_bytes_are_harmless_or_a_one_line_error(module_folder, tmp_path_factory, data):
    whole = bytearray(shard_paths(module_folder)[0].read_bytes())
    members = read_members(shard_paths(module_folder)[0])
    # Damage headers: the tar's headers, the samples' headers, and those of the arrays.
    starts = (
        [m.header_offset for m in members]
        + [m.data_offset for m in members]
        + [0, len(whole) - 1024]
    )
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.sampled_from(starts)) + data.draw(st.integers(0, 511))
        new = data.draw(st.binary(min_size=1, max_size=12))
        whole[place : place + len(new)] = new
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "shard-000000.tar").write_bytes(whole)
    try:
        for footage, _ in open_prepared_clips(folder):
            footage.select_frames([0, -1])
    except DubfewError as error:
        message = str(error)
    else:
        message = "shard-000000.tar"
    assert "shard-000000.tar" in message
    assert len(message.splitlines()) == 1


@given(data=st.binary(max_size=2048))
@settings(deadline=None)
def test_random_bytes_are_refused(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("bytes")
    (folder / "shard-000000.tar").write_bytes(data)
    with pytest.raises(DubfewError):
        open_prepared_clips(folder)


def test_an_entry_that_is_not_a_file_is_refused(tmp_path):
    header = bytearray(serialize_member("a.json", b"{}"))
    header[156:157] = b"2"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header[:512])
    (tmp_path / "shard-000000.tar").write_bytes(header + bytes(1024))
    with pytest.raises(ArtefactError, match="plain file"):
        open_prepared_clips(tmp_path)
