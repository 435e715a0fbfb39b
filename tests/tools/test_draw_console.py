"""A console session as a picture."""

from __future__ import annotations

from xml.etree import ElementTree

from tools.draw_console import ANSWER, COMMAND, draw_console

SVG = "{http://www.w3.org/2000/svg}"


def test_lines_stand_below_each_other() -> None:
    picture = ElementTree.fromstring(draw_console("$ say <this>\n\n  two & three\n"))
    first, second = picture.iter(f"{SVG}text")
    assert (first.text, second.text) == (
        "$\u00a0say\u00a0<this>",
        "\u00a0\u00a0two\u00a0&\u00a0three",
    )
    assert (first.get("fill"), second.get("fill")) == (COMMAND, ANSWER)
    # The empty line has its place.
    assert int(second.get("y", "")) - int(first.get("y", "")) == 2 * 20
    # 13 characters of 8.4 px, and the margins.
    assert (picture.get("width"), picture.get("height")) == ("141", "92")
