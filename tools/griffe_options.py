"""Show generated signatures and docstrings on the documentation site.

The site's builder reads the source without running it, so it does not see the options that
``dubfew.utils.options`` adds to functions and dataclasses. This extension of griffe imports those
objects, which needs no torch, and replaces what griffe read. It also names the sections with
examples as griffe knows them; without that their code would be read as Markdown.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

import griffe

import dubfew
from dubfew import api

GENERATED: dict[str, Any] = {
    **{
        f"dubfew.api.{name}": function
        for name, function in inspect.getmembers(api, inspect.isfunction)
        if function.__module__ == "dubfew.api" and not name.startswith("_")
    },
    "dubfew.adapt.options.AdaptOptions": dubfew.AdaptOptions,
    "dubfew.dubbing.options.DubOptions": dubfew.DubOptions,
    "dubfew.data.options.PrepareOptions": dubfew.PrepareOptions,
    "dubfew.data.prepare.prepare_footage": dubfew.prepare_footage,
    "dubfew.reconstruction.options.TrackOptions": dubfew.TrackOptions,
    "dubfew.render.options.RenderOptions": dubfew.RenderOptions,
}


def name_example_sections(docstring: str) -> str:
    """Rename the sections with examples as griffe's parser of Google's style knows them.

    Args:
        docstring: the text of a docstring.
    """
    text = re.sub(r"^( *)Example:$", r"\1Examples:", docstring, flags=re.MULTILINE)
    # Of reST's mark for code Markdown needs the indentation alone.
    return re.sub(r"^( *)Example::$", r"\1Example:", text, flags=re.MULTILINE)


class GeneratedOptions(griffe.Extension):
    """Replace docstrings and parameters by those that exist at run time."""

    def on_object(self, *, obj: griffe.Object, **context: Any) -> None:
        """Replace what griffe read of one object, if it is among `GENERATED`.

        Args:
            obj: function or class as griffe read it.
            **context: further arguments of griffe, which are not needed.
        """
        if obj.docstring is None:
            return
        found = GENERATED.get(obj.path)
        if found is not None:
            obj.docstring.value = inspect.getdoc(found) or ""
        obj.docstring.value = name_example_sections(obj.docstring.value)
        if found is None or not isinstance(obj, griffe.Function):
            return
        own = {parameter.name: parameter for parameter in obj.parameters}
        obj.parameters = griffe.Parameters(
            *(
                own.get(name)
                or griffe.Parameter(
                    name,
                    annotation=parameter.annotation,
                    kind=griffe.ParameterKind.keyword_only,
                    default=repr(parameter.default),
                )
                for name, parameter in inspect.signature(found).parameters.items()
            )
        )
