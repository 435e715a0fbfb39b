"""Options of ``serve``."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from dubfew.adapt.options import device_option
from dubfew.utils.options import document_fields, option, validate_options

# Names of this machine that a request without a key may be addressed to.
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})


@document_fields
@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """Options of ``dubfew serve``."""

    host: str = option(
        "127.0.0.1",
        help="Address to listen on. Any other than this machine's own needs a key, see 'dubfew "
        "serve keys add'.",
        metavar="ADDRESS",
    )
    port: int = option(
        8765,
        help="Port to listen on; 0 chooses a free one.",
        metavar="N",
        minimum=0,
        maximum=65535,
    )
    workers: int = option(
        1,
        help="Jobs that are done at the same time, each in a process of its own.",
        metavar="N",
        minimum=1,
        maximum=64,
    )
    max_upload: float = option(
        2000.0, help="Largest upload, in MB.", metavar="MB", above=0, maximum=1_000_000
    )
    max_stored: float = option(
        20000.0,
        help="Uploads that one key may have on the server at a time, in MB.",
        metavar="MB",
        above=0,
        maximum=100_000_000,
    )
    max_jobs: int = option(
        100,
        help="Jobs that one key may have waiting and running at a time.",
        metavar="N",
        minimum=1,
    )
    keep_hours: float = option(
        24.0,
        help="Hours after which uploads and results are deleted.",
        metavar="H",
        above=0,
        maximum=24 * 365,
    )
    webhook_hosts: str | None = option(
        None,
        help="Hosts that webhooks may call, with commas between them; default: this machine, for "
        "requests without a key.",
        metavar="NAMES",
    )
    device: str = device_option()

    def __post_init__(self) -> None:
        validate_options(self)

    @property
    def is_loopback(self) -> bool:
        """True if only programs of this machine can reach the server."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:  # a name: it may stand for any address
            return False

    @property
    def allowed_webhook_hosts(self) -> frozenset[str]:
        """Hosts that webhooks may call."""
        names = (self.webhook_hosts or "").split(",")
        return frozenset(name.strip().lower() for name in names if name.strip())
