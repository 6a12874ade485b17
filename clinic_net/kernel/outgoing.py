"""The one door through which the hub calls other servers: to hosts that are configured, and to nobody else.

A name is resolved once, every address that it has is checked, and the connection goes to a checked address, while TLS
still proves the name: so a name that points elsewhere a moment later (DNS rebinding) leads nowhere. Redirects are not
followed, an answer is bounded in size and time, and no credential of a request leaves with another.
"""

import asyncio
import http.client
import ipaddress
import json
import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from clinic_net.kernel.errors import Forbidden, Unavailable

TIMEOUT_S = 3.0
"""For the whole of a call (ASVS 5.0 §13.1.3: every outgoing call has a limit that is written down)."""

MOST_BYTES = 256 * 1024

Resolver = Callable[[str, int], list[str]]


class HostNotAllowed(Forbidden):
    """A call to a host that is not configured, or to an address inside the hub's own network."""

    code = "outgoing-host-not-allowed"

    def __init__(self) -> None:
        super().__init__("this hub does not call that address")


class OutgoingFailed(Unavailable):
    """The other server did not answer, not in time, too much, with a redirect or with an error."""

    code = "outgoing-failed"

    def __init__(self, status: int = 0) -> None:
        super().__init__("another server did not answer as it should")
        self.status = status


@dataclass(frozen=True)
class Target:
    """A checked address: where to connect, and what to say there."""

    scheme: str
    host: str
    address: str
    port: int
    path: str


def resolved(host: str, port: int) -> list[str]:
    """Return the addresses of a name, as the system knows them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_public(address: str) -> bool:
    """Whether an address is a host on the open Internet: not private, loopback, link-local, multicast or reserved.

    An IPv4 address that an IPv6 one carries (mapped, 6to4, NAT64) counts as itself.
    """
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if inner is None and ip in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast


class Outgoing:
    """Calls to the hosts of ``allowed`` (lower case, with a port where it is not the scheme's own).

    ``loopback`` lets the tests and the demo call servers on this computer, over plain HTTP; it opens nothing else.
    """

    def __init__(
        self, allowed: frozenset[str], *, loopback: bool = False, resolve: Resolver = resolved
    ) -> None:
        self._allowed = allowed
        self._loopback = loopback
        self._resolve = resolve

    def target(self, url: str) -> Target:
        """Check an address and resolve it.

        Raises:
            HostNotAllowed: its host is not allowed, or one of its addresses is not out there.
            OutgoingFailed: the name is not known.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise HostNotAllowed from None
        if parts.scheme not in ("http", "https") or parts.netloc.lower() not in self._allowed or not host:
            raise HostNotAllowed
        port = port or (443 if parts.scheme == "https" else 80)
        try:
            addresses = self._resolve(host, port)
        except OSError:
            raise OutgoingFailed from None
        local = self._loopback and all(_is_loopback(address) for address in addresses)
        if not addresses or not (local or (parts.scheme == "https" and all(map(is_public, addresses)))):
            raise HostNotAllowed
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return Target(parts.scheme, host, addresses[0], port, path)

    async def fetch(self, url: str) -> dict[str, Any]:
        """Return the JSON object at an address.

        Raises:
            HostNotAllowed, OutgoingFailed: see :meth:`target`; or there is none.
        """
        return await self._call(url, "GET", None, {})

    async def post(
        self, url: str, form: Mapping[str, str], headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Send a form and return the JSON object that is answered.

        Raises:
            HostNotAllowed, OutgoingFailed: see :meth:`fetch`.
        """
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return await self._call(url, "POST", urlencode(form), kind | dict(headers or {}))

    async def _call(
        self, url: str, method: str, body: str | None, headers: Mapping[str, str]
    ) -> dict[str, Any]:
        opened: list[socket.socket] = []

        def work() -> dict[str, Any]:
            return _exchange(self.target(url), method, body, headers, opened)

        try:
            return await asyncio.wait_for(asyncio.to_thread(work), TIMEOUT_S)
        except TimeoutError:
            for connection in opened:  # the thread that waits for a slow server ends with it
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            raise OutgoingFailed from None


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def _exchange(
    target: Target, method: str, body: str | None, headers: Mapping[str, str], opened: list[socket.socket]
) -> dict[str, Any]:
    """Talk to a checked address; ``opened`` is told of the connection, so that it can be cut."""
    at = target.host if target.port in (80, 443) else f"{target.host}:{target.port}"
    try:
        with socket.create_connection((target.address, target.port), timeout=TIMEOUT_S) as plain:
            talking = plain
            opened.append(plain)
            if target.scheme == "https":
                context = ssl.create_default_context()
                talking = context.wrap_socket(plain, server_hostname=target.host)
                opened.append(talking)
            connection = http.client.HTTPConnection(target.host, target.port, timeout=TIMEOUT_S)
            connection.sock = talking
            try:
                said = {"Host": at, "Accept": "application/json", "User-Agent": "clinic-net", **headers}
                connection.request(method, target.path, body=body, headers=said)
                answer = http.client.HTTPResponse(talking, method=method)
                with closing(answer):
                    answer.begin()
                    content = answer.read(MOST_BYTES + 1)
            finally:
                connection.close()
    except (OSError, http.client.HTTPException, UnicodeError):
        raise OutgoingFailed from None
    if answer.status != 200 or len(content) > MOST_BYTES:
        raise OutgoingFailed(answer.status)
    try:
        found = json.loads(content)
    except ValueError:
        raise OutgoingFailed(answer.status) from None
    if not isinstance(found, dict):
        raise OutgoingFailed(answer.status)
    return found
