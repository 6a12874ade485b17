"""Use cases of the records. None commits; each tells its news once; each needs a scope."""

from clinic_net.records.bundles import run_bundle
from clinic_net.records.conditional import Writer, delete_where, patch, patch_where, update_where
from clinic_net.records.derived import derive
from clinic_net.records.history import PastVersion, history
from clinic_net.records.reading import Found, everything, read, search, vread
from clinic_net.records.shapes import News, Stored, instant
from clinic_net.records.writing import TOPIC, delete, put, put_order, put_unless_found, tell

__all__ = [
    "TOPIC",
    "Found",
    "News",
    "PastVersion",
    "Stored",
    "Writer",
    "delete",
    "delete_where",
    "derive",
    "everything",
    "history",
    "instant",
    "patch",
    "patch_where",
    "put",
    "put_order",
    "put_unless_found",
    "read",
    "run_bundle",
    "search",
    "tell",
    "update_where",
    "vread",
]
