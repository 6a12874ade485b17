"""Telling the service manager that the agent works (sd_notify(3)): one datagram, no library."""

import contextlib
import socket
from collections.abc import Callable

Tell = Callable[[str], None]


def teller(address: str | None) -> Tell:
    """Return what sends a state (``READY=1``, ``WATCHDOG=1``) to ``NOTIFY_SOCKET``; without one, to nobody."""
    if not address:
        return lambda _: None
    target = "\0" + address[1:] if address.startswith("@") else address

    def tell(state: str) -> None:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.sendto(state.encode(), target)

    return tell
