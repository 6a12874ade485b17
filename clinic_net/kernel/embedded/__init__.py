"""Embedded services: the real PostgreSQL and Valkey, for a hub that is given nothing but a folder.

:class:`EmbeddedServices` starts both from the binaries of their Python packages, without privileges and on
private sockets below the folder, lets any number of processes share them, and stops them when the last
one leaves. Processes that die without leaving do no harm: the next start finds the servers and goes on.
"""

from clinic_net.kernel.embedded.accounts import Account, choose_account
from clinic_net.kernel.embedded.errors import DataFolderUnusable, EmbeddedUnavailable
from clinic_net.kernel.embedded.keys import EmbeddedKeys
from clinic_net.kernel.embedded.services import EmbeddedServices

__all__ = [
    "Account",
    "DataFolderUnusable",
    "EmbeddedKeys",
    "EmbeddedServices",
    "EmbeddedUnavailable",
    "choose_account",
]
