"""A station at work while something fails."""

import threading
import time

from tests.e2e.support import Network, Nurse, Site, until


class Busy:
    """A nurse who registers one patient after another, whatever happens to the hub."""

    def __init__(self, nurse: Nurse) -> None:
        self._nurse = nurse
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self.saved: list[str] = []
        self.slowest = 0.0

    def __enter__(self) -> "Busy":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._enough.wait(0.1):
            began = time.monotonic()
            number = len(self.saved)
            self.saved.append(self._nurse.register(f"Lò Thị Số {number}", allergies="Penicillin"))
            self.slowest = max(self.slowest, time.monotonic() - began)

    def everything_arrives(self, network: Network, site: Site) -> None:
        """See that the station comes back by itself, and that all it saved is at the hub, once."""
        until("the station is back by itself", lambda: self._nurse.link() == "online", seconds=60)
        until("nothing waits", lambda: self._nurse.waiting() == 0, seconds=60)
        taken = site.acknowledged()
        assert self.saved
        assert {("Patient", rid) for rid in self.saved} <= taken.keys()
        assert self._nurse.status()["refused"] == []
        assert network.missing(taken) == []
