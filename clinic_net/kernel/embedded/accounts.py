"""Whose rights the embedded servers run with: never root's, also when the hub is started by root.

PostgreSQL refuses to run as root. Root therefore starts the servers in a user namespace, where they are
``nobody`` and hold no capability outside, while the files stay root's and need no new owner. Where the
machine forbids user namespaces (many containers do), the servers run as the user ``nobody`` and own
their folders; then every folder above must let that user pass.
"""

import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from clinic_net.kernel.embedded.errors import DataFolderUnusable, EmbeddedUnavailable

_UNPRIVILEGED = "nobody"
_OVERFLOW_ID = 65534
"""Linux: the user and group id that stands for "no one in particular"."""

ENVIRONMENT = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C", "TZ": "UTC"}


@dataclass(frozen=True)
class Account:
    """How a server is started: ``prefix`` before its command, or as another user.

    ``owner`` and ``group`` are the numeric ids that its files must have on disk.
    """

    name: str
    owner: int
    group: int
    prefix: tuple[str, ...] = ()
    switches_user: bool = False

    @classmethod
    def caller(cls) -> "Account":
        """Return the account of an ordinary user: the caller's own."""
        return cls("caller", os.geteuid(), os.getegid())

    @classmethod
    def namespace(cls) -> "Account":
        """Return the account of root in a user namespace. Check with :meth:`works` before use."""
        program = shutil.which("unshare") or "/usr/bin/unshare"
        prefix = (program, f"--map-user={_OVERFLOW_ID}", f"--map-group={_OVERFLOW_ID}", "--")
        return cls("namespace", os.geteuid(), os.getegid(), prefix)

    @classmethod
    def nobody(cls) -> "Account":
        """Return the account of the user ``nobody``; only root may start a process with it."""
        entry = pwd.getpwnam(_UNPRIVILEGED)
        return cls(_UNPRIVILEGED, entry.pw_uid, entry.pw_gid, switches_user=True)

    def works(self) -> bool:
        """Return whether a process can be started this way here."""
        try:
            return self.run(("/bin/true",), timeout=10).returncode == 0
        except (OSError, EmbeddedUnavailable):
            return False

    def run(
        self,
        command: Sequence[str | Path],
        *,
        timeout: float,
        folder: Path = Path("/"),
        variables: Mapping[str, str] = ENVIRONMENT,
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end in ``folder``, with no variables but these, and return what it said.

        Errors: :class:`EmbeddedUnavailable` when it took longer than ``timeout`` seconds.
        """
        switch = self.switches_user
        try:
            return subprocess.run(  # noqa: S603 - our own commands, no shell, no text from outside
                (*self.prefix, *map(str, command)),
                cwd=folder,
                env=dict(variables),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                umask=0o077,
                timeout=timeout,
                check=False,
                user=self.owner if switch else None,
                group=self.group if switch else None,
                extra_groups=() if switch else None,
            )
        except subprocess.TimeoutExpired as late:
            raise EmbeddedUnavailable(f"{Path(command[0]).name} did not end in {timeout:.0f} s") from late

    def make_folder(self, path: Path) -> None:
        """Make a private folder of this account, or hand over one that another account made."""
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.stat().st_uid == self.owner:
            return
        if os.geteuid() != 0:
            raise DataFolderUnusable(f"{path} belongs to another user; run the hub as that user")
        for folder, _, files in os.walk(path):
            for entry in (folder, *(os.path.join(folder, name) for name in files)):
                os.chown(entry, self.owner, self.group, follow_symlinks=False)

    def own(self, path: Path) -> None:
        """Hand a file over to this account."""
        if path.stat().st_uid != self.owner:
            os.chown(path, self.owner, self.group)

    def require_passage(self, path: Path) -> None:
        """Check that this account reaches ``path`` through the folders above it.

        Errors: :class:`DataFolderUnusable`, naming the folder that is closed.
        """
        if not self.switches_user:
            return
        for folder in reversed(path.parents):
            status = folder.stat()
            own = status.st_uid == self.owner and status.st_mode & stat.S_IXUSR
            if not (own or status.st_mode & stat.S_IXOTH):
                raise DataFolderUnusable(
                    f"the servers run as {self.name!r} here, and {folder} does not let that user pass to {path}: "
                    f"choose another folder, chmod o+x {folder}, start the hub as an ordinary user, or set "
                    "CLINIC_NET_DATABASE and CLINIC_NET_REDIS"
                )


@cache
def choose_account() -> Account:
    """Return the account for this process: the caller's own, or for root the first that works.

    Errors: :class:`EmbeddedUnavailable` when root has neither.
    """
    if os.geteuid() != 0:
        return Account.caller()
    for account in (Account.namespace, Account.nobody):
        try:
            candidate = account()
        except KeyError:
            continue
        if candidate.works():
            return candidate
    raise EmbeddedUnavailable("root can neither make a user namespace nor become the user 'nobody'")
