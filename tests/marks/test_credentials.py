"""Credentials in every container: complete, valid, and invalid after any change."""

from __future__ import annotations

import dataclasses
import json
import shutil

import av
import c2pa
import numpy as np
import pytest

from dubfew import __version__
from dubfew.errors import DubfewError, MediaError
from dubfew.marks.certificate import (
    SIGNING_CERTIFICATE_VARIABLE,
    SIGNING_KEY_VARIABLE,
    load_signing_identity,
)
from dubfew.marks.credentials import (
    SYNTHETIC_SOURCE_TYPE,
    RenderProvenance,
    read_credentials,
    sign_video,
)
from dubfew.marks.sidecar import SIDECAR_SUFFIX, credentials_path
from tests.marks.conftest import ID, packets_of, synthetic_clip_as
from tests.marks.test_certificate import issue_certificate, private_key_pem

EMBEDDED = [".mp4", ".m4v", ".mov", ".avi"]
BESIDE = [".mkv", ".webm"]


@pytest.fixture
def rendering(short) -> RenderProvenance:
    return RenderProvenance(short, None, "audio", "lite", "ab" * 32, "cd" * 32, ID)


def flip_bit(path, at: float = 0.5) -> None:
    """Flip one bit of a file."""
    data = bytearray(path.read_bytes())
    data[int(len(data) * at)] ^= 1
    path.write_bytes(data)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", EMBEDDED + BESIDE)
def test_the_manifest_records_the_render(tmp_path, identity, rendering, suffix) -> None:
    path = synthetic_clip_as(tmp_path / f"o{suffix}", 2)
    before = packets_of(path)
    sign_video(path, path, rendering, identity)
    assert packets_of(path) == before  # every packet and every time
    found = read_credentials(path)
    assert found is not None
    assert (
        found.place
        == credentials_path(path)
        == (path if suffix in EMBEDDED else tmp_path / "o.c2pa")
    )
    assert {p.name for p in tmp_path.iterdir()} == {path.name, found.place.name}
    assert (found.state, found.problems) == ("valid", ())
    assert found.generator == f"dubfew {__version__}"
    assert found.actions == ("c2pa.opened", "c2pa.edited", "c2pa.watermarked.bound")
    assert found.source_type == SYNTHETIC_SOURCE_TYPE
    assert [item.relationship for item in found.ingredients] == ["parentOf"]
    assert found.rendering is not None
    assertion = dict(found.rendering)
    assert assertion.pop("scene_sha256")
    assert assertion == {
        "format_version": 1,
        "version": __version__,
        "prior": {"name": "lite", "sha256": "ab" * 32},
        "drive": "audio",
        "consent_sha256": "cd" * 32,
        "watermark": ID,
        "watermark_switched_off": False,
        "sound_sha256": None,
    }


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_a_changed_file_is_detected(tmp_path, identity, rendering, suffix) -> None:
    path = synthetic_clip_as(tmp_path / f"o{suffix}", 2)
    sign_video(path, path, rendering, identity)
    flip_bit(path, 0.9 if suffix == ".avi" else 0.5)
    try:
        found = read_credentials(path)
    except MediaError:
        return  # so broken that not even the claim can be read: said as well
    assert found is not None
    assert found.state == "invalid"
    assert any("mismatch" in problem.lower() for problem in found.problems)


@pytest.mark.parametrize("at", [0.1, 0.5, 0.9])
def test_a_change_in_any_block_of_a_large_file_is_detected(
    tmp_path, identity, rendering, at
) -> None:
    path = tmp_path / "large.mov"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("pcm_s16le", rate=48000, layout="mono")
        noise = np.random.default_rng(0).integers(-3000, 3000, (1, 20 * 2**19), np.int16)
        frame = av.AudioFrame.from_ndarray(noise, "s16", "mono")
        frame.sample_rate = 48000
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    sign_video(path, path, rendering, identity)
    with open(path, "rb") as source, c2pa.Reader("video/quicktime", source) as reader:
        (signed,) = json.loads(reader.detailed_json())["manifests"].values()
    (blocks,) = signed["assertion_store"]["c2pa.hash.bmff.v3"]["merkle"]
    assert blocks["count"] == 3  # 20 MB, 8 at a time
    found = read_credentials(path)
    assert found is not None
    assert found.state == "valid"
    flip_bit(path, at)
    found = read_credentials(path)
    assert found is not None
    assert found.state == "invalid"


def test_another_file_with_the_same_credentials_is_detected(tmp_path, identity, rendering) -> None:
    path = synthetic_clip_as(tmp_path / "o.mkv", 2)
    sign_video(path, path, rendering, identity)
    synthetic_clip_as(path, 3)
    found = read_credentials(path)
    assert found is not None
    assert found.state == "invalid"


def test_a_switched_off_watermark_is_recorded(tmp_path, identity, rendering) -> None:
    path = synthetic_clip_as(tmp_path / "o.mp4", 2)
    sign_video(path, path, dataclasses.replace(rendering, watermark=None), identity)
    found = read_credentials(path)
    assert found is not None
    assert found.rendering is not None
    assert found.rendering["watermark_switched_off"] is True
    assert "c2pa.watermarked.bound" not in found.actions


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("first", [".mov", ".webm"])
def test_a_dub_of_a_dub_keeps_the_first_credentials(
    tmp_path, identity, rendering, suffix, first
) -> None:
    scene, path = (
        synthetic_clip_as(tmp_path / f"a{first}", 2),
        synthetic_clip_as(tmp_path / f"b{suffix}", 2),
    )
    sign_video(scene, scene, rendering, identity)
    sign_video(path, path, dataclasses.replace(rendering, scene=scene), identity)
    found = read_credentials(path)
    assert found is not None
    assert (found.state, found.manifests) == ("valid", 2)
    assert found.ingredients[0].generator == f"dubfew {__version__}"


def test_names_stay_out(tmp_path, identity, rendering) -> None:
    """File names often contain the name of a person."""
    scene = tmp_path / "Zaphod Beeblebrox.mp4"
    shutil.copy(rendering.scene, scene)
    path = synthetic_clip_as(tmp_path / "o.mp4", 2)
    sign_video(path, path, dataclasses.replace(rendering, scene=scene), identity)
    assert b"Zaphod" not in path.read_bytes()


@pytest.mark.parametrize("name", ["noise.mp4", "noise.wav", "noise.mpg", "noise"])
def test_inputs_that_c2pa_cannot_read(tmp_path, identity, rendering, name) -> None:
    noise = tmp_path / name
    noise.write_bytes(b"\0\0\0\x10ftyp" + bytes(range(256)) * 4)
    (tmp_path / "noise.c2pa").write_bytes(b"nonsense")
    path = synthetic_clip_as(tmp_path / "o.mp4", 2)
    sign_video(path, path, dataclasses.replace(rendering, scene=noise, sound=noise), identity)
    found = read_credentials(path)
    assert found is not None
    assert found.state == "valid"
    assert [item.relationship for item in found.ingredients] == ["parentOf", "inputTo"]


def test_the_users_certificate_and_trusted_signers(tmp_path, monkeypatch, rendering) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP384R1())
    leaf, root = issue_certificate(key)
    for name, data in (("c.pem", leaf + root), ("k.pem", private_key_pem(key)), ("root.pem", root)):
        (tmp_path / name).write_bytes(data)
    monkeypatch.setenv(SIGNING_CERTIFICATE_VARIABLE, str(tmp_path / "c.pem"))
    monkeypatch.setenv(SIGNING_KEY_VARIABLE, str(tmp_path / "k.pem"))
    path = synthetic_clip_as(tmp_path / "o.mp4", 2)
    sign_video(path, path, rendering, load_signing_identity(tmp_path / "home"))
    found = read_credentials(path)
    assert found is not None
    assert (found.state, found.signer, found.issuer) == ("valid", "Studio Example", "Example")
    found = read_credentials(path, trust=tmp_path / "root.pem")
    assert found is not None
    assert found.state == "trusted"
    (tmp_path / "root.pem").write_bytes(b"\xff\xfe")
    with pytest.raises(DubfewError, match="not a list of certificates"):
        read_credentials(path, trust=tmp_path / "root.pem")


def test_a_certificate_that_c2pa_refuses(tmp_path, rendering, identity) -> None:
    """A root certificate may sign certificates only."""
    leaf, root = identity.certificate_chain.split(b"-----END CERTIFICATE-----\n")[:2]
    chain = root + b"-----END CERTIFICATE-----\n" + leaf + b"-----END CERTIFICATE-----\n"
    path = synthetic_clip_as(tmp_path / "o.mp4", 2)
    with pytest.raises(MediaError, match="cannot be given Content Credentials"):
        sign_video(path, path, rendering, dataclasses.replace(identity, certificate_chain=chain))


def test_no_credentials(tmp_path, short) -> None:
    assert read_credentials(short) is None
    path = synthetic_clip_as(tmp_path / "o.mkv", 2)
    assert read_credentials(path) is None
    path.with_suffix(SIDECAR_SUFFIX).write_bytes(b"nonsense")
    with pytest.raises(MediaError, match=r"o\.c2pa are damaged"):
        read_credentials(path)
    with pytest.raises(OSError, match="none"):
        read_credentials(tmp_path / "none.mp4")
