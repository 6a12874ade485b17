"""How this station is: rides on every pull, so that nothing else has to tell the hub."""

from datetime import datetime

from clinic_net.protocol.sync import Report
from station_agent import __version__
from station_agent.store import Tx, outbox


def report(tx: Tx) -> Report:
    """Return how this station is, for the hub: counts and times, nothing about patients."""
    counts = outbox.counts(tx)
    return Report(
        agent=__version__,
        waiting={str(lane): number for lane, number in counts.waiting.items()},
        refused=counts.refused + counts.conflicts,
        oldest_waiting_at=_instant(counts.oldest),
    )


def _instant(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text or "")
    except ValueError:
        return None
