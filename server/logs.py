"""The log: structured, on standard error, without secrets and without people."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from structlog.typing import EventDict, Processor, WrappedLogger

    from server.config import LogSettings

SECRET_KEYS: Final = frozenset(
    {
        "pin",
        "old_pin",
        "new_pin",
        "password",
        "key",
        "token",
        "name",
        "class_name",
        "id_number",
        "payload",
        "message",
    }
)
"""Keys whose values never reach the log."""

REDACTED: Final = "***"


def configure(settings: LogSettings) -> None:
    """Set up structlog for the process."""
    renderer: Processor
    if settings.format == "json":
        renderer = structlog.processors.JSONRenderer(ensure_ascii=False)
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            redact,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelName(settings.level.upper())
        ),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Blank the values of secret keys, also inside mappings."""
    _blank(event)
    return event


def _blank(values: MutableMapping[str, object]) -> None:
    for key, value in values.items():
        if key in SECRET_KEYS:
            values[key] = REDACTED
        elif isinstance(value, dict):
            values[key] = inner = dict(value)
            _blank(inner)
