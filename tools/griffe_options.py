"""Show generated signatures and docstrings on the documentation site.

The site's builder reads the source without running it, so it does not see the options that
``dubfew.utils.options`` adds to functions and dataclasses. This extension of griffe imports those
objects, which needs no torch, and replaces what griffe read.
"""

from __future__ import annotations

import inspect
from typing import Any

import griffe

import dubfew
from dubfew import api

GENERATED: dict[str, Any] = {
    "dubfew.api.adapt": api.adapt,
    "dubfew.api.render": api.render,
    "dubfew.api.track": api.track,
    "dubfew.adapt.options.AdaptOptions": dubfew.AdaptOptions,
    "dubfew.data.options.PrepareOptions": dubfew.PrepareOptions,
    "dubfew.data.prepare.prepare_footage": dubfew.prepare_footage,
    "dubfew.reconstruction.options.TrackOptions": dubfew.TrackOptions,
    "dubfew.render.options.RenderOptions": dubfew.RenderOptions,
}


class GeneratedOptions(griffe.Extension):
    """Replace docstrings and parameters by those that exist at run time."""

    def on_object(self, *, obj: griffe.Object, **context: Any) -> None:
        """Replace what griffe read of one object, if it is among `GENERATED`.

        Args:
            obj: function or class as griffe read it.
            **context: further arguments of griffe, which are not needed.
        """
        found = GENERATED.get(obj.path)
        if found is None or obj.docstring is None:
            return
        obj.docstring.value = inspect.getdoc(found) or ""
        if not isinstance(obj, griffe.Function):
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
