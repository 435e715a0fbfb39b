"""The page of options in the documentation."""

from __future__ import annotations

from dubfew.utils.options import list_options
from tools.write_options import OPTIONS_PAGE, SECTIONS, main, render_page


def test_the_page_is_up_to_date() -> None:
    """If this fails, run ``python -m tools.write_options``."""
    assert OPTIONS_PAGE.read_text("utf-8") == render_page()
    assert main(["--check"]) == 0


def test_every_option_has_a_row() -> None:
    rows = [line for line in render_page().splitlines() if line.startswith("| `")]
    options = [option for *_, cls in SECTIONS for option in list_options(cls)]
    assert len(rows) == len(options)
    for row, option in zip(rows, options, strict=True):
        assert row.startswith(f"| `{option.name}` |")
        assert option.rules.help.replace("<", "&lt;") in row
        assert all(f"`{flag}`" in row for flag in option.flags if option.rules.on_command_line)
