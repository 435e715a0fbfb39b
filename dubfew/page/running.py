"""The page in Gradio, and the server that shows it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from dubfew.jobs.pool import WorkerPool, default_store_folder
from dubfew.jobs.records import JobNotFoundError
from dubfew.jobs.store import JobStore
from dubfew.jobs.worker import output_path
from dubfew.page.actions import UPLOADS_NAME, PageActions
from dubfew.page.options import PageOptions
from dubfew.server.limits import RequestLimits
from dubfew.server.options import LOOPBACK_NAMES
from dubfew.server.running import listen, run_application
from dubfew.utils.import_utils import import_optional

# Age at which uploads without a job are deleted, and time between two looks, s.
STALE_SECONDS, SWEEP_SECONDS = 3600, 300
# What a browser may load: this server's own files. Fonts, scripts and pictures of other hosts are
# refused by the browser, whatever a version of Gradio asks for. Gradio evaluates no text as a
# script, but writes styles and scripts into the page.
CONTENT_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
    "frame-ancestors 'none'; form-action 'self'; base-uri 'self'"
)


def show_page(
    options: PageOptions,
    *,
    folder: Path | None = None,
    on_ready: Callable[[str], None] = lambda url: None,
    worker_command: Sequence[str] | None = None,
) -> None:
    """Serve the page on this machine until it is interrupted.

    Args:
        options: options of the page.
        folder: folder of the queue; default: ``jobs`` in DUBFEW_HOME.
        on_ready: function that is called with the page's URL, once it can be opened.
        worker_command: program of a worker, see `WorkerPool`; default: dubfew's own.

    Raises:
        DubfewError: The port is taken.
        MissingDependencyError: The extra ``app`` is not installed.
    """
    store = JobStore(folder or default_store_folder())
    command: dict[str, Any] = {} if worker_command is None else {"command": worker_command}
    pool = WorkerPool(store, options.workers, **command)
    application = make_page_application(store, options, pool=pool)
    with listen("127.0.0.1", options.port) as listening:
        on_ready(f"http://127.0.0.1:{listening.getsockname()[1]}")
        run_application(application, listening)


def make_page_application(
    store: JobStore, options: PageOptions, *, pool: WorkerPool | None = None
) -> Any:
    """Make the application: the page, and the videos that it shows.

    Args:
        store: the queue.
        options: options of the page.
        pool: workers, which start and stop with the application; None for none.

    Raises:
        MissingDependencyError: The extra ``app`` is not installed.
    """
    uploads = store.folder / UPLOADS_NAME
    # Readable by this user alone: footage in it is not encrypted.
    uploads.mkdir(exist_ok=True, mode=0o700)
    # Gradio reads these when it is imported.
    os.environ["GRADIO_TEMP_DIR"] = str(uploads)
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    gradio = import_optional("gradio")
    fastapi = import_optional("fastapi")
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    from dubfew.page.layout import PAGE_CSS, make_blocks, make_theme

    actions = PageActions(store, options.device)
    stopping = threading.Event()

    # In a thread: deleting large files would hold up the page.
    def expire() -> None:
        while not stopping.is_set():
            store.expire(time.time() - options.keep_hours * 3600)
            sweep_uploads(uploads, time.time() - STALE_SECONDS)
            stopping.wait(SWEEP_SECONDS)

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        if pool is not None:
            pool.start()
        threading.Thread(target=expire, daemon=True).start()
        try:
            yield
        finally:
            stopping.set()
            if pool is not None:
                pool.stop()

    application = fastapi.FastAPI(lifespan=lifespan, openapi_url=None)
    # Before Gradio, which takes every path that is left.
    _add_video_routes(application, store)
    application = gradio.mount_gradio_app(
        application,
        make_blocks(actions),
        "/",
        # What Gradio would otherwise add: links, a server of Node.js, monitoring, an installable
        # page and tools for language models. None belongs to a local page.
        server_name="127.0.0.1",
        footer_links=[],
        max_file_size=round(options.max_upload * 1e6),
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=make_theme(),
        css=PAGE_CSS,
    )

    @application.middleware("http")
    # The browser itself refuses what a later Gradio might load from elsewhere.
    async def add_policy(request: Any, call_next: Callable[[Any], Any]) -> Any:
        answer = await call_next(request)
        answer.headers["Content-Security-Policy"] = CONTENT_POLICY
        answer.headers["Referrer-Policy"] = "no-referrer"
        return answer

    application.add_middleware(
        RequestLimits,
        upload_paths=("/gradio_api/upload",),
        max_upload_bytes=round(options.max_upload * 1e6),
        on_answer=lambda method, status: None,
    )
    # A page of another site may let its own name point to this machine (DNS rebinding): only the
    # machine's own names are answered.
    hosts = [name.strip("[]") for name in sorted(LOOPBACK_NAMES)]
    application.add_middleware(TrustedHostMiddleware, allowed_hosts=hosts)
    return application


def sweep_uploads(folder: Path, before: float) -> None:
    """Delete files that came before a time and were not given to a job.

    Args:
        folder: folder of uploads.
        before: the time, s since 1970.
    """
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_mtime < before:
            path.unlink(missing_ok=True)


def _add_video_routes(application: Any, store: JobStore) -> None:
    """Add the videos of jobs, in parts as players ask for them."""
    from fastapi.responses import FileResponse, PlainTextResponse

    def answer(path: Path | None) -> Any:
        if path is None or not path.exists():
            return PlainTextResponse("there is no such video any more", 404)
        return FileResponse(path, filename=path.name, content_disposition_type="inline")

    @application.get("/outputs/{job}")
    def output(job: str) -> Any:
        try:
            return answer(output_path(store, store.get(job)))
        except JobNotFoundError:
            return answer(None)

    @application.get("/pages/{job}/{number}")
    def page(job: str, number: int) -> Any:
        try:
            names = [*(store.get(job).result or {}).get("pages", {}).values()]
        except JobNotFoundError:
            names = []
        path = store.job_folder(job) / names[number] if 0 <= number < len(names) else None
        return answer(path)

    @application.get("/scenes/{job}")
    def scene(job: str) -> Any:
        try:
            description = store.get(job).description
        except JobNotFoundError:
            description = None
        return answer(description.video if description else None)
