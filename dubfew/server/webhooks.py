"""Webhooks: signed messages to a URL when a job ends, repeated until they are taken.

Source: the specification of Standard Webhooks, version 1 (symmetric signatures).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import secrets
import threading
import time
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from dubfew.errors import DubfewError
from dubfew.jobs.store import JobStore
from dubfew.server.access import LOCAL_OWNER
from dubfew.server.options import LOOPBACK_NAMES, ServeOptions
from dubfew.version import __version__

# Waiting times before each further attempt, s; about nine hours in all. A receiver that is being
# restarted needs the first, one that is down over night the last.
RETRY_SECONDS = (2.0, 10.0, 60.0, 300.0, 1800.0, 7200.0, 21600.0)
# Time that a receiver has to answer, s.
ANSWER_SECONDS = 10.0
# Time between two looks at what is due, s.
POLL_SECONDS = 0.5
# Begin of a secret, and its random bytes, as the specification recommends.
SECRET_PREFIX, SECRET_BYTES = "whsec_", 32
# Age above which a receiver refuses a message, s: a recorded one cannot be sent again later.
MAX_AGE_SECONDS = 300


def make_webhook_secret() -> str:
    """Make a secret that signs the webhooks of one owner."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def sign_webhook(secret: str, message_id: str, timestamp: int, body: str) -> str:
    """Compute the header ``webhook-signature`` of a message.

    Args:
        secret: secret of the owner.
        message_id: header ``webhook-id``.
        timestamp: header ``webhook-timestamp``, s since 1970.
        body: the message.

    Returns:
        "v1," and the Base64 of an HMAC-SHA256.

    Example:
        >>> secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
        >>> sign_webhook(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, '{"test": 2432232314}')
        'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = f"{message_id}.{timestamp}.{body}".encode()
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def verify_webhook(secret: str, headers: Any, body: bytes, now: float | None = None) -> Any:
    """Check a message that a webhook received.

    Args:
        secret: secret of the owner, see ``GET /v1/webhook-secret``.
        headers: headers of the request, a mapping that ignores case or has small letters.
        body: the message as it came.
        now: the time, s since 1970; default: the clock's.

    Returns:
        The message, read as JSON.

    Raises:
        DubfewError: The signature is wrong, or the message is too old.
    """
    message_id, signature = headers.get("webhook-id", ""), headers.get("webhook-signature", "")
    try:
        timestamp, text = int(headers.get("webhook-timestamp", "")), body.decode()
    except ValueError:
        raise DubfewError("this is no signed message: its headers are missing") from None
    if abs((time.time() if now is None else now) - timestamp) > MAX_AGE_SECONDS:
        raise DubfewError("this message is too old, or this machine's clock is wrong")
    expected = sign_webhook(secret, message_id, timestamp, text)
    if not any(hmac.compare_digest(each, expected) for each in signature.split()):
        raise DubfewError("the signature of this message is wrong: it is not the server's")
    return json.loads(text)


def check_webhook_url(url: str, owner: str, options: ServeOptions) -> None:
    """Check that the server may call a URL.

    Args:
        url: the URL.
        owner: who asks for it.
        options: options of the server.

    Raises:
        DubfewError: The URL is malformed, or its host is not allowed.
    """
    try:
        parts = urlsplit(url)
        host, _ = (parts.hostname or "").lower(), parts.port
    except ValueError:
        host, parts = "", urlsplit("")
    if parts.scheme not in ("http", "https") or not host or not url.isascii() or " " in url:
        raise DubfewError("webhook is no URL of the form https://host/path")
    # A holder of a key must not reach services that only this machine can.
    is_own = owner == LOCAL_OWNER and host in LOOPBACK_NAMES
    if not is_own and host not in options.allowed_webhook_hosts:
        raise DubfewError(f"webhooks may not call {host}: --webhook-hosts names others")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follow no redirects: they could lead to a host that is not allowed."""

    def redirect_request(self, *arguments: Any) -> None:
        return None


class WebhookSender:
    """A thread that sends what is due.

    Args:
        store: the server's store.
    """

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        # No proxy of the environment either: a webhook goes where its URL says.
        self._opener = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what is due stays due."""
        self._stopping.set()
        self._thread.join(2 * ANSWER_SECONDS)

    def send_due(self, now: float | None = None) -> int:
        """Send what is due.

        Args:
            now: the time, s since 1970; default: the clock's.

        Returns:
            Number of attempts.
        """
        now = time.time() if now is None else now
        due = self._store.due_deliveries(now)
        for row in due:
            if self._stopping.is_set():
                break
            if self._send(row):
                self._store.record_delivery(row["id"], "delivered", None)
            elif row["attempts"] < len(RETRY_SECONDS):
                later = now + RETRY_SECONDS[row["attempts"]]
                self._store.record_delivery(row["id"], "pending", later)
            else:
                self._store.record_delivery(row["id"], "failed", None)
        return len(due)

    def _run(self) -> None:
        while not self._stopping.wait(POLL_SECONDS):
            self.send_due()

    def _send(self, row: Any) -> bool:
        """Send one message; whether it was taken."""
        secret = self._store.webhook_secret(row["owner"], make_webhook_secret)
        timestamp = int(time.time())
        request = urllib.request.Request(
            row["url"],
            row["body"].encode(),
            {
                "Content-Type": "application/json",
                "User-Agent": f"dubfew/{__version__}",
                # The same id at every try: receivers can tell a repetition.
                "webhook-id": row["id"],
                "webhook-timestamp": str(timestamp),
                "webhook-signature": sign_webhook(secret, row["id"], timestamp, row["body"]),
            },
        )
        try:
            with self._opener.open(request, timeout=ANSWER_SECONDS) as answer:
                return bool(200 <= answer.status < 300)
        # Whatever the other side does wrong is a failed try, and another follows.
        except (OSError, http.client.HTTPException, ValueError):
            return False
