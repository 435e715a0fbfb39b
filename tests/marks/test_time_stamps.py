"""Time stamps: the credentials show when they were signed, where an authority was named."""

from __future__ import annotations

import dataclasses

import pytest

pytest.importorskip("asn1crypto", reason="the authority of these tests needs it")

from dubfew.errors import DubfewError
from dubfew.marks.certificate import TIMESTAMP_URL_VARIABLE, load_signing_identity
from dubfew.marks.credentials import RenderProvenance, read_credentials, sign_video
from dubfew.marks.verification import verify_marks
from tests.marks.conftest import ID, synthetic_clip_as
from tests.marks.time_stamp_authority import TimeStampAuthority, serve_time_stamps


@pytest.fixture
def rendering(short) -> RenderProvenance:
    return RenderProvenance(short, None, "audio", "lite", "ab" * 32, "cd" * 32, ID)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_the_credentials_show_when_they_were_signed(tmp_path, identity, rendering, suffix) -> None:
    path = synthetic_clip_as(tmp_path / f"o{suffix}", 2)
    authority = TimeStampAuthority()
    with serve_time_stamps(authority) as url:
        stamping = dataclasses.replace(identity, timestamp_url=url)
        assert sign_video(path, path, rendering, stamping) == ()
    found = read_credentials(path)
    assert found is not None
    assert (found.state, found.problems) == ("valid", ())
    assert found.signed_at == authority.time.isoformat()
    assert not found.is_time_trusted
    line = f"signed at {found.signed_at}, by the clock of an authority that nobody vouches for"
    assert line in verify_marks(path).findings


@pytest.mark.slow
def test_an_authority_that_gives_none_loses_nothing(tmp_path, identity, rendering) -> None:
    path = synthetic_clip_as(tmp_path / "o.mp4", 2)
    nobody = dataclasses.replace(identity, timestamp_url="http://127.0.0.1:9/")
    notes = sign_video(path, path, rendering, nobody)
    assert notes == ("the credentials have no time stamp: http://127.0.0.1:9/ gave none",)
    found = read_credentials(path)
    assert found is not None
    assert (found.state, found.signed_at) == ("valid", None)


def test_the_address_of_the_authority_is_checked_before_any_work(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv(TIMESTAMP_URL_VARIABLE, "http://stamps.example.org/tsa")
    assert load_signing_identity(tmp_path).timestamp_url == "http://stamps.example.org/tsa"
    for wrong in ("stamps.example.org", "ftp://stamps.example.org", "http://"):
        monkeypatch.setenv(TIMESTAMP_URL_VARIABLE, wrong)
        with pytest.raises(DubfewError, match="DUBFEW_TIMESTAMP_URL is '"):
            load_signing_identity(tmp_path)
