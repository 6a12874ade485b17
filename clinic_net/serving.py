"""The HTTP server of a hub process: uvicorn, which lets the sockets' peers go in order before it stops."""

import argparse
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from clinic_net.kernel.listening import BoundedHttp
from clinic_net.kernel.proxies import TrustedProxies

HOW: dict[str, Any] = {
    "log_level": "warning",
    "access_log": False,  # uvicorn's prints query strings
    "log_config": None,  # uvicorn's own prints tracebacks, which quote what was being worked on
    "http": BoundedHttp,
    "server_header": False,
    "ws": "websockets-sansio",
    "ws_per_message_deflate": False,  # 42 KiB a socket
    "ws_max_size": 64 * 1024,
    "ws_ping_interval": 25,
    "ws_ping_timeout": 40,
    "timeout_graceful_shutdown": 10,
    "timeout_keep_alive": 75,  # stations pull once a minute: each new connection costs them kilobytes
    "proxy_headers": False,  # TrustedProxies reads them, and more of them
}
"""How every hub process is served."""

_NOT_STARTED = 3
"""Exit code when the address is taken or the application does not start; uvicorn's own."""


class Server(uvicorn.Server):
    """uvicorn that says ``bye`` first.

    By itself it closes every WebSocket with 1012 before the application hears of the end, and 14,000 stations come
    back in the same second. The node's ``bye`` tells each one when.
    """

    def __init__(
        self, app: FastAPI, *, trusted_proxies: Sequence[str] = ("127.0.0.1",), **options: Any
    ) -> None:
        told = TrustedProxies(app, trusted=list(trusted_proxies))
        super().__init__(uvicorn.Config(told, **HOW | options))
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, let signalling's peers go, then stop as uvicorn does."""
        for server in self.servers:
            server.close()
        node = getattr(self._app.state, "signalling", None)
        if node is not None and not self.force_exit:
            await node.drain()
        await super().shutdown(sockets)


def serve(app: FastAPI, *, sockets: list[socket.socket] | None = None, **options: Any) -> None:
    """Serve until SIGINT or SIGTERM, at ``sockets`` or an address of its own. ``options`` are ``uvicorn.Config``'s."""
    server = Server(app, **options)
    with suppress(KeyboardInterrupt):  # uvicorn raises the signal once more when it has stopped
        server.run(sockets)
    if not server.started:
        raise SystemExit(_NOT_STARTED)


def add_arguments(made: argparse.ArgumentParser) -> None:
    """Add what ``clinic-net serve`` takes."""
    made.add_argument("--host", default="127.0.0.1")
    made.add_argument("--port", type=int, default=8080)
    made.add_argument(
        "--trusted-proxy",
        action="append",
        default=[],
        metavar="ADDRESS",
        help="whose X-Forwarded-* and Forwarded are believed: an address or a network; may be given several times",
    )
    made.add_argument("--tls-cert", type=Path, metavar="FILE", help="serve https: certificate chain, PEM")
    made.add_argument("--tls-key", type=Path, metavar="FILE", help="and its private key")
    made.add_argument("--no-worker", action="store_true", help="leave background work to `clinic-net worker`")
    made.add_argument(
        "--processes",
        type=int,
        default=1,
        metavar="N",
        help="how many share the port; one uses one processor",
    )
    made.add_argument("--lifeline", type=int, help=argparse.SUPPRESS)
