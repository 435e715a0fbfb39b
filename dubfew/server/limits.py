"""Middleware that looks at every request: its size, where it comes from, and its count."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any

# The interface between servers and applications (ASGI).
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

# Largest body of a request that is no upload, bytes: a job with all segments has a tenth of it.
MAX_REQUEST_BYTES = 1_000_000
# Room for the parts of a form around the file, bytes.
FORM_BYTES = 100_000


class _TooLargeError(Exception):
    """A body has more bytes than it may have."""


class RequestLimits:
    """Refuse bodies that are too large and requests of other sites, and count all requests.

    Args:
        application: what answers requests.
        upload_paths: paths whose bodies may be as large as an upload; a path that ends with a slash
            stands for all below it.
        max_upload_bytes: largest upload.
        on_answer: function that is called with method and status of every answer.
    """

    def __init__(
        self,
        application: Application,
        upload_paths: tuple[str, ...],
        max_upload_bytes: int,
        on_answer: Callable[[str, int], None],
    ) -> None:
        self._application = application
        self._upload_paths, self._max_upload_bytes = upload_paths, max_upload_bytes
        self._on_answer = on_answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        limit = MAX_REQUEST_BYTES
        # A form has headers and borders around the file.
        path: str = scope["path"]
        if any(
            path.startswith(each) if each.endswith("/") else path == each
            for each in self._upload_paths
        ):
            limit = self._max_upload_bytes + FORM_BYTES
        count, answered, too_large = 0, False, False

        async def receive_some() -> Message:
            nonlocal count, too_large
            message = await receive()
            # Counted as it arrives: a caller need not state a length, and may state a wrong one.
            count += len(message.get("body", b""))
            if count > limit:
                too_large = True
                raise _TooLargeError
            return message

        async def send_counted(message: Message) -> None:
            nonlocal answered
            # The application turns what it cannot read into an answer of its own.
            if too_large and not answered:
                return
            if message["type"] == "http.response.start":
                answered = True
                self._on_answer(scope["method"], message["status"])
            await send(message)

        if not _is_same_site(headers):
            await _refuse(send_counted, 403, "OriginError", "other sites may not call this")
            return
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > limit:
            await _refuse_large(send_counted, limit)
            return
        # Raised through the application, so that it stops to read and deletes what it has written.
        with suppress(_TooLargeError):
            await self._application(scope, receive_some, send_counted)
        if too_large and not answered:
            too_large = False
            await _refuse_large(send_counted, limit)


def _is_same_site(headers: dict[bytes, bytes]) -> bool:
    """Whether a request comes from a page of this server, or from no page."""
    origin = headers.get(b"origin")
    if origin is None:
        return True
    _, _, place = origin.partition(b"://")
    return place.lower() == headers.get(b"host", b"").lower()


async def _refuse_large(send: Send, limit: int) -> None:
    message = f"the request is larger than {limit / 1e6:g} MB"
    await _refuse(send, 413, "TooLargeError", message)


async def _refuse(send: Send, status: int, kind: str, message: str) -> None:
    body = json.dumps({"error": {"type": kind, "message": message}}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
