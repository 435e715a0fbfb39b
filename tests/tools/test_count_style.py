"""The figures of ``tools.count_style`` on a module whose style is known."""

from __future__ import annotations

import json
import textwrap

import pytest

from tools.count_style import find_places, is_participle, main, measure, read_modules

MODULE = '''
    """A module after paper 003."""

    LIMIT = 3
    MAX_COUNT = 4

    class Thing:
        """One word."""

        def size(self) -> int:
            """Return 1."""
            return 1

    def drawn(image: "NDArray", mask) -> None:
        """The picture as drawn, [H, W]."""
        raise ValueError

    def draw_mask(image: "NDArray", mask: "NDArray") -> None:
        """Draw a mask.

        Args:
            image: picture. [H, W]
            mask: where. [H, W]

        Raises:
            ValueError: Always.

        Example:
            >>> 1 + 1
            2
        """
        # Nothing can be drawn.
        raise ValueError

    def _private():
        assert True
        print()  # noqa: T201
'''


@pytest.fixture
def figures(tmp_path):
    (tmp_path / "module.py").write_text(textwrap.dedent(MODULE))
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_module.py").write_text("ONE = 1")
    return measure(read_modules([tmp_path]))


def names(figures, key):
    places = find_places(figures, key)
    assert places is not None
    return [place.name for place in places]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("one-word-functions", ["drawn"]),
        ("no-one-word-functions", ["draw_mask"]),
        ("participle-functions", ["drawn"]),
        ("one-word-classes", ["Thing"]),
        ("one-word-constants", ["LIMIT"]),
        ("one-word-methods", ["Thing.size"]),
        ("no-annotated", ["drawn"]),
        ("args", ["draw_mask"]),
        ("no-args", ["drawn"]),
        ("raises", ["draw_mask"]),
        ("shapes", ["drawn", "draw_mask"]),
        ("verb-first", ["Thing.size", "draw_mask"]),
        ("numbered-papers", ["paper 003"]),
    ],
)
def test_places_behind_figures(figures, key, expected):
    assert names(figures, key) == expected


def test_tests_are_left_out_and_private_code_counts_where_it_should(figures):
    by_key = {figure.key: figure for figure in figures}
    assert len(by_key["files"].hits) == 1
    assert len(by_key["asserts"].hits) == 1
    assert len(by_key["prints"].hits) == 1
    assert len(by_key["examples"].hits) == 1
    assert by_key["annotated"].total == 3


def test_unknown_figures_have_no_places(figures):
    assert find_places(figures, "beauty") is None
    assert find_places(figures, "no-files") is None  # no share of anything


@pytest.mark.parametrize(
    ("name", "answer"),
    [("drawn", True), ("taken", True), ("held", True), ("token", False), ("red", False),
     ("embed", False), ("drawn_mask", False)],
)  # fmt: skip
def test_participles(name, answer):
    assert is_participle(name) == answer


def test_command_line_prints_a_table_or_json(tmp_path, capsys):
    (tmp_path / "module.py").write_text(textwrap.dedent(MODULE))
    assert main([str(tmp_path)]) == 0
    assert "one-word-functions" in capsys.readouterr().out
    assert main([str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["args"]["count"] == 1
    assert main([str(tmp_path), "--list", "participle-functions"]) == 0
    assert capsys.readouterr().out.strip().endswith("drawn")
    with pytest.raises(SystemExit):
        main([str(tmp_path), "--list", "beauty"])
