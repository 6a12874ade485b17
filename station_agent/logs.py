"""Logging that cannot tell about patients: of an error, its type and where it was, never its words."""

import sys
import traceback
from types import TracebackType
from typing import TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger

Failure = tuple[type[BaseException], BaseException, TracebackType | None]


def bare_exception(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Put ``error`` (type) and ``at`` (file:line, innermost last) in the place of ``exc_info``."""
    failure = event.pop("exc_info", None)
    if failure is True:
        failure = sys.exc_info()
    if isinstance(failure, BaseException):
        failure = (type(failure), failure, failure.__traceback__)
    if isinstance(failure, tuple) and failure[0] is not None:
        frames = traceback.extract_tb(failure[2])[-6:]
        event["error"] = failure[0].__name__
        event["at"] = [f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}" for frame in frames]
    return event


def log_to(stream: TextIO) -> None:
    """Log one JSON object a line."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            bare_exception,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(20),
        logger_factory=structlog.PrintLoggerFactory(stream),
    )
