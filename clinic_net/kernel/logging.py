"""Structured logs. An event is a constant name with declared keys; nothing about a patient is a key.

Keys not on the list are dropped and counted, so that a new key is a decision, not an accident.
"""

import logging
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import orjson
import structlog

SAFE_KEYS = frozenset(
    {
        "event", "level", "timestamp", "logger", "error", "code", "doing", "task", "topic", "route", "method",
        "status", "ms", "node", "port", "count", "kind", "state", "tier", "rev", "reason", "station", "facility",
        "device", "session", "consultation", "chart", "version", "lane", "bytes", "address", "exc_info", "exception",
        "role", "attempt", "service", "seconds", "path_template", "dropped_keys", "account", "place",
    }
)  # fmt: skip


def _keep_safe_keys(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    dropped = [key for key in event if key not in SAFE_KEYS]
    for key in dropped:
        del event[key]
    if dropped:
        event["dropped_keys"] = len(dropped)
    return event


def where(failure: BaseException) -> str:
    """Return the line that raised, as ``module.py:123``: what an engineer needs and no patient is in."""
    at = failure.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    if at is None:
        return "unknown"
    return f"{Path(at.tb_frame.f_code.co_filename).name}:{at.tb_lineno}"


class _ThroughStructlog(logging.Handler):
    """Say what libraries log in our form: who, how bad, which exception. Their messages quote what they worked on."""

    def emit(self, record: logging.LogRecord) -> None:
        failure = record.exc_info[1] if record.exc_info else None
        level = record.levelname.lower()
        told = structlog.get_logger()
        say = told.error if record.levelno >= logging.ERROR else told.warning
        say(
            "library_log",
            logger=record.name,
            kind=level,
            error=type(failure).__name__ if failure else None,
            place=where(failure) if failure else None,
        )


def _as_json(event: object, **_: Any) -> str:
    return orjson.dumps(event, default=str).decode()


def configure(*, json: bool) -> None:
    """Set up the process's logs, on standard error: standard output holds a command's answer and nothing else.

    Libraries' own loggers stay at warnings.
    """
    logging.basicConfig(level=logging.WARNING, handlers=[_ThroughStructlog()])
    logging.captureWarnings(True)  # a warning quotes too: pydantic's hold the value that it warns of
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _keep_safe_keys,
            structlog.processors.JSONRenderer(serializer=_as_json)
            if json
            else structlog.dev.ConsoleRenderer(colors=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=True,
    )
