"""Words that belong to invented patients, and a search for them in everything a test run leaves beside the records.

``tests/conftest.py`` takes the hooks. The search covers every test, at every worker: what a passing test wrote to its
log, the logs of hubs that ran as processes, what an error answered, addresses that an answer leads to, the keys and
values of Valkey, and the figures of each process. ``tests/app/test_canary.py`` looks into one case in depth.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import httpx
import pytest
from prometheus_client import generate_latest
from redis import Redis

WORDS = ("Zqxwvolo", "Kanari", "011099887766", "0987612349", "Lò Thị Thử Nghiệm", "Lường Thị Canh")
"""Names, a number of a card and of a telephone, complaints, notes and medicines of the suite's patients."""
FOLDER = "CLINIC_NET_TEST_TRACES"
"""Names the folder that all workers of a run share."""
_SECTIONS = ("stdout", "stderr", "log")
_LEADING = ("location", "content-location", "hx-redirect", "hx-push-url", "link", "content-disposition")

_found: list[str] = []


def found_in(text: str) -> list[str]:
    """Return the words in a text, in any case and however it is escaped."""
    plain = text.encode().decode("unicode_escape", "replace").casefold() if "\\" in text else ""
    folded = text.casefold()
    return [word for word in WORDS if word.casefold() in folded or word.casefold() in plain]


def folder() -> Path | None:
    named = os.environ.get(FOLDER)
    return Path(named) if named else None


def leave(name: str, text: str) -> None:
    """Leave something to be searched when the run ends."""
    to = folder()
    if to is not None:
        with (to / name).open("a", encoding="utf-8", errors="replace") as file:
            file.write(text + "\n")


def _look_at(answer: httpx.Response, body: str) -> None:
    headers = " ".join(answer.headers.get(name, "") for name in _LEADING)
    told = headers + (body if answer.status_code >= 400 else "")
    if found_in(told):
        test = os.environ.get("PYTEST_CURRENT_TEST", "").partition(" ")[0]
        leave("answers.txt", f"{answer.status_code} in {test}: {found_in(told)}")


@pytest.fixture(scope="session", autouse=True)
def answers_are_looked_at() -> Iterator[None]:
    """Look at what every error that a test is answered says, and where every answer leads."""
    asynchronous, plain = httpx.AsyncClient.send, httpx.Client.send

    async def send(self: httpx.AsyncClient, request: httpx.Request, **how: Any) -> httpx.Response:
        answer = await asynchronous(self, request, **how)
        if not how.get("stream"):
            _look_at(answer, answer.text if answer.status_code >= 400 else "")
        return answer

    def send_plain(self: httpx.Client, request: httpx.Request, **how: Any) -> httpx.Response:
        answer = plain(self, request, **how)
        if not how.get("stream"):
            _look_at(answer, answer.text if answer.status_code >= 400 else "")
        return answer

    patch = pytest.MonkeyPatch()
    patch.setattr(httpx.AsyncClient, "send", send)
    patch.setattr(httpx.Client, "send", send_plain)
    yield
    patch.undo()


def leave_traces_of(redis_url: str, worker: str) -> None:
    """Leave what Valkey holds and the figures of this process, when a worker's servers end."""
    with Redis.from_url(redis_url, decode_responses=True) as redis:
        readers: dict[str, Callable[[str], Any]] = {
            "string": redis.get, "hash": redis.hgetall, "set": redis.smembers,
            "list": lambda key: redis.lrange(key, 0, -1), "zset": lambda key: redis.zrange(key, 0, -1),
        }  # fmt: skip
        for key in redis.scan_iter(count=1000):
            kind = str(redis.type(key))
            leave("valkey.txt", f"{key} {readers[kind](key) if kind in readers else ''}")
    leave(f"metrics-{worker}.txt", generate_latest().decode())


# -- hooks of the run


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput") and folder() is None:
        os.environ[FOLDER] = mkdtemp(prefix="clinic-net-traces-")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Search what a test that passed wrote. One that failed shows the very values that it compared."""
    if report.passed:
        for title, text in report.sections:
            if any(kind in title for kind in _SECTIONS) and (words := found_in(text)):
                _found.append(f"{report.nodeid} ({title}): {words}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Search what the workers left, and fail the run that left a patient's word anywhere."""
    to = folder()
    if hasattr(session.config, "workerinput") or to is None:
        return
    for path in sorted(to.iterdir()):
        for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1):
            if found_in(line):
                _found.append(f"{path.name}:{number}: {line[:300]}")
    if _found and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if _found:
        terminalreporter.section("a patient's words were left outside the records", red=True)
        for line in _found[:50]:
            terminalreporter.line(line)
