"""``dubfew app``: the page in the browser."""

from __future__ import annotations

import sys

from dubfew.cli.console import report_errors
from dubfew.cli.option_flags import accept_options
from dubfew.page.options import PageOptions


@report_errors
@accept_options(PageOptions)
def app_page(options: PageOptions) -> None:
    """Show a page in the browser of this machine: learn, dub, verify, compare. Ctrl-C ends it."""
    from dubfew.page.running import show_page

    show_page(options, on_ready=_print_ready)


def _print_ready(url: str) -> None:
    print(f"open {url} in a browser; Ctrl-C ends it", file=sys.stderr)
    sys.stderr.flush()
