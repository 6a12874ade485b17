"""A thread that notices a server's death and has it brought back, for as long as the hub runs."""

from collections.abc import Callable
from threading import Event, Thread

import structlog

log = structlog.get_logger()

_NOT_BACK = "embedded_services_not_back"

_LOOK_EVERY = 0.25
_WAIT_AT_MOST = 30.0
"""Seconds. After a failed attempt the next one waits twice as long as the last."""


class Watch:
    """Calls ``repair`` whenever ``well`` says no. A look costs two reads of ``/proc``, no connection.

    ``repair`` may fail (a full disk, a folder that was moved): that is logged, and tried again later.
    """

    def __init__(self, *, well: Callable[[], bool], repair: Callable[[], None]) -> None:
        self._well = well
        self._repair = repair
        self._ended = Event()
        self._thread = Thread(target=self._run, name="embedded-watch", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; an attempt that has begun is waited for."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        attempt = 0
        while not self._ended.wait(min(_LOOK_EVERY * 2**attempt, _WAIT_AT_MOST)):
            if self._well():
                attempt = 0
                continue
            try:
                self._repair()
                attempt = 0
            except Exception as failure:  # noqa: BLE001 -- the watch outlives whatever a start may meet
                attempt += 1
                log.warning(_NOT_BACK, attempt=attempt, error=type(failure).__name__)
