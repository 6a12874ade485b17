"""Two doors to the same pages: plain HTTP on loopback, TLS on the network for devices that hold a certificate."""

import asyncio
import contextlib
import ssl
from collections.abc import Iterator
from typing import Any

import uvicorn
from starlette.applications import Starlette

from station_agent.lan.authority import Files

HOW: dict[str, Any] = {
    "log_config": None,
    "access_log": False,
    "ws": "websockets-sansio",
    "ws_per_message_deflate": False,
    "timeout_graceful_shutdown": 3,
    "server_header": False,
}


class _Beside(uvicorn.Server):
    """A server that leaves the process's signals to the other one."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def door(app: Starlette, host: str, port: int, files: Files) -> uvicorn.Server:
    """Return the network's door: TLS 1.2 or newer, and a certificate of the station's authority at the other end."""
    config = uvicorn.Config(
        app, host=host, port=port, ssl_certfile=files.chain, ssl_keyfile=files.key,
        ssl_ca_certs=str(files.trusted), ssl_cert_reqs=ssl.CERT_REQUIRED, lifespan="off", **HOW,
    )  # fmt: skip
    config.load()
    assert config.ssl is not None
    config.ssl.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    return _Beside(config)


def run(app: Starlette, host: str, port: int, beside: uvicorn.Server | None, *, over: asyncio.Event) -> None:
    """Serve on loopback, and at the door beside it, until told to stop or until it is over."""
    main = uvicorn.Server(uvicorn.Config(app, host=host, port=port, **HOW))

    async def watch() -> None:
        await over.wait()
        main.should_exit = True

    async def both() -> None:
        watching = asyncio.create_task(watch())
        other = asyncio.create_task(beside.serve()) if beside is not None else None
        try:
            await main.serve()
        finally:
            watching.cancel()
            if beside is not None and other is not None:
                beside.should_exit = True
                await other

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(both())
