"""A bad link (``bench/weather.py``) in a thread of its own, for tests that drive processes."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from clinic_net.bench.weather import BadLink


@contextmanager
def bad_link(port: int) -> Iterator[BadLink]:
    """Relay to a port of loopback while the block runs. Its ``weather`` may be changed from any thread."""
    link = BadLink("127.0.0.1", port)
    opened, over = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def stay() -> None:
        async with link.open():
            opened.set()
            await over.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(stay()), name="bad link", daemon=True)
    thread.start()
    assert opened.wait(10)
    try:
        yield link
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(20)
        loop.close()
