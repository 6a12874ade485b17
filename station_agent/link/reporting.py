"""How this station is: rides on every pull, so that nothing else has to tell the hub."""

import platform
from datetime import datetime, timedelta

from clinic_net.protocol.sync import Report
from station_agent import __version__
from station_agent.store import Tx, config, figures, outbox

_VIETNAM = timedelta(hours=7)


def report(tx: Tx, now: datetime, offset: timedelta) -> Report:
    """Return how this station is, for the hub: counts and times, nothing about patients.

    ``offset`` is what to add to this clock to get the hub's. Members that the protocol of this program does not have
    yet are left out by it.
    """
    counts = outbox.counts(tx)
    spent = figures.spent_on(tx, (now + _VIETNAM).date())
    return Report.model_validate(
        {
            "agent": __version__,
            "waiting": {str(lane): number for lane, number in counts.waiting.items()},
            "refused": counts.refused + counts.conflicts,
            "oldest_waiting_at": _instant(counts.oldest),
            "sent_today": {str(lane): cost.total for lane, cost in spent.items() if cost.total},
            "python": platform.python_version(),
            "offset_ms": round(offset.total_seconds() * 1000),
            "config": str(config.read(tx).get("version", "")),
        }
    )


def _instant(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text or "")
    except ValueError:
        return None
