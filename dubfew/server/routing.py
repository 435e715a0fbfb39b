"""What all routes share: who sent the request, and the errors of their OpenAPI pages.

FastAPI comes with the extra ``serve`` and is imported inside functions. It reads annotations when a
route is made, so this module has no ``from __future__ import annotations``.
"""

from collections.abc import Callable
from typing import Any

from dubfew.jobs.store import JobStore
from dubfew.server.access import ApiCaller, identify_caller
from dubfew.server.options import ServeOptions


def make_access(store: JobStore, options: ServeOptions) -> Callable[..., Any]:
    """Make the dependency of routes that need a caller; with a scope where they need one.

    Args:
        store: the queue, which has the hashes of keys.
        options: options of the server; without keys a caller on the same machine may do everything.

    Returns:
        A function of the needed scopes that gives FastAPI's dependency of a route.
    """
    from fastapi import Depends, Request
    from fastapi.security import HTTPBearer

    bearer = HTTPBearer(auto_error=False, description="A key of 'dubfew serve keys add'.")

    def need(*scopes: str) -> Any:
        def identify(request: Request, _: Any = Depends(bearer)) -> ApiCaller:
            given, host = request.headers.get("authorization"), request.headers.get("host", "")
            caller = identify_caller(store, options, given, host)
            # Routes without a scope still need a key.
            for scope in scopes:
                caller.check_scope(scope)
            return caller

        return Depends(identify)

    return need


def error_responses(*codes: int) -> dict[int | str, dict[str, Any]]:
    """Describe the errors of a route for its OpenAPI page."""
    # One sentence for each code: the OpenAPI page shows the same ones at every route.
    words = {
        400: "The request cannot be read.",
        401: "The key is missing or wrong.",
        403: "The key's scopes or the actor's consent do not cover this.",
        404: "There is none of this id.",
        409: "It is not in a state for that.",
        410: "It was deleted because of its age.",
        412: "The version of the protocol is missing or another.",
        413: "It is too large.",
        415: "The body is of another type.",
        422: "The request cannot be done.",
        423: "Another request is writing to it.",
        429: "There are too many.",
    }
    error = {
        "type": "object",
        "properties": {
            "error": {
                "type": "object",
                "properties": {"type": {"type": "string"}, "message": {"type": "string"}},
                "required": ["type", "message"],
            }
        },
        "required": ["error"],
    }
    content = {"application/json": {"schema": error}}
    return {
        # Any route may answer these five; the others are named where they can occur.
        code: {"description": words[code], "content": content}
        for code in sorted({400, 401, 403, 413, 422, *codes})
    }
