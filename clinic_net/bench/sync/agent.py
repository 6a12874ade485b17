"""The real station agent as a process, behind a link that is counted and can be bad."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from clinic_net.access import service as access
from clinic_net.bench import machine
from clinic_net.bench.communes import Resource
from clinic_net.bench.hub import MeasuredHub, NoHub, free_port
from clinic_net.bench.weather import BadLink, Weather
from clinic_net.kernel import clock
from clinic_net.kernel.hub import open_hub

_STOP_WITHIN_S = 30.0


class AgentFailed(NoHub):
    """The agent did not do what it was told; the message says what."""


@dataclass
class Agent:
    """A station's folder, and the process that runs on it."""

    folder: Path
    hub: str
    process: asyncio.subprocess.Process | None = None

    async def enrol(self, code: str) -> None:
        """Make this folder a station's.

        Raises:
            AgentFailed: the hub refuses.
        """
        await _done(
            "station_agent.cli", "enrol", "--hub", self.hub, "--code", code, "--data", str(self.folder)
        )

    async def save(self, saved: Iterable[Sequence[Resource]]) -> int:
        """Save records as the desk does, each list in a transaction of its own; return how many there were."""
        lines = "".join(f"{json.dumps(list(together), ensure_ascii=False)}\n" for together in saved)
        said = await _done("station_agent.measured", "save", "--data", str(self.folder), given=lines.encode())
        return int(json.loads(said)["saved"])

    @asynccontextmanager
    async def running(self, via: str, *, core: int | None = None) -> AsyncIterator["Agent"]:
        """Run the agent, reaching the hub at ``via``; on one processor only, if ``core`` names it."""
        pinned = () if core is None else ("taskset", "-c", str(core))
        with (self.folder / "bench.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *pinned, sys.executable, "-m", "station_agent.cli", "run", "--data", str(self.folder),
                "--port", str(free_port()), "--via", via,
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            yield self
        finally:
            self.process.terminate()
            try:
                await asyncio.wait_for(self.process.wait(), _STOP_WITHIN_S)
            except TimeoutError:
                self.process.kill()
                await self.process.wait()

    async def held(self, records: int, within: float) -> float:
        """Wait until the store holds so many records; return the seconds it took.

        Raises:
            AgentFailed: it does not, in ``within`` seconds.
        """
        began = clock.monotonic()
        looking = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "station_agent.measured", "held", "--data", str(self.folder), "--until", str(records),
            stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            await asyncio.wait_for(looking.wait(), within)
        except TimeoutError:
            looking.kill()
            raise AgentFailed("the station did not get its records in time") from None
        return clock.monotonic() - began

    def resident(self) -> int:
        """Return the bytes that the process holds."""
        assert self.process is not None
        return machine.held(self.process.pid)

    def spent(self) -> float:
        """Return the processor seconds of the process so far."""
        assert self.process is not None
        return machine.spent(machine.tree(self.process.pid))


async def _done(module: str, *arguments: str, given: bytes = b"") -> str:
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=dict(os.environ),  # noqa: TID251 -- a child's, handed on
    )  # fmt: skip
    out, err = await running.communicate(given)
    if running.returncode:
        raise AgentFailed(
            f"{arguments[0]} ended with {running.returncode}: {err.decode(errors='replace')[-400:]}"
        )
    return out.decode()


async def code_for(hub: MeasuredHub, site: str) -> str:
    """Return an enrolment code of a site of a hub that was started here.

    Raises:
        NoHub: it was not.
    """
    if hub.settings is None:
        raise NoHub("an agent can be measured at a hub that is started for it only")
    async with open_hub(hub.settings) as opened, opened.sessions() as session, session.begin():
        code, _ = await access.issue_code(
            session, site, by="operator:bench", now=clock.now(), key=hub.settings.token_key
        )
    return code


def link_to(hub: MeasuredHub, *, rate: float | None = None) -> BadLink:
    """Return a link to the hub that carries ``rate`` bytes a second in each direction."""
    address = urlsplit(hub.url)
    return BadLink(address.hostname or "127.0.0.1", address.port or 80, Weather(rate=rate))
