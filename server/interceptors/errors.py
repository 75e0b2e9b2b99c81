"""Nothing leaves a call but a reason of the catalogue.

Refusals of papers, of the engine and of the decoder become their rich status. Everything else is a
fault of ours: it is logged under an incident number and answered INTERNAL with that number.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import structlog

from core.refusals import Refusal
from ext.errors import Malformed, Refused
from server.errors_map import refusal_of, status_of
from server.interceptors.wrapping import Guard

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_log = structlog.get_logger("campuscard.rpc")


class ErrorsGuard(Guard):
    """Turns every exception into a status of the catalogue."""

    @asynccontextmanager
    async def around(
        self, method: str, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[None]:
        """Catch what a call raises."""
        try:
            yield
        except (asyncio.CancelledError, GeneratorExit, grpc.aio.AbortError):
            raise
        except (Refused, Malformed) as error:
            await context.abort_with_status(status_of(refusal_of(error)))
        except Refusal as refusal:
            await context.abort_with_status(status_of(refusal))
        except Exception as error:  # noqa: BLE001 - this is where everything ends
            incident = secrets.token_hex(6)
            _log.exception(
                "call_failed", method=method, incident=incident, error=type(error).__name__
            )
            await context.abort_with_status(status_of(Refusal("INTERNAL"), incident=incident))
