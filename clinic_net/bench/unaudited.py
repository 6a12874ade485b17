"""A hub that does not write its writes down: what the audit trail costs is measured against it, nothing else.

There is no setting for this, on purpose.
"""

import sys
from collections.abc import Sequence
from datetime import datetime

from clinic_net import cli
from clinic_net.kernel.errors import Refusal
from clinic_net.kernel.links import Database
from clinic_net.records import trail
from clinic_net.records.drafts import Order
from clinic_net.records.shapes import Stored


async def written(
    s: Database, orders: Sequence[Order], told: Sequence[Stored | Refusal], *, now: datetime
) -> None:
    """Write nothing down."""


if __name__ == "__main__":
    trail.written = written
    sys.exit(cli.main())
