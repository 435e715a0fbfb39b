"""Numbers of things in messages: one thing has no plural."""

import pytest

from dubfew.utils.counts import count_things


@pytest.mark.parametrize(("number", "text"), [(0, "0 frames"), (1, "1 frame"), (2, "2 frames")])
def test_one_thing_has_no_plural(number: int, text: str) -> None:
    assert count_things(number, "frame") == text
