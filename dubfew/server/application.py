"""The HTTP interface: routes, errors, and what starts and stops with the server.

FastAPI comes with the extra ``serve`` and is imported inside functions. It reads annotations when a
route is made, so this module has no ``from __future__ import annotations``.
"""

import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from dubfew.errors import (
    ActorNotFoundError,
    AuditError,
    ConsentError,
    DubfewError,
    OutputExistsError,
    TombstoneError,
)
from dubfew.jobs.pool import WorkerPool
from dubfew.jobs.records import JobNotFoundError, QuotaError
from dubfew.jobs.store import JobStore
from dubfew.registry import Registry
from dubfew.server.access import AccessError, ApiCaller, ScopeError
from dubfew.server.actor_routes import add_actor_routes
from dubfew.server.job_routes import add_job_routes
from dubfew.server.limits import RequestLimits
from dubfew.server.metrics import ServerMetrics
from dubfew.server.options import ServeOptions
from dubfew.server.partial_uploads import UploadBusyError, UploadConflictError
from dubfew.server.routing import error_responses, make_access
from dubfew.server.tus_routes import TUS_PATH, add_tus_routes
from dubfew.server.upload_routes import UPLOAD_PATH, add_upload_routes
from dubfew.server.webhooks import WebhookSender, make_webhook_secret
from dubfew.utils.import_utils import import_optional
from dubfew.version import __version__

# Status of an error, by its class; the first that fits. Others of dubfew's own are 422: the request
# was understood and cannot be done.
ERROR_STATUS: tuple[tuple[type[Exception], int], ...] = (
    (AccessError, 401),
    (ScopeError, 403),
    (ConsentError, 403),
    (ActorNotFoundError, 404),
    (JobNotFoundError, 404),
    (OutputExistsError, 409),
    (TombstoneError, 409),
    (UploadConflictError, 409),
    (UploadBusyError, 423),
    (QuotaError, 429),
    (AuditError, 503),  # nothing may be done that cannot be logged
)
# Time between two deletions of what is too old, s.
EXPIRE_SECONDS = 300.0
DESCRIPTION = """
Learn an actor from a few seconds of footage, then make them speak new audio.

Upload files, give a job with the ids of the uploads, follow its events, fetch its output.
"""


def make_application(
    store: JobStore,
    options: ServeOptions,
    *,
    registry: Callable[[], Registry] = Registry,
    pool: WorkerPool | None = None,
) -> Any:
    """Make the application.

    Args:
        store: the queue.
        options: options of the server.
        registry: function that opens the registry of actors.
        pool: workers, which start and stop with the application; None for none.

    Returns:
        An ASGI application.

    Raises:
        MissingDependencyError: The extra ``serve`` is not installed.
    """
    for name in ("fastapi", "multipart", "prometheus_client"):
        import_optional(name)
    offline = import_optional("fastapi_offline")
    sender = WebhookSender(store)
    metrics = ServerMetrics(store, lambda: pool.num_alive if pool else 0)
    stopping = threading.Event()

    # In a thread, not a task: SQLite and the removal of large files would block the event loop.
    def expire() -> None:
        while True:
            store.expire(time.time() - options.keep_hours * 3600)
            if stopping.wait(EXPIRE_SECONDS):
                return

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        if pool is not None:
            pool.start()
        sender.start()
        thread = threading.Thread(target=expire, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            sender.stop()
            if pool is not None:
                pool.stop()

    # The pages of FastAPI itself load scripts from other hosts.
    application = offline.FastAPIOffline(
        title="dubfew",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        redoc_url=None,
    )
    _add_error_handlers(application)
    _add_state_routes(application, store, options, metrics)
    add_upload_routes(application, store, options)
    add_tus_routes(application, store, options)
    add_job_routes(application, store, options, registry)
    add_actor_routes(application, store, options, registry)
    application.add_middleware(
        RequestLimits,
        upload_paths=(UPLOAD_PATH, f"{TUS_PATH}/"),
        max_upload_bytes=round(options.max_upload * 1e6),
        on_answer=metrics.count_request,
    )
    return application


def _add_error_handlers(application: Any) -> None:
    """Answer errors as ``--json`` prints them; no answer repeats what the request said."""
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import JSONResponse
    from starlette.exceptions import HTTPException

    def answer(status: int, kind: str, message: str, **headers: str) -> Any:
        body = {"error": {"type": kind, "message": message}}
        return JSONResponse(body, status, headers=headers)

    @application.exception_handler(DubfewError)
    async def report_own(_: Any, error: DubfewError) -> Any:
        status = next((code for kind, code in ERROR_STATUS if isinstance(error, kind)), 422)
        # Names of files may hold bytes that are no text; an answer is UTF-8.
        message = str(error).encode("utf-8", "backslashreplace").decode()
        headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
        return answer(status, type(error).__name__, message, **headers)

    @application.exception_handler(RequestValidationError)
    async def report_invalid(_: Any, error: RequestValidationError) -> Any:
        found = []
        # No more than ten, and each cut short: a request of thousands of wrong fields gets a small
        # answer.
        for each in error.errors()[:10]:
            place = ".".join(str(part)[:40] for part in each["loc"])
            found.append(f"{ascii(place)[1:-1]}: {each['msg']}")
        return answer(422, "RequestError", "; ".join(found)[:2000])

    @application.exception_handler(HTTPException)
    async def report_http(_: Any, error: HTTPException) -> Any:
        return answer(error.status_code, "HTTPError", str(error.detail), **(error.headers or {}))


def _add_state_routes(
    application: Any, store: JobStore, options: ServeOptions, metrics: ServerMetrics
) -> None:
    """Add what tells of the server itself."""
    from fastapi import Response
    from fastapi.responses import PlainTextResponse

    need = make_access(store, options)

    @application.get("/health", tags=["server"])
    def health() -> dict[str, str]:
        """Tell that the server answers and its queue can be read."""
        # A server whose disk is full or gone should not look healthy, so the queue is read.
        store.count_states()
        return {"status": "ok", "version": __version__}

    @application.get(
        "/metrics",
        tags=["server"],
        responses=error_responses(),
        response_class=PlainTextResponse,
    )
    # Numbers of jobs say who works how much: they need a key as all else does.
    def read_metrics(caller: ApiCaller = need()) -> Response:
        """Return numbers for Prometheus."""
        return Response(metrics.render(), media_type="text/plain; version=0.0.4")

    @application.get("/v1/webhook-secret", tags=["server"], responses=error_responses())
    def webhook_secret(caller: ApiCaller = need()) -> dict[str, str]:
        """Return the secret that signs this key's webhooks (Standard Webhooks)."""
        return {"secret": store.webhook_secret(caller.owner, make_webhook_secret)}
