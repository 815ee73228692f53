"""One JSON object a line on standard output, whoever logs: our own events, the libraries', and tracebacks without their variables.

Nothing here looks for secrets in text: what is secret is a SecretStr from the moment it arrives, and a SecretStr is written as
asterisks wherever it stands, also inside of what is logged.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, NoReturn, TextIO

import structlog
from pydantic import BaseModel, SecretBytes, SecretStr
from structlog.typing import EventDict, Processor, WrappedLogger

QUIET = ("kopf", "aiohttp", "httpx", "httpcore", "asyncio", "uvicorn")
"""Libraries that are heard from WARNING on: below, they log a line a request, URLs with codes among them, and whole objects."""

_REDACTED = "**********"
_write_out = structlog.processors.JSONRenderer(default=str)


class Lines(logging.StreamHandler[TextIO]):
    """Where all lines go. An event of ours is complete when it comes here, and goes through no record of the standard library."""

    def write(self, logger: WrappedLogger, method: str, event: EventDict) -> NoReturn:
        """Write an event, as the last of its processors. One that cannot be written stops nobody, as no record does."""
        self.acquire()
        try:
            self.stream.write(str(_write_out(logger, method, event)) + self.terminator)
            self.flush()
        except Exception:  # noqa: BLE001
            self.handleError(logging.makeLogRecord({"msg": event}))
        finally:
            self.release()
        raise structlog.DropEvent  # nothing is left to do for the logger


def configure(level: str) -> None:
    """Send everything of `level` and above through one handler. Called once, by the process."""
    lines = Lines(sys.stdout)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.StackInfoRenderer(),
        # The plain traceback: the structured one writes the local variables of every frame.
        structlog.processors.format_exc_info,
        redact,
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, lines.write],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    lines.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _write_out],
        )
    )
    logging.basicConfig(level=level, handlers=[lines], force=True)
    logging.captureWarnings(capture=True)
    for library in QUIET:
        logging.getLogger(library).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.access").disabled = True


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Write asterisks for every SecretStr of an event, however deep it lies."""
    return {name: _redacted(value) for name, value in event.items()}


def _redacted(value: Any) -> Any:  # noqa: ANN401  # whatever is logged
    match value:
        case str() | int() | None:
            return value  # as nearly always
        case SecretStr() | SecretBytes():
            return _REDACTED
        case BaseModel():
            return type(value).__name__  # it may keep members that it does not know, and a server chose those
        case Mapping():
            return {str(name): _redacted(held) for name, held in value.items()}
        case list() | tuple() | AbstractSet():
            return [_redacted(held) for held in value]
        case _:
            return value
