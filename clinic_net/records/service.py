"""Use cases of the records. None commits; each tells its news once; each needs a scope."""

from clinic_net.records.beside import Held, beside, hold, keep_beside, sound, steady_id
from clinic_net.records.bundles import run_bundle
from clinic_net.records.conditional import Writer, delete_where, patch, patch_where, update_where
from clinic_net.records.copies import Copy, Named, Placed, copies, placed, places_of
from clinic_net.records.derived import derive
from clinic_net.records.drafts import Draft, Order, draft
from clinic_net.records.erasing import erase, last_change, untouched_since
from clinic_net.records.errors import UnknownPatient, UnknownResource
from clinic_net.records.history import PastVersion, history
from clinic_net.records.keys import Keys
from clinic_net.records.moving import Moved, move, patients_at
from clinic_net.records.putting import put_many
from clinic_net.records.reading import Found, everything, read, search, vread
from clinic_net.records.reindexing import Progress as ReindexProgress
from clinic_net.records.reindexing import begin as begin_reindex
from clinic_net.records.reindexing import begin_where_needed as begin_reindex_where_needed
from clinic_net.records.reindexing import progress as progress_of_reindex
from clinic_net.records.reindexing import step as step_of_reindex
from clinic_net.records.shapes import News, Stored, instant
from clinic_net.records.sweeping import sweep
from clinic_net.records.vault import keys_of
from clinic_net.records.writing import TOPIC, delete, put, put_order, put_unless_found, tell

__all__ = [
    "TOPIC",
    "Copy",
    "Draft",
    "Found",
    "Held",
    "Keys",
    "Moved",
    "Named",
    "News",
    "Order",
    "PastVersion",
    "Placed",
    "ReindexProgress",
    "Stored",
    "UnknownPatient",
    "UnknownResource",
    "Writer",
    "begin_reindex",
    "begin_reindex_where_needed",
    "beside",
    "copies",
    "delete",
    "delete_where",
    "derive",
    "draft",
    "erase",
    "everything",
    "history",
    "hold",
    "instant",
    "keep_beside",
    "keys_of",
    "last_change",
    "move",
    "patch",
    "patch_where",
    "patients_at",
    "placed",
    "places_of",
    "progress_of_reindex",
    "put",
    "put_many",
    "put_order",
    "put_unless_found",
    "read",
    "run_bundle",
    "search",
    "sound",
    "steady_id",
    "step_of_reindex",
    "sweep",
    "tell",
    "untouched_since",
    "update_where",
    "vread",
]
