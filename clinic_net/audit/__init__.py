"""Who saw and changed what: an append-only trail of identifiers, written in the transaction it tells of.

A row names an actor and a subject by their addresses (``user:<uuid>``, ``station:<site>``, ``Patient/<id>``),
an action, an outcome and a purpose; never a name, a value or a search term. The database itself refuses to
change or delete a row.
"""

from clinic_net.audit.service import OK, Event, record, record_many

__all__ = ["OK", "Event", "record", "record_many"]
