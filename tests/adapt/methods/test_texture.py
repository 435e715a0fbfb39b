"""Training the texture alone."""

from __future__ import annotations


def test_there_is_no_delta(trained):
    assert trained[1]["texture"].weights == {}
