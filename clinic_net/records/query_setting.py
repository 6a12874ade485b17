"""What every part of a search shares."""

from dataclasses import dataclass
from datetime import datetime

from clinic_net.access.policy import RecordScope
from clinic_net.records.keys import Keys


@dataclass(frozen=True)
class Setting:
    """The hashes, whose records a search may look into, and when."""

    keys: Keys
    scope: RecordScope
    now: datetime
