"""Make the reference pages that are tables of the code: errors, commands, states of cards and so on.

Run as ``python -m tools.gen_pages [DIRECTORY]``; ``tests/docs`` compares what it makes with docs.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

# The pages are in English and show defaults, whatever this shell has set.
for _name in [name for name in os.environ if name.startswith("CAMPUSCARD_")]:
    del os.environ[_name]
os.environ["CAMPUSCARD_LANG"] = "en"

from prometheus_client import CollectorRegistry  # noqa: E402 - the language is chosen above
from typer.main import get_command  # noqa: E402

from clients.admin.cli import EXIT_CODES, app  # noqa: E402
from core.catalogue import ERRORS, OUTCOMES  # noqa: E402
from server import front_metrics  # noqa: E402
from server.config import Settings, explain  # noqa: E402
from server.interceptors.metrics import MetricsGuard  # noqa: E402
from server.metrics import (  # noqa: E402
    DECLINES,
    HISTOGRAMS,
    JOURNAL,
    METRICS,
    PARTS,
    WAY,
    Kind,
    Part,
)
from tools.card_pages import card_states_page  # noqa: E402
from tools.markdown import BANNER, table  # noqa: E402
from tools.parameter_pages import parameters_page  # noqa: E402
from tools.permission_page import permissions_page  # noqa: E402
from tools.regulation_page import regulation_page  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

PAGES: Final = Path(__file__).resolve().parent.parent / "docs"

# -- errors ---------------------------------------------------------------------------------------

ERRORS_INTRO: Final = """\
# The catalogue of outcomes and errors

A decision, refusals included, is a reply with gRPC status `OK`: read its `outcome` and `reason`. A
gRPC status means that nothing was decided, or that the outcome is unknown; it carries one `ErrorInfo`
(`reason`, domain `campuscard`, metadata), a Chinese `LocalizedMessage`, `RetryInfo` where the same
request may be sent again, and `BadRequest` where a field is wrong.

A message more than four times as large as the largest bound of `[limits]` is cut off by gRPC before it
is whole: that `RESOURCE_EXHAUSTED` alone has no details.

The same reason that refuses a tap at a terminal ends a call of the office with status
`FAILED_PRECONDITION`. Names in braces are filled from the decision's numbers, fen written as yuan.
Numbers of outcomes stand in journal records: durable, never reused; only `TERMINAL_NOT_SIGNED_IN` and
`KEY_EXPIRED` leave no record. *Clause* is of the campus card
regulation, *DE39* the nearest response code of ISO 8583. The order in which a payment meets these is in
[decisions](decisions.md).
"""


def outcome_of(name: str) -> str:
    """Return the outcome a terminal reads beside a reason."""
    return {
        "OK": "APPROVED",
        "PIN_REQUIRED": "PIN_REQUIRED; DECLINED at a terminal without keypad",
    }.get(name, "DECLINED")


def errors_page() -> Iterator[str]:
    """Yield the lines of errors.md."""
    yield BANNER.format(source="core/catalogue.py")
    yield from ERRORS_INTRO.splitlines()
    yield from ("", "## Outcomes of a decision", "")
    yield from table(
        ("number", "reason", "outcome", "DE39", "clause", "中文", "English", "what to do next"),
        (
            (
                str(reason.number),
                f"`{reason.name}`",
                outcome_of(reason.name),
                reason.de39,
                reason.clause,
                reason.zh,
                reason.en,
                reason.action,
            )
            for reason in OUTCOMES
        ),
    )
    yield from ("## Errors: nothing was decided", "")
    yield "*Again* is yes where the same request, under the same key or request_id, may be repeated."
    yield ""
    yield from table(
        (
            "number",
            "reason",
            "gRPC status",
            "again",
            "clause",
            "中文",
            "English",
            "what to do next",
        ),
        (
            (
                str(reason.number),
                f"`{reason.name}`",
                f"`{reason.status}`",
                "yes" if reason.retryable else "",
                reason.clause,
                reason.zh,
                reason.en,
                reason.action,
            )
            for reason in ERRORS
        ),
    )


# -- metrics --------------------------------------------------------------------------------------

METRICS_INTRO: Final = """\
# Metrics

`campuscard serve` offers Prometheus metrics over HTTP at `metrics.address` (default
`127.0.0.1:9464/metrics`).

## Calls

The names of go-grpc-middleware, so that public dashboards fit. Every method starts at zero. A declined
payment is `OK` here: it is an answer. Declines are counted below. Codes are written as `OK`,
`InvalidArgument`.
"""


def metrics_page() -> Iterator[str]:
    """Yield the lines of metrics.md."""
    yield BANNER.format(source="server/metrics.py and server/interceptors/metrics.py")
    yield from METRICS_INTRO.splitlines()
    yield ""
    registry = CollectorRegistry()
    MetricsGuard(registry, [("/campuscard.v1.OpsService/GetHead", "unary")])
    yield from table(
        ("metric", "type", "labels", "meaning"),
        (
            (
                f"`{family.name}{'_total' if family.type == 'counter' else ''}`",
                family.type,
                ", ".join(f"`{name}`" for name in family.samples[0].labels if name != "le"),
                family.documentation,
            )
            for family in registry.collect()
        ),
    )
    yield from ("## Engine and office", "")
    rows = [
        (f"`{_full(row.name, row.kind)}`", row.kind.value, row.text, row.alert) for row in METRICS
    ]
    name, text, alert = DECLINES
    rows.append((f"`{_full(name, Kind.COUNTER)}{{reason}}`", Kind.COUNTER.value, text, alert))
    name, text, alert = JOURNAL
    rows.append((f"`{_full(name, Kind.GAUGE)}{{commit}}`", Kind.GAUGE.value, text, alert))
    rows += part_rows("", PARTS)
    rows += [
        (f"`{_full(row.name, Kind.HISTOGRAM)}`", Kind.HISTOGRAM.value, row.text, row.alert)
        for row in HISTOGRAMS
    ]
    yield from table(("metric", "type", "meaning", "worth an alert"), rows)
    yield from ("", *FRONT_INTRO.splitlines(), "")
    yield from table(("metric", "type", "meaning", "worth an alert"), front_rows())


FRONT_INTRO: Final = """\
## The native front end

Of calls that it answers; those it leaves to Python are counted above too. Seconds of work by
`campuscard_front_commands_total` and both `command_seconds` say
[where the time of one authorization goes](../ARCHITECTURE.md#where-the-time-of-one-authorization-goes).
"""


def front_rows() -> Iterator[tuple[str, str, str, str]]:
    """Yield the rows of the native front end."""
    for row in front_metrics.METRICS:
        name = _full(f"front_{row.name}", row.kind)
        yield f"`{name}`", row.kind.value, row.text, row.alert
    yield from part_rows("front_", front_metrics.PARTS)
    for many in front_metrics.LABELLED:
        name = _full(f"front_{many.name}", Kind.COUNTER)
        yield f"`{name}{{{', '.join(many.labels)}}}`", Kind.COUNTER.value, many.text, many.alert


def part_rows(prefix: str, parts: Iterable[Part]) -> Iterator[tuple[str, str, str, str]]:
    """Yield the parts of a command's way."""
    for part in parts:
        name = f'{_full(prefix + WAY[0], Kind.SUMMARY)}{{part="{part.name}"}}'
        yield f"`{name}`", Kind.SUMMARY.value, part.text, ""


def _full(name: str, kind: Kind) -> str:
    return f"campuscard_{name}{'_total' if kind is Kind.COUNTER else ''}"


# -- configuration --------------------------------------------------------------------------------

CONFIGURATION_INTRO: Final = """\
# Configuration

One TOML file, by default `./campuscard.toml`; `campuscard init` writes one. Paths in it are relative
to its directory. Unknown names and values out of range are refused with the field's name:
`campuscard config check`. What is in force: `campuscard config show --explain`.

```toml
[server]
address = "127.0.0.1:50051"

[data]
directory = "data"
key_file = "campuscard.key"
```

Any field may be set by the environment too, which wins over the file: `server.address` is
`CAMPUSCARD_SERVER__ADDRESS`. Addresses must be loopback: as long as terminals have no
certificates, everybody who can connect may call as a terminal.
"""


def configuration_page() -> Iterator[str]:
    """Yield the lines of configuration.md."""
    yield BANNER.format(source="server/config.py")
    yield from CONFIGURATION_INTRO.splitlines()
    fields = list(explain(Settings.model_construct()))
    for name, info in Settings.model_fields.items():
        yield from ("", f"## [{name}]", "", type(info.default).__doc__ or "", "")
        yield from table(
            ("field", "default", "range", "unit", "meaning"),
            (
                (
                    f"`{field.name}`",
                    "" if field.default in {None, ""} else f"`{_toml(field.default)}`",
                    field.bounds,
                    field.unit,
                    field.description,
                )
                for field in fields
                if field.name.startswith(f"{name}.")
            ),
        )


def _toml(value: object) -> str:
    """Write a default as the file would have it."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) else f'"{value}"'


# -- commands -------------------------------------------------------------------------------------

COMMANDS_INTRO: Final = """\
# Commands

`campuscard COMMAND --help` says the same, in Chinese where `LANG` is Chinese or with `--lang zh`.
Where a command takes `--output json` it prints one JSON value on standard output and nothing else
there; a failure is `{"error": {"reason", "text", "next"}}`. Notes and progress go to standard error.
"""


def commands_page() -> Iterator[str]:
    """Yield the lines of commands.md."""
    yield BANNER.format(source="clients/admin")
    yield from COMMANDS_INTRO.splitlines()
    yield from ("", EXIT_CODES, "")
    root: Any = get_command(app)
    context = root.context_class(root, info_name="campuscard")
    for name in root.list_commands(context):
        yield from command_lines(root.get_command(context, name), context)


def command_lines(command: Any, above: Any) -> Iterator[str]:
    """Yield a command's part of the page, and those of its subcommands."""
    context = command.context_class(command, info_name=command.name, parent=above)
    yield from (f"## {context.command_path}", "", command.help or "", "")
    usage = f"{context.command_path} {' '.join(command.collect_usage_pieces(context))}"
    yield from ("```text", usage.strip(), "```", "")
    rows = [
        (f"`{found[0]}`", " ".join(found[1].split()))
        for parameter in command.get_params(context)
        if (found := parameter.get_help_record(context)) is not None
    ]
    if rows:
        yield from table(("argument or option", "meaning"), rows)
    lines = [line.strip() for line in (command.epilog or "").splitlines() if line.strip()]
    if lines:
        yield from ("```text", *lines[1:], "```", "")
    for name in getattr(command, "commands", {}):
        yield from command_lines(command.get_command(context, name), context)


# -- writing --------------------------------------------------------------------------------------

SOURCES: Final[dict[str, Callable[[], Iterator[str]]]] = {
    "reference/errors.md": errors_page,
    "reference/metrics.md": metrics_page,
    "reference/configuration.md": configuration_page,
    "reference/commands.md": commands_page,
    "reference/card-states.md": card_states_page,
    "reference/parameters.md": parameters_page,
    "reference/permissions.md": permissions_page,
    "regulation.md": regulation_page,
}


def page(name: str) -> str:
    """Return the text of one page."""
    lines = [line.rstrip() for line in SOURCES[name]()]
    kept = [line for at, line in enumerate(lines) if line or (at and lines[at - 1])]
    return "\n".join(kept).rstrip("\n") + "\n"


def main() -> None:
    """Write the pages that differ."""
    parser = argparse.ArgumentParser(
        description="Make the pages of docs that are tables of the code."
    )
    parser.add_argument("directory", nargs="?", type=Path, default=PAGES)
    directory: Path = parser.parse_args().directory
    for name in SOURCES:
        path, text = directory / name, page(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path}")


if __name__ == "__main__":
    main()
