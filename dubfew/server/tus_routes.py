"""Uploads that can be resumed: the tus protocol 1.0.0 with its extensions creation and termination.

FastAPI comes with the extra ``serve`` and is imported inside functions. It reads annotations when a
route is made, so this module has no ``from __future__ import annotations``.

Source: tus resumable upload protocol 1.0.0, https://tus.io/protocols/resumable-upload.
"""

import base64
import binascii
import re
from typing import Any

from dubfew.errors import DubfewError
from dubfew.jobs.store import JobStore
from dubfew.server.access import ApiCaller
from dubfew.server.options import ServeOptions
from dubfew.server.partial_uploads import PartialUploads
from dubfew.server.requests import check_upload_name
from dubfew.server.routing import error_responses, make_access

TUS_PATH = "/v1/tus"
TUS_VERSION = "1.0.0"
TUS_EXTENSIONS = "creation,termination"
# Type of the body of a request with bytes.
CONTENT_TYPE = "application/offset+octet-stream"
# Bytes of a request that are collected before they are written.
WRITE_BYTES = 1 << 20
# A number of bytes in a header.
_NUMBER_PATTERN = re.compile(r"\d{1,15}")


def add_tus_routes(application: Any, store: JobStore, options: ServeOptions) -> None:
    """Add what receives files in parts.

    Args:
        application: FastAPI's application.
        store: the queue, which records the uploads.
        options: options of the server; they limit size and number of bytes.
    """
    from fastapi import HTTPException, Request, Response
    from fastapi.concurrency import run_in_threadpool

    need = make_access(store, options)
    uploads = PartialUploads(store, round(options.max_stored * 1e6))
    largest = round(options.max_upload * 1e6)
    always = {"Tus-Resumable": TUS_VERSION}

    def check_version(request: Request) -> None:
        if request.headers.get("tus-resumable") != TUS_VERSION:
            raise HTTPException(
                412, f"send Tus-Resumable: {TUS_VERSION}", {"Tus-Version": TUS_VERSION, **always}
            )

    def read_number(request: Request, name: str) -> int:
        text = request.headers.get(name, "")
        if not _NUMBER_PATTERN.fullmatch(text):
            raise HTTPException(400, f"send {name} with a number of bytes", always)
        return int(text)

    @application.options(TUS_PATH, status_code=204, tags=["uploads"])
    def describe_tus() -> Response:
        """Tell which version and extensions of the protocol there are."""
        facts = {
            "Tus-Version": TUS_VERSION,
            "Tus-Extension": TUS_EXTENSIONS,
            "Tus-Max-Size": str(largest),
        }
        return Response(status_code=204, headers={**always, **facts})

    @application.post(
        TUS_PATH, status_code=201, tags=["uploads"], responses=error_responses(412, 429)
    )
    def create_upload(request: Request, caller: ApiCaller = need()) -> Response:
        """Begin an upload (tus): Upload-Length, and Upload-Metadata with a filename."""
        check_version(request)
        length = read_number(request, "Upload-Length")
        if length > largest:
            raise HTTPException(413, f"the file is larger than {largest / 1e6:g} MB", always)
        name = _read_file_name(request.headers.get("upload-metadata", ""))
        made = uploads.create(caller.owner, length, check_upload_name(name))
        return Response(status_code=201, headers={**always, "Location": f"{TUS_PATH}/{made.id}"})

    @application.head(TUS_PATH + "/{upload}", tags=["uploads"], responses=error_responses(404, 412))
    def tell_offset(upload: str, request: Request, caller: ApiCaller = need()) -> Response:
        """Tell how many bytes of an upload have come (tus)."""
        check_version(request)
        offset, length = uploads.offset(upload, caller.owner)
        facts = {"Upload-Offset": str(offset), "Upload-Length": str(length)}
        return Response(headers={**always, **facts, "Cache-Control": "no-store"})

    @application.patch(
        TUS_PATH + "/{upload}",
        status_code=204,
        tags=["uploads"],
        responses=error_responses(404, 409, 412, 415, 423),
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {CONTENT_TYPE: {"schema": {"type": "string", "format": "binary"}}},
            }
        },
    )
    # Not in a thread as the other routes are: the body is read as it arrives.
    async def append_bytes(upload: str, request: Request, caller: ApiCaller = need()) -> Response:
        """Send the next bytes of an upload (tus); the last ones make it an upload for jobs."""
        check_version(request)
        if request.headers.get("content-type") != CONTENT_TYPE:
            raise HTTPException(415, f"send Content-Type: {CONTENT_TYPE}", always)
        offset = read_number(request, "Upload-Offset")
        opened = uploads.append(upload, caller.owner, offset)
        writer = await run_in_threadpool(opened.__enter__)
        error: BaseException | None = None
        waiting = bytearray()
        try:
            async for block in request.stream():
                waiting += block
                if len(waiting) >= WRITE_BYTES:
                    await run_in_threadpool(writer.write, bytes(waiting))
                    waiting.clear()
            await run_in_threadpool(writer.write, bytes(waiting))
        except BaseException as found:
            error = found
            # A connection that breaks loses none of the bytes that have come.
            if not isinstance(found, DubfewError) and len(waiting) <= writer.missing:
                writer.write(bytes(waiting))
            raise
        finally:
            details: Any = (None, None, None) if error is None else (type(error), error, None)
            await run_in_threadpool(opened.__exit__, *details)
        reached, _ = uploads.offset(upload, caller.owner)
        return Response(status_code=204, headers={**always, "Upload-Offset": str(reached)})

    @application.delete(
        TUS_PATH + "/{upload}",
        status_code=204,
        tags=["uploads"],
        responses=error_responses(404, 412),
    )
    def end_upload(upload: str, request: Request, caller: ApiCaller = need()) -> Response:
        """Delete an upload, complete or not (tus)."""
        check_version(request)
        uploads.delete(upload, caller.owner)
        return Response(status_code=204, headers=always)


def _read_file_name(metadata: str) -> str | None:
    """Read the file's name out of the header Upload-Metadata: names and base64, with commas."""
    for pair in metadata.split(","):
        name, _, value = pair.strip().partition(" ")
        if name in ("filename", "name"):
            try:
                return base64.b64decode(value, validate=True).decode("utf-8", "replace")
            except (binascii.Error, ValueError):
                return None
    return None
