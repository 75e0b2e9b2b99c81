"""What the commands of ``campuscard office`` share: acts, lists, UIDs."""

from __future__ import annotations

from typing import Any, Final

import typer

from clients.admin.accounts import finish
from clients.admin.calls import Services
from clients.admin.console import Output, print_json, print_table
from clients.admin.plain import plain
from clients.terminal import card

ACT_S: Final = 60.0
"""Time for acts that take many cards."""


def act(address: str, method: str, request: Any, *, output: Output, text: str) -> Any:
    """Call an act of CardOfficeService and print its end; returns the response."""
    with Services(address) as services:
        response = services.act(getattr(services.office, method), request, timeout_s=ACT_S)
    finish(response, output, text)
    return response


def read(address: str, method: str, request: Any) -> Any:
    """Call a reading method of CardOfficeService."""
    with Services(address) as services:
        return services.call(getattr(services.office, method), request, timeout_s=ACT_S)


def read_pages(address: str, method: str, request: Any, field: str, limit: int) -> list[Any]:
    """Read a list page by page, at most so many items."""
    found: list[Any] = []
    with Services(address) as services:
        while len(found) < limit:
            request.page_size = min(1_000, limit - len(found))
            page = services.call(getattr(services.office, method), request, timeout_s=ACT_S)
            found += getattr(page, field)
            request.page_token = page.next_page_token
            if not page.next_page_token:
                break
    return found


def print_list(
    found: list[Any], output: Output, columns: str, rows: list[list[str]], *, title: str = ""
) -> None:
    """Print messages as JSON, or their rows as a table; ``columns`` are separated by spaces."""
    if output is Output.JSON:
        print_json([plain(item) for item in found])
    else:
        print_table(columns.split(), rows, title=title)


def uid_of(text: str) -> bytes:
    """Read a UID as typed; a wrong form is a usage error."""
    try:
        return bytes(card(text).token)
    except ValueError as error:
        raise typer.BadParameter(f"--card: {error}") from error
