"""Imported actors: only complete ones of a known prior are stored."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from dubfew.adapt import actor_likeness
from dubfew.adapt.artefact import (
    ADAPTER_CONFIG_FILE,
    ADAPTER_FACES_FILE,
    ADAPTER_REFERENCES_FILE,
    ADAPTER_STYLE_FILE,
    ADAPTER_TEXTURE_FILE,
    ADAPTER_TRACK_FILE,
    ADAPTER_WEIGHTS_FILE,
    ActorAdapter,
)
from dubfew.adapt.import_check import check_importable, check_imported_actor
from dubfew.cli.app import app
from dubfew.errors import ArtefactError, AssetError, ConsentError, DubfewError, WrongPersonError
from dubfew.prior.checkpoint import Prior, create_untrained_prior
from dubfew.prior.locate import find_prior
from dubfew.reconstruction.track import Track
from dubfew.registry import Registry
from dubfew.registry.consent import ConsentRecord, example_consent
from dubfew.registry.policy import RenderPurpose
from dubfew.render.load import load_actor
from tests.adapt.toys import make_toy_adapter, toy_prior, train_toy_adapter
from tests.commands import CommandRunner
from tests.data.people import TOY
from tests.reconstruction.test_likeness import Brightness

Files = dict[str, bytes]
PASSPHRASE = "correct horse battery"


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """The folder of a user's own prior."""
    folder = tmp_path_factory.mktemp("prior") / "own"
    toy_prior().save(folder, {}, "")
    return folder


@pytest.fixture(scope="module")
def files(place, footage) -> Files:
    prior = replace(Prior.load(place), name="/home/somebody/else/prior")
    return make_toy_adapter(
        prior, footage, "lora", train_toy_adapter(prior, footage, "lora", 0)
    ).to_files()


def with_config(files: Files, **changes: Any) -> Files:
    return {
        **files,
        ADAPTER_CONFIG_FILE: json.dumps(
            {**json.loads(files[ADAPTER_CONFIG_FILE]), **changes}
        ).encode(),
    }


@pytest.mark.slow
def test_a_prior_has_to_be_given_only_once(files, place, tmp_path):
    home = tmp_path / "home"
    sha256 = Prior.load(place).sha256
    with pytest.raises(ArtefactError, match=f"'/home/somebody/else/prior'.*{sha256}.*--prior"):
        check_importable({}, files, home=home)
    assert not home.exists()
    check_importable({}, files, home=home, prior=place)
    assert find_prior(home, sha256) == str(place.resolve())
    check_importable({}, files, home=home)


def test_another_prior_is_refused_and_not_noted(files, tmp_path):
    create_untrained_prior(3, TOY).save(tmp_path / "other", {}, "")
    with pytest.raises(ArtefactError, match="given is another"):
        check_importable({}, files, home=tmp_path / "home", prior=tmp_path / "other")
    assert not (tmp_path / "home").exists()


def test_a_noted_prior_must_still_have_the_same_weights(files, place, tmp_path):
    moved = tmp_path / "moved"
    Prior.load(place).save(moved, {}, "")
    check_importable({}, files, home=tmp_path / "home", prior=moved)
    create_untrained_prior(3, TOY).save(moved, {}, "")
    with pytest.raises(ArtefactError, match="not known here"):
        check_importable({}, files, home=tmp_path / "home")


def test_shipped_priors_are_found_by_their_weights(tmp_path):
    lite = Prior.load()
    assert find_prior(tmp_path, lite.sha256) == "lite"
    assert find_prior(tmp_path, "") == "warp"
    for sha256 in ("0" * 64, "../../etc/passwd", "x" * 300, "\x00"):
        assert find_prior(tmp_path, sha256) is None


@pytest.mark.slow
def test_an_imported_actor_can_be_rendered(files, place, tmp_path, monkeypatch):
    """By the command, from another home; the adapter names a place that is not here."""
    monkeypatch.setenv("DUBFEW_PASSPHRASE", PASSPHRASE)
    sender = Registry(tmp_path / "sender")
    sender.create("toy", {"method": "lora"}, files)
    sender.export("toy", tmp_path / "toy.dubfew")
    monkeypatch.setenv("DUBFEW_HOME", str(tmp_path / "receiver"))
    receiver = Registry(tmp_path / "receiver")

    def run(*words: str, code: int) -> str:
        result = CommandRunner().invoke(
            app, ["actors", "import", str(tmp_path / "toy.dubfew"), *words]
        )
        assert result.exit_code == code, result.output
        return result.stderr

    refused = run(code=1)
    assert "not known here" in refused
    assert refused.count("\n") == 1
    assert receiver.list() == []
    run("--prior", str(place), code=0)
    who = load_actor("toy", None, receiver, RenderPurpose(), None)
    assert {name: who.revision.read(name) for name in who.revision.file_names()} == files


def test_the_consent_of_an_imported_actor_is_checked(files, tmp_path):
    sender, receiver = Registry(tmp_path / "sender"), Registry(tmp_path / "receiver")
    minor = ConsentRecord.from_record({**example_consent(), "minor": True}, "x").to_config_entry()
    for number, consent in enumerate(
        (minor, {"sha256": "0" * 64, "record": example_consent()}, "yes")
    ):
        sender.create(f"toy {number}", {"consent": consent}, files)
        sender.export(f"toy {number}", tmp_path / "toy.zip", plain=True, overwrite=True)
        with pytest.raises(ConsentError):
            receiver.import_file(tmp_path / "toy.zip")
    assert receiver.list() == []


def test_a_missing_speech_model_is_named(files, place, tmp_path):
    facts = {"path": "/elsewhere/model.safetensors", "sha256": "5" * 64}
    with pytest.warns(UserWarning, match="555555555555.*--speech"):
        check_importable({}, with_config(files, speech=facts), home=tmp_path / "home", prior=place)


# --- harm


def header_of(data: bytes) -> tuple[dict[str, Any], bytes]:
    end = 8 + int.from_bytes(data[:8], "little")
    return json.loads(data[8:end]), data[end:]


def with_header(data: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    header, body = header_of(data)
    change(header)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def with_array(data: bytes, name: str, change: Callable[[np.ndarray], np.ndarray]) -> bytes:
    header, _ = header_of(data)
    arrays = load(data)
    arrays[name] = np.ascontiguousarray(change(arrays[name].copy()))
    return save(arrays, metadata=header.get("__metadata__"))


def first(data: bytes) -> str:
    return next(name for name in header_of(data)[0] if name != "__metadata__")


def filled(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(array: np.ndarray) -> np.ndarray:
        array.reshape(-1)[array.size // 2] = value
        return array

    return change


def shaped(*shape: int) -> Callable[[dict[str, Any]], object]:
    """Promise another shape than the bytes have."""
    return lambda header: header[next(k for k in header if k != "__metadata__")].update(
        shape=list(shape)
    )


def track_with(files: Files, **changes: Any) -> bytes:
    return replace(Track.from_bytes(files[ADAPTER_TRACK_FILE], "track"), **changes).to_bytes()


HARM: dict[str, Callable[[Files], Files]] = {
    "a file too many": lambda f: {**f, "extra.pkl": b"harm"},
    "a file too few": lambda f: {k: v for k, v in f.items() if k != ADAPTER_STYLE_FILE},
    "a newer format": lambda f: with_config(f, format_version=2),
    "a format that is no number": lambda f: with_config(f, format_version=True),
    "a format that is NaN": lambda f: with_config(f, format_version=float("nan")),
    "a format below 1": lambda f: with_config(f, format_version=0),
    "no method": lambda f: with_config(f, method="magic"),
    "another method": lambda f: with_config(f, method="full", options={}),
    "a method that has no weights": lambda f: with_config(f, method="texture", options={}),
    "a rank of terabytes": lambda f: with_config(f, options={"rank": 10**12, "alpha": 16}),
    "another rank": lambda f: with_config(f, options={"rank": 8, "alpha": 16}),
    "an infinite scale": lambda f: with_config(f, options={"rank": 16, "alpha": float("inf")}),
    "a rank that is true": lambda f: with_config(f, options={"rank": True, "alpha": 16}),
    "an option too many": lambda f: with_config(f, options={"rank": 16, "alpha": 16, "x": 1}),
    "no head": lambda f: with_config(f, head="../../etc/passwd"),
    "a head that is no text": lambda f: with_config(f, head=["lite"]),
    "a prior that is no text": lambda f: with_config(f, prior={"name": 1, "sha256": None}),
    "a prior that is a path": lambda f: with_config(f, prior={"name": "x", "sha256": "../x"}),
    "a speech model that is none": lambda f: with_config(f, speech={"path": 3}),
    "a deep config": lambda f: {**f, ADAPTER_CONFIG_FILE: b"[" * 100_000},
    "a number of 5000 digits": lambda f: {
        **f,
        ADAPTER_CONFIG_FILE: b'{"format_version": ' + b"1" * 5000 + b"}",
    },
    "a header of exabytes": lambda f: {
        **f,
        ADAPTER_WEIGHTS_FILE: struct.pack("<Q", 1 << 62) + f[ADAPTER_WEIGHTS_FILE][8:],
    },
    "a tensor of terabytes": lambda f: {
        **f,
        ADAPTER_TEXTURE_FILE: with_header(f[ADAPTER_TEXTURE_FILE], shaped(1 << 42)),
    },
    "a size that overflows": lambda f: {
        **f,
        ADAPTER_WEIGHTS_FILE: with_header(f[ADAPTER_WEIGHTS_FILE], shaped(1 << 33, 1 << 33, 4)),
    },
    "a size that overflows to nothing": lambda f: {
        **f,
        ADAPTER_TEXTURE_FILE: with_header(f[ADAPTER_TEXTURE_FILE], shaped(1 << 32, 1 << 32)),
    },
    "sizes below nothing": lambda f: {
        **f,
        ADAPTER_TEXTURE_FILE: with_header(f[ADAPTER_TEXTURE_FILE], shaped(-1, -2)),
    },
    "tensors that overlap": lambda f: {
        **f,
        ADAPTER_WEIGHTS_FILE: with_header(
            f[ADAPTER_WEIGHTS_FILE], lambda h: [v.update(data_offsets=[0, 8]) for v in h.values()]
        ),
    },
    "an unknown tensor": lambda f: {
        **f,
        ADAPTER_WEIGHTS_FILE: save({**load(f[ADAPTER_WEIGHTS_FILE]), "evil": np.ones(2, "f2")}),
    },
    "a tensor of another name": lambda f: {
        **f,
        ADAPTER_WEIGHTS_FILE: with_header(
            f[ADAPTER_WEIGHTS_FILE],
            lambda h: h.update({"evil": h.pop(first(f[ADAPTER_WEIGHTS_FILE]))}),
        ),
    },
    "a weight of another shape": lambda f: {
        **f,
        ADAPTER_WEIGHTS_FILE: with_array(
            f[ADAPTER_WEIGHTS_FILE], first(f[ADAPTER_WEIGHTS_FILE]), lambda a: a.reshape(-1)
        ),
    },
    "a weight that is NaN": lambda f: {
        **f,
        ADAPTER_WEIGHTS_FILE: with_array(
            f[ADAPTER_WEIGHTS_FILE], first(f[ADAPTER_WEIGHTS_FILE]), filled(np.nan)
        ),
    },
    "a weight of whole numbers": lambda f: {
        **f,
        ADAPTER_WEIGHTS_FILE: with_array(
            f[ADAPTER_WEIGHTS_FILE], first(f[ADAPTER_WEIGHTS_FILE]), lambda a: a.astype("i8")
        ),
    },
    "a texture that is infinite": lambda f: {
        **f,
        ADAPTER_TEXTURE_FILE: with_array(f[ADAPTER_TEXTURE_FILE], "features", filled(np.inf)),
    },
    "a texture of another size": lambda f: {
        **f,
        ADAPTER_TEXTURE_FILE: with_array(f[ADAPTER_TEXTURE_FILE], "features", lambda a: a[:, :9]),
    },
    "references without pixels": lambda f: {
        **f,
        ADAPTER_REFERENCES_FILE: with_array(
            f[ADAPTER_REFERENCES_FILE], "images", lambda a: a[:, :0, :0]
        ),
    },
    "references of fractions": lambda f: {
        **f,
        ADAPTER_REFERENCES_FILE: with_array(
            f[ADAPTER_REFERENCES_FILE], "images", lambda a: a.astype("f4")
        ),
    },
    "no references": lambda f: {
        **f,
        ADAPTER_REFERENCES_FILE: save(
            {name: array[:0] for name, array in load(f[ADAPTER_REFERENCES_FILE]).items()}
        ),
    },
    "a mesh far off": lambda f: {
        **f,
        ADAPTER_REFERENCES_FILE: with_array(f[ADAPTER_REFERENCES_FILE], "vertices", filled(1e30)),
    },
    "a mask that is NaN": lambda f: {
        **f,
        ADAPTER_REFERENCES_FILE: with_array(f[ADAPTER_REFERENCES_FILE], "hulls", filled(np.nan)),
    },
    "motion of other points": lambda f: {
        **f,
        ADAPTER_REFERENCES_FILE: with_array(
            f[ADAPTER_REFERENCES_FILE], "motion", lambda a: a[:, :3]
        ),
    },
    "a style that is NaN": lambda f: {
        **f,
        ADAPTER_STYLE_FILE: with_array(f[ADAPTER_STYLE_FILE], "gain", filled(np.nan)),
    },
    "a style of other points": lambda f: {
        **f,
        ADAPTER_STYLE_FILE: with_array(f[ADAPTER_STYLE_FILE], "basis", lambda a: a[:, :3]),
    },
    "a style without an end": lambda f: {
        **f,
        ADAPTER_STYLE_FILE: f[ADAPTER_STYLE_FILE].replace(b'\\"limit\\": 1.0', b'\\"limit\\": 1e9'),
    },
    "a track of nobody": lambda f: {**f, ADAPTER_TRACK_FILE: b""},
    "a track of another head": lambda f: {**f, ADAPTER_TRACK_FILE: track_with(f, head="other")},
    "a track of other numbers": lambda f: {
        **f,
        ADAPTER_TRACK_FILE: track_with(f, shape=np.zeros(3, np.float32)),
    },
    "a track that runs back": lambda f: {
        **f,
        ADAPTER_TRACK_FILE: track_with(f, times=np.arange(4.0)[::-1]),
    },
    "a track as wide as a planet": lambda f: {**f, ADAPTER_TRACK_FILE: track_with(f, width=10**12)},
    "a track whose width is a text": lambda f: {
        **f,
        ADAPTER_TRACK_FILE: track_with(f, width="256"),
    },
}


@pytest.mark.parametrize("harm", HARM)
def test_harmful_files_are_refused(files, place, tmp_path, harm):
    home = tmp_path / "home"
    check_importable({}, files, home=home, prior=place)  # what is sound is let in
    changed = HARM[harm](dict(files))
    assert changed != files
    with pytest.raises((ArtefactError, AssetError)) as caught:
        check_importable({}, changed, home=home)
    assert isinstance(caught.value, DubfewError)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_nothing_harmful_is_stored(files, place, tmp_path):
    sender, receiver = Registry(tmp_path / "sender"), Registry(tmp_path / "receiver")
    sender.create("toy", {}, HARM["a weight that is NaN"](files))
    sender.export("toy", tmp_path / "toy.zip", plain=True)
    check = partial(check_imported_actor, registry=receiver, prior=place)
    with pytest.raises(ArtefactError, match="not finite"):
        receiver.import_file(tmp_path / "toy.zip", check=check)
    with pytest.raises(ArtefactError, match="not finite"):
        receiver.pull((tmp_path / "toy.zip").as_uri(), check=check)
    assert not receiver.home.exists()


def test_pictures_of_the_face_are_checked(files, place, tmp_path):
    good = {
        "images": np.zeros((2, 160, 160, 3), np.uint8),
        "landmarks": np.zeros((2, 478, 2), np.float32),
    }
    check = partial(check_importable, {}, home=tmp_path, prior=place)
    check({**files, ADAPTER_FACES_FILE: save(good)})
    for wrong in (
        {"images": good["images"][:, :80].copy()},
        {"landmarks": good["landmarks"] * np.float32("nan")},
        {"images": good["images"].repeat(50, 0), "landmarks": good["landmarks"].repeat(50, 0)},
        {"images": good["images"][:0], "landmarks": good["landmarks"][:0]},
    ):
        with pytest.raises(ArtefactError, match="face"):
            check({**files, ADAPTER_FACES_FILE: save(good | wrong)})


@pytest.mark.slow
def test_an_import_under_an_id_that_exists_is_compared_with_it(files, place, tmp_path, monkeypatch):
    monkeypatch.setattr(actor_likeness, "load_face_descriptor", Brightness)
    registry = Registry(tmp_path / "home")
    check = partial(check_imported_actor, registry=registry, prior=place)

    def with_face(brightness: int) -> Files:
        picture = np.full((160, 160, 3), brightness, np.uint8), np.zeros((478, 2), np.float32)
        return replace(ActorAdapter.from_files(files), faces=[picture] * 2).to_files()

    check("mary", {}, with_face(100))  # a new id may be anybody's
    registry.create("mary", {}, with_face(100))
    check("mary", {}, with_face(105))
    with pytest.raises(WrongPersonError, match=r"--actor.*--new-person"):
        check("mary", {}, with_face(200))
    check("mary", {}, with_face(200), new_person=True)
    check("anna", {}, with_face(200))
    # Without pictures the mouths are compared, and these are the same.
    check("mary", {}, files)
