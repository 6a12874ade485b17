"""Bytes on the wire, as the system counts them below TLS: ``TCP_INFO`` of the connections, before and after.

Where a system has no such count (anything but Linux, a transport without a socket), headers and bodies are counted.
"""

import socket
import struct
import sys
from collections.abc import Mapping
from typing import Any

_TCP_INFO = getattr(socket, "TCP_INFO", 11)
_ACKED_AND_RECEIVED = struct.Struct("=QQ")
_OFFSET = 120
"""``tcpi_bytes_acked`` and ``tcpi_bytes_received`` in ``struct tcp_info`` (Linux 4.1, include/uapi/linux/tcp.h)."""


def counted(raw: Any) -> tuple[int, int] | None:
    """Return the bytes (acknowledged, received) of a connected socket since it was made, or None."""
    if sys.platform != "linux":
        return None
    try:
        told = raw.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 256)
    except (OSError, ValueError, AttributeError):
        return None
    if len(told) < _OFFSET + _ACKED_AND_RECEIVED.size:
        return None
    acked, received = _ACKED_AND_RECEIVED.unpack_from(told, _OFFSET)
    return acked, received


class Meter:
    """Counts what one exchange after the other costs, over all connections it has heard of."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, tuple[int, int]]] = {}
        self._up = self._down = 0
        self._counts = False

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Hear from the HTTP client what its connections do; one that is about to end is looked at before."""
        if event == "connection.connect_tcp.complete":
            self.heard(info.get("return_value"))
        self.look()

    def heard(self, stream: Any) -> None:
        """Count a connection from its first byte on, if the system can."""
        raw = stream.get_extra_info("socket") if hasattr(stream, "get_extra_info") else None
        if raw is not None and id(raw) not in self._known and counted(raw) is not None:
            self._known[id(raw)] = (raw, (0, 0))

    def look(self) -> None:
        """Add what the connections carried since the last look."""
        for key, (raw, (up, down)) in list(self._known.items()):
            now = counted(raw)
            if now is None:
                del self._known[key]
                continue
            self._counts = True
            self._up += max(0, now[0] - up)
            self._down += max(0, now[1] - down)
            self._known[key] = (raw, now)

    def take(self, fallback: tuple[int, int]) -> tuple[int, int]:
        """Return the bytes (up, down) since the last time; ``fallback`` where nothing can be counted."""
        self.look()
        told = (self._up, self._down) if self._counts else fallback
        self._up = self._down = 0
        self._counts = bool(self._known)
        return told
