"""What the commands of ``campuscard office`` share: acts, lists, UIDs."""

from __future__ import annotations

from typing import Any, Final

import typer

from campuscard.v1 import card_office_service_pb2 as pb
from clients.admin.accounts import finish
from clients.admin.calls import Services
from clients.admin.console import Failure, Output, print_json, print_table, tr
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
    """Read a list of CardOfficeService, at most so many items."""
    with Services(address) as services:
        listing = getattr(services.office, method)
        return services.pages(listing, request, field, limit=limit, timeout_s=ACT_S)


def print_list(
    found: list[Any], output: Output, columns: str, rows: list[list[str]], *, title: str = ""
) -> None:
    """Print messages as JSON, or their rows as a table; ``columns`` are separated by spaces."""
    if output is Output.JSON:
        print_json([plain(item) for item in found])
    else:
        print_table(columns.split(), rows, title=title)


def end_items(results: list[pb.ItemResult], output: Output) -> None:
    """End with the exit code of a refusal when an item was refused."""
    refused = sum(bool(result.reason) for result in results)
    if refused:
        text = tr(f"{refused} 项未办", f"{refused} items were refused")
        raise Failure(text, told=output is Output.JSON)


def uid_of(text: str) -> bytes:
    """Read a UID as typed; a wrong form is a usage error."""
    try:
        return bytes(card(text).token)
    except ValueError as error:
        raise typer.BadParameter(f"--card: {error}") from error
