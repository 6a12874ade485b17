"""How the link is, for pages and technicians."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class LinkState(StrEnum):
    UNENROLLED = "unenrolled"
    CONNECTING = "connecting"
    ONLINE = "online"
    OFFLINE = "offline"
    REVOKED = "revoked"
    """The hub no longer takes this device; the station goes on working by itself."""
    OUTDATED = "outdated"
    """The hub speaks only versions that this program does not know."""


STICKY = frozenset({LinkState.REVOKED, LinkState.OUTDATED})


@dataclass
class Link:
    """The link's state and who wants to know of a change. ``reason`` is a word for a technician."""

    state: LinkState = LinkState.CONNECTING
    since: datetime | None = None
    reason: str = ""
    _watchers: list[Callable[[], None]] = field(default_factory=list)

    def watch(self, told: Callable[[], None]) -> None:
        """Call ``told`` after each change."""
        self._watchers.append(told)

    def now_is(self, state: LinkState, *, at: datetime, reason: str = "") -> None:
        """Note a state; tells the watchers if it is another one."""
        if state is self.state:
            return
        self.state, self.since, self.reason = state, at, reason
        for told in self._watchers:
            told()
