"""Routes that take jobs, tell of them, and return their outputs.

FastAPI comes with the extra ``serve`` and is imported inside functions. It reads annotations when a
route is made, so this module has no ``from __future__ import annotations``.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

from dubfew.errors import DubfewError
from dubfew.jobs.records import DONE, EXPIRED, Job
from dubfew.jobs.running import check_job
from dubfew.jobs.store import JobStore
from dubfew.jobs.worker import output_path
from dubfew.registry import Registry
from dubfew.server.access import ApiCaller
from dubfew.server.options import ServeOptions
from dubfew.server.requests import describe_request, make_request_models
from dubfew.server.routing import error_responses, make_access
from dubfew.server.webhooks import check_webhook_url

# Scopes that a kind of job needs.
KIND_SCOPES = {"render": ("render",), "dub": ("adapt", "render"), "adapt": ("adapt",)}
# Time between two looks at a job whose events are sent, s, and between two signs of life.
EVENT_SECONDS, KEEPALIVE_SECONDS = 0.4, 15.0
# Longest key of a repeated request, characters.
MAX_REQUEST_KEY_LENGTH = 200
# Jobs of one listing at most.
MAX_LISTED = 1000


def add_job_routes(
    application: Any,
    store: JobStore,
    options: ServeOptions,
    registry: Callable[[], Registry],
) -> None:
    """Add what takes jobs, tells of them, and returns their outputs.

    Args:
        application: FastAPI's application.
        store: the queue.
        options: options of the server.
        registry: function that opens the registry, anew for each request.
    """
    from fastapi import Body, Header, Query, Response
    from fastapi.responses import FileResponse, StreamingResponse

    need = make_access(store, options)
    render_model, dub_model, adapt_model = make_request_models().values()
    # One body of several kinds, told apart by its kind.
    any_model: Any = Annotated[render_model | dub_model | adapt_model, Body(discriminator="kind")]

    def give_job(
        request: Any,
        response: Response,
        request_key: Annotated[
            str | None,
            Header(
                alias="Idempotency-Key",
                min_length=1,
                max_length=MAX_REQUEST_KEY_LENGTH,
                description="The same key gives the same job, however often it is sent.",
            ),
        ] = None,
        caller: ApiCaller = need(),
    ) -> dict[str, Any]:
        """Give a job: render an actor, learn one, or both (dub)."""
        for scope in KIND_SCOPES[request.kind]:
            caller.check_scope(scope)
        text = request.model_dump_json()
        digest = hashlib.sha256(text.encode()).hexdigest()
        # First: a repeated request must not fail because an upload was deleted since.
        if request_key is not None:
            known = store.find_request(caller.owner, request_key)
            if known is not None:
                return _repeat_request(known, digest, response)
        webhook = request.webhook
        if webhook is not None:
            check_webhook_url(webhook, caller.owner, options)
        description = describe_request(request, store, caller.owner, options.device)
        check_job(description, store.folder / "output.mp4", registry())
        job = store.add(
            description,
            owner=caller.owner,
            request_key=request_key,
            request_hash=digest,
            webhook=webhook,
            max_active=options.max_jobs,
        )
        if job.request_hash != digest:
            return _repeat_request(job, digest, response)
        return describe_state(job)

    # The model is made from the options, so it is no type that can be written down.
    give_job.__annotations__["request"] = any_model
    application.post(
        "/v1/jobs", status_code=201, tags=["jobs"], responses=error_responses(404, 429)
    )(give_job)

    @application.get("/v1/jobs", tags=["jobs"], responses=error_responses())
    def list_jobs(
        limit: Annotated[int, Query(ge=1, le=MAX_LISTED)] = 100, caller: ApiCaller = need()
    ) -> dict[str, Any]:
        """List the newest jobs of this key."""
        return {"jobs": [describe_state(job) for job in store.list_jobs(caller.owner, limit)]}

    @application.get("/v1/jobs/{job}", tags=["jobs"], responses=error_responses(404))
    def show_job(job: str, caller: ApiCaller = need()) -> dict[str, Any]:
        """Tell how far a job is."""
        return describe_state(store.get(job, caller.owner))

    @application.delete("/v1/jobs/{job}", tags=["jobs"], responses=error_responses(404))
    def cancel_job(job: str, caller: ApiCaller = need()) -> dict[str, Any]:
        """Cancel a job that waits or runs; one that has ended stays as it is."""
        return describe_state(store.cancel(store.get(job, caller.owner).id))

    @application.get(
        "/v1/jobs/{job}/events",
        tags=["jobs"],
        responses={
            200: {"content": {"text/event-stream": {}}, "description": "One event per change."},
            **error_responses(404),
        },
        response_class=StreamingResponse,
    )
    def follow_job(job: str, caller: ApiCaller = need()) -> StreamingResponse:
        """Send the state at once and after every change, until the job has ended (SSE)."""
        found = store.get(job, caller.owner)
        return StreamingResponse(
            _stream_events(store, found.id),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    @application.get(
        "/v1/jobs/{job}/output",
        tags=["jobs"],
        responses={
            200: {"content": {"video/*": {}}, "description": "The video."},
            **error_responses(404, 409, 410),
        },
        response_class=FileResponse,
    )
    def fetch_output(job: str, caller: ApiCaller = need()) -> Response:
        """Return the video that a job has rendered."""
        from starlette.exceptions import HTTPException

        found = store.get(job, caller.owner)
        path = output_path(store, found)
        if found.state == EXPIRED:
            raise HTTPException(410, "the output was deleted")
        if found.state != DONE or path is None or not path.exists():
            raise HTTPException(409, f"the job is {found.state} and has no output")
        return FileResponse(path, filename=f"{found.id}{path.suffix}")


def _repeat_request(job: Job, digest: str, response: Any) -> dict[str, Any]:
    """Answer a request that was sent before with its job."""
    if job.request_hash != digest:
        raise DubfewError("this Idempotency-Key was used for another request: choose a new one")
    response.status_code = 200
    return describe_state(job)


async def _stream_events(store: JobStore, job: str) -> AsyncIterator[str]:
    """Yield server-sent events until a job has ended."""
    from starlette.concurrency import run_in_threadpool

    version, silent = -1, 0.0
    while True:
        found = await run_in_threadpool(store.get, job)
        if found.version != version:
            version, silent = found.version, 0.0
            yield f"id: {version}\nevent: job\ndata: {json.dumps(describe_state(found))}\n\n"
        elif silent >= KEEPALIVE_SECONDS:
            silent = 0.0
            yield ": still there\n\n"
        if found.finished is not None or found.state == EXPIRED:
            return
        await asyncio.sleep(EVENT_SECONDS)
        silent += EVENT_SECONDS


def describe_state(job: Job) -> dict[str, Any]:
    """Describe a job for its owner."""
    return {
        "id": job.id,
        "kind": job.description.kind if job.description else None,
        "actor": job.description.actor if job.description else None,
        "state": job.state,
        "created": job.created,
        "started": job.started,
        "finished": job.finished,
        "attempts": job.attempts,
        "version": job.version,
        "progress": job.progress,
        "result": job.result,
        "error": job.error,
    }
