"""Both servers and the folder they share."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from types import TracebackType
from typing import Self

import structlog

from clinic_net.kernel import clock
from clinic_net.kernel.embedded import postgres, valkey
from clinic_net.kernel.embedded.accounts import Account, choose_account
from clinic_net.kernel.embedded.errors import DataFolderUnusable, EmbeddedUnavailable
from clinic_net.kernel.embedded.keys import EmbeddedKeys
from clinic_net.kernel.embedded.lease import Lease
from clinic_net.kernel.embedded.postgres import Postgres
from clinic_net.kernel.embedded.valkey import Valkey
from clinic_net.kernel.embedded.watch import Watch

log = structlog.get_logger()

_STARTED = "embedded_services_started"
_ADOPTED = "embedded_services_adopted"
_STOPPED = "embedded_services_stopped"
_BACK = "embedded_services_back"

_LONGEST_SOCKET_PATH = 107
"""Linux ``unix(7)``: 108 bytes with the final zero. macOS has four fewer."""

_SOCKET_NAME_ROOM = max(len(postgres.SOCKET_NAME), len(valkey.SOCKET_NAME)) + 1 + 4
"""A slash, the longer name, and the four bytes of macOS."""


class EmbeddedServices:
    """PostgreSQL and Valkey below one data folder, shared by every process that names the folder.

    ::

        with EmbeddedServices(Path("data")) as services:
            settings = HubSettings(**services.settings)
            with services.watched():
                ...

    The first process starts the servers, the last one to leave stops them; a process that is killed leaves
    servers that the next one adopts. ``durable=False`` is for data that may be lost with the machine (tests):
    it counts when the servers are started, not when they are adopted. Every method is blocking and takes up
    to a second, the very first start two.
    """

    def __init__(self, data: Path, *, durable: bool = True, account: Account | None = None) -> None:
        self._data = data.absolute()
        self._durable = durable
        self._account = account
        self._lease = Lease(self._data / "run")
        self._servers: tuple[Postgres, Valkey] | None = None
        self._keys: EmbeddedKeys | None = None

    @property
    def keys(self) -> EmbeddedKeys:
        """The keys of this data folder, once started."""
        assert self._keys is not None, "not started"
        return self._keys

    @property
    def database_url(self) -> str:
        """``postgresql+psycopg://…``, as the owner of the hub's database, once started."""
        assert self._servers is not None, "not started"
        return self._servers[0].url

    @property
    def redis_url(self) -> str:
        """``unix://…``, once started."""
        assert self._servers is not None, "not started"
        return self._servers[1].url

    @property
    def settings(self) -> dict[str, object]:
        """What ``HubSettings`` needs and nobody configured, once started."""
        return {
            "database": self.database_url,
            "redis": self.redis_url,
            "token_key": self.keys.token_key,
            "token_key_before": self.keys.token_key_before or None,
            "identifier_key": self.keys.identifier_key,
            "identifier_key_before": self.keys.identifier_key_before or None,
            "turn_secret": self.keys.turn_secret,
            "data": self._data,
        }

    def start(self) -> None:
        """Start the servers, or join those that run.

        Errors: :class:`DataFolderUnusable` when a person must change something about the folder,
        :class:`EmbeddedUnavailable` when a server does not start.
        """
        assert self._servers is None, "started twice"
        began = clock.monotonic()
        account = self._account or choose_account()
        self._make_folder(account)
        with self._lease.turn():
            alone = self._lease.join()
            try:
                started = self._ensure(account, alone=alone)
            except BaseException:
                self._leave()
                raise
        seconds = round(clock.monotonic() - began, 3)
        log.info(_STARTED if started else _ADOPTED, account=account.name, seconds=seconds)

    def stop(self) -> None:
        """Leave; the last one to leave stops the servers."""
        with self._lease.turn():
            self._leave()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Bring back, within about a second and at the same address, whichever server dies meanwhile.

        For programs that run for long. Several processes may watch the same servers: who is first starts them.
        A server that hangs is left alone: it may be recovering, and readiness tells of it.
        """
        watch = Watch(well=self._live, repair=self._bring_back)
        watch.start()
        try:
            yield
        finally:
            watch.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @classmethod
    @contextmanager
    def throwaway(cls) -> Iterator[Self]:
        """Run servers in a new folder that any account can reach, and delete it afterwards. For tests."""
        data = Path(tempfile.mkdtemp(prefix="clinic-net-"))
        try:
            with cls(data, durable=False) as services:
                yield services
        finally:
            rmtree(data, ignore_errors=True)

    def _ensure(self, account: Account, *, alone: bool) -> bool:
        """Make both servers run. Returns whether PostgreSQL had to be started."""
        self._keys = EmbeddedKeys.load(self._data)
        sockets = self._sockets(account)
        database = Postgres(self._data / "postgres", sockets, self._keys, account)
        redis = Valkey(self._data / "valkey", sockets, self._keys, account)
        self._servers = (database, redis)
        return self._ensure_running(database, redis, alone=alone)

    def _ensure_running(self, database: Postgres, redis: Valkey, *, alone: bool) -> bool:
        running = database.running()
        if not running:
            if not alone and not self._lease.sees_the_others():
                raise EmbeddedUnavailable(
                    f"another container uses {self._data} and its database does not answer"
                )
            database.start(durable=self._durable)
        if not redis.running():
            redis.start()
        return not running

    def _live(self) -> bool:
        """Return whether both processes live, as far as this process can see them."""
        assert self._servers is not None, "not started"
        return not self._lease.sees_the_others() or all(server.lives() for server in self._servers)

    def _bring_back(self) -> None:
        """Start what died. The turn may have to be waited for: then another process does just that."""
        assert self._servers is not None, "not started"
        began = clock.monotonic()
        with self._lease.turn():
            if self._live():
                return
            if not self._servers[0].made():
                raise DataFolderUnusable(f"the database of {self._data} has been moved or deleted")
            self._ensure_running(*self._servers, alone=False)
        log.warning(_BACK, seconds=round(clock.monotonic() - began, 3))

    def _leave(self) -> None:
        servers, self._servers, self._keys = self._servers, None, None
        if self._lease.leave() and servers is not None:
            for server in reversed(servers):
                server.stop()
            log.info(_STOPPED)

    def _make_folder(self, account: Account) -> None:
        try:
            self._data.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self._data / "run").mkdir(mode=0o700, exist_ok=True)
            if account.switches_user:
                self._data.chmod(self._data.stat().st_mode | 0o011)
        except OSError as problem:
            raise DataFolderUnusable(f"{self._data} cannot be used: {problem.strerror}") from problem

    def _sockets(self, account: Account) -> Path:
        """Return the private folder of the sockets: below the data, or elsewhere if that path cannot be."""
        own = self._data / "sockets"
        fits = len(os.fsencode(own)) + _SOCKET_NAME_ROOM <= _LONGEST_SOCKET_PATH
        if fits and "," not in str(own):  # libpq reads a comma as the end of a host
            account.make_folder(own)
            return own
        remembered = self._data / "run" / "sockets"
        if remembered.exists():
            path = Path(remembered.read_text())
            if (
                path.is_dir()
                and not path.is_symlink()
                and path.stat().st_uid in (account.owner, os.geteuid())
            ):
                account.make_folder(path)
                return path
        path = Path(tempfile.mkdtemp(prefix="clinic-net-"))
        account.make_folder(path)
        remembered.write_text(str(path))
        return path
