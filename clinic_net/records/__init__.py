"""Records: FHIR R4 resources as they were received, every version of them, search over them, and REST at ``/fhir``.

Whoever writes or reads brings a ``RecordScope``; what is outside it looks like what does not exist. Every write is told
once a use case as ``record.stored``. Other capabilities use ``clinic_net.records.service``.
"""

from clinic_net.records import service
from clinic_net.records.shapes import Stored

__all__ = ["Stored", "service"]
