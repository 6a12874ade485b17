"""One JSON line a step, with its time; a step that fails ends the check."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class StepFailed(Exception):
    """A step did not come true; the message says what was seen instead."""


class Report:
    """Prints the steps as they come true."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self.steps: list[str] = []

    @contextmanager
    def step(self, name: str) -> Iterator[dict[str, object]]:
        """Time a step; put facts worth printing into what this gives."""
        began = time.monotonic()
        facts: dict[str, object] = {}
        try:
            yield facts
        except Exception as failure:
            self._print(
                name, began, {**facts, "ok": False, "failure": f"{type(failure).__name__}: {failure}"[:600]}
            )
            raise StepFailed(name) from failure
        self.steps.append(name)
        self._print(name, began, {"ok": True, **facts})

    def _print(self, name: str, began: float, facts: dict[str, object]) -> None:
        now = time.monotonic()
        line = {"step": name, "seconds": round(now - began, 3), "at": round(now - self._began, 3), **facts}
        print(json.dumps(line, ensure_ascii=False, default=str), flush=True)


def until(what: str, look: Callable[[], T | None], *, seconds: float = 30, every: float = 0.1) -> T:
    """Look again and again until something is seen, and return it.

    Raises:
        TimeoutError: nothing was seen in time.
    """
    end = time.monotonic() + seconds
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds:.0f} s: {what}")
        time.sleep(every)
