"""Rules for ids and names of files."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubfew.errors import RegistryError
from dubfew.registry import Registry
from dubfew.registry.names import check_file_names, normalize_actor_id


@pytest.mark.parametrize(
    "actor",
    [
        "mary",
        "Zoë Ünal",
        "山田　花子",
        "می‌خواهم",
        "👩‍🎤",
        "it's 100 %; DROP TABLE",
        "-x",
        "a" * 100,
    ],
)
def test_printable_names_of_the_world_are_allowed(actor: str) -> None:
    assert normalize_actor_id(actor) == actor


@pytest.mark.parametrize(
    ("actor", "message"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("a" * 101, "101 characters"),
        ("..", "path"),
        ("a/b", "path"),
        ("a\\b", "path"),
        ("a\nb", "U\\+000A"),
        ("a\x00b", "U\\+0000"),
        ("a\u202eb", "U\\+202E"),
        ("a\u2028b", "U\\+2028"),
        ("a\udc80b", "U\\+DC80"),
    ],
)
def test_other_ids_are_refused_on_one_line(actor: str, message: str) -> None:
    with pytest.raises(RegistryError, match=message) as caught:
        normalize_actor_id(actor)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["", ".", ".hidden", "a/b", "a\\b", "ä", "a" * 101, "a\n"])
def test_odd_file_names_are_refused(name: str) -> None:
    with pytest.raises(RegistryError, match="cannot name"):
        check_file_names([name])


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(actor=st.text(max_size=120))
def test_every_id_is_refused_or_stored_and_found(actor: str) -> None:
    with TemporaryDirectory() as folder:
        registry = Registry(Path(folder) / "home")
        try:
            registry.create(actor, {}, {"a": b"1"})
        except RegistryError:
            assert list(Path(folder).iterdir()) == []
            return
        assert registry.open(actor).read("a") == b"1"
        assert [each.actor for each in registry.list()] == [normalize_actor_id(actor)]
