"""Who saw and changed what: an append-only trail of identifiers, written in the transaction it tells of, and sealed.

A row names an actor and a subject by their addresses (``user:<uuid>``, ``station:<site>``, ``Patient/<id>``),
an action, an outcome and a purpose; never a name, a value or a search term. The database itself refuses to
change or delete a row, and a chain of hashes shows whoever got around the database.
"""

from clinic_net.audit.errors import AuditUnavailable
from clinic_net.audit.origin import FromRequest, Origin, acting, here
from clinic_net.audit.service import OK, Event, record, record_many

__all__ = [
    "OK",
    "AuditUnavailable",
    "Event",
    "FromRequest",
    "Origin",
    "acting",
    "here",
    "record",
    "record_many",
]
