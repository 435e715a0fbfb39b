"""Routes that list, suspend, export and delete actors.

FastAPI comes with the extra ``serve`` and is imported inside functions. It reads annotations when a
route is made, so this module has no ``from __future__ import annotations``.
"""

import json
import secrets
from collections.abc import Callable
from typing import Any

from dubfew.errors import ConsentError
from dubfew.jobs.store import ID_BYTES, JobStore
from dubfew.registry import Registry
from dubfew.server.access import ApiCaller
from dubfew.server.options import ServeOptions
from dubfew.server.routing import error_responses, make_access
from dubfew.utils.jsonable import to_jsonable


def add_actor_routes(
    application: Any,
    store: JobStore,
    options: ServeOptions,
    registry: Callable[[], Registry],
) -> None:
    """Add what lists, suspends, exports and deletes actors.

    Args:
        application: FastAPI's application.
        store: the queue, whose jobs and outputs go with a deleted actor.
        options: options of the server.
        registry: function that opens the registry, anew for each request.
    """
    from fastapi import Response
    from pydantic import BaseModel, ConfigDict, Field

    need = make_access(store, options)

    class Suspension(BaseModel):
        """Why an actor is suspended."""

        model_config = ConfigDict(extra="forbid")
        reason: str = Field("", max_length=1000, description="It is stored encrypted.")

    class Export(BaseModel):
        """To whom an export is encrypted."""

        model_config = ConfigDict(extra="forbid")
        recipient: str = Field(max_length=1000, description="Public key of 'dubfew actors keygen'.")

    def describe_actor(opened: Registry, actor: str) -> dict[str, Any]:
        chosen = opened.open(actor)
        try:
            consent = opened.consent(actor)
            record: Any = None if consent is None else to_jsonable(consent.record)
        # A record that is damaged hides no other fact of the actor.
        except ConsentError as error:
            record = {"error": str(error)}
        suspension = opened.suspension(chosen)
        return {
            "actor": chosen.actor,
            "revision": chosen.number,
            "revisions": [each.number for each in opened.revisions(actor)],
            "method": chosen.method,
            "created": chosen.created,
            "suspended": to_jsonable(suspension),
            "consent": record,
        }

    @application.get("/v1/actors", tags=["actors"], responses=error_responses())
    def list_actors(caller: ApiCaller = need()) -> dict[str, Any]:
        """List all actors."""
        found = registry().list()
        return {
            "actors": [
                {"actor": each.actor, "revision": each.number, "created": each.created}
                for each in found
            ]
        }

    @application.get("/v1/actors/{actor}", tags=["actors"], responses=error_responses(404))
    def show_actor(actor: str, caller: ApiCaller = need()) -> dict[str, Any]:
        """Show an actor's revisions, consent and suspension."""
        return describe_actor(registry(), actor)

    @application.delete("/v1/actors/{actor}", tags=["actors"], responses=error_responses(404, 409))
    def delete_actor(actor: str, caller: ApiCaller = need("delete")) -> dict[str, Any]:
        """Destroy an actor's key, delete all their files, jobs and outputs; return the receipt."""
        opened = registry()
        receipt = opened.delete(actor)
        # After the deletion: where it is refused, the jobs stay.
        jobs = store.forget_actor(actor)
        return {"receipt": json.loads(receipt.to_bytes()), "jobs": jobs}

    @application.post("/v1/actors/{actor}/suspend", tags=["actors"], responses=error_responses(404))
    def suspend_actor(
        actor: str, request: Suspension, caller: ApiCaller = need("delete")
    ) -> dict[str, Any]:
        """Refuse to render and export an actor, as when they withdraw their consent."""
        opened = registry()
        opened.suspend(actor, request.reason)
        return describe_actor(opened, actor)

    @application.post("/v1/actors/{actor}/resume", tags=["actors"], responses=error_responses(404))
    def resume_actor(actor: str, caller: ApiCaller = need("delete")) -> dict[str, Any]:
        """End a suspension."""
        opened = registry()
        opened.resume(actor)
        return describe_actor(opened, actor)

    @application.post(
        "/v1/actors/{actor}/export",
        tags=["actors"],
        responses={
            200: {"content": {"application/octet-stream": {}}, "description": "The export."},
            **error_responses(404),
        },
        response_class=Response,
    )
    def export_actor(actor: str, request: Export, caller: ApiCaller = need("export")) -> Response:
        """Return an actor, encrypted to a public key."""
        # A name of its own for each request, so that two exports of one actor do not meet.
        folder = store.folder / "exports"
        folder.mkdir(exist_ok=True, mode=0o700)
        path = folder / secrets.token_hex(ID_BYTES)
        try:
            registry().export(actor, path, recipient=request.recipient)
            return Response(path.read_bytes(), media_type="application/octet-stream")
        finally:
            # Encrypted or not: no copy of an actor stays behind.
            path.unlink(missing_ok=True)
