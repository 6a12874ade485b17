"""What the hub sets for this station: it rides on a page, and is kept as it came."""

import json
from typing import Any

from station_agent.store import figures, settings
from station_agent.store.database import Tx

KEY = "config"
LOCAL_BUDGET = "budget_is_local"
"""Set to "1" when a technician set the day's budget here: the hub's word does not change it."""
_PULL_BOUNDS = (15.0, 3600.0)


def apply(tx: Tx, told: dict[str, object]) -> None:
    """Keep a configuration and do what it says; members that this program does not know are kept for a later one."""
    settings.put(tx, KEY, json.dumps(told))
    if settings.get(tx, LOCAL_BUDGET) != "1":
        size = told.get("day_bytes")
        figures.put_budget(tx, size if isinstance(size, int) and size > 0 else None)


def read(tx: Tx) -> dict[str, Any]:
    """Return what the hub set last, or an empty object."""
    found = json.loads(settings.get(tx, KEY) or "{}")
    return found if isinstance(found, dict) else {}


def pull_every(tx: Tx, otherwise: float) -> float:
    """Return how often the hub wants to be asked for news, in seconds, between 15 and an hour's 3,600."""
    told = read(tx).get("pull_every_s")
    if not isinstance(told, int | float) or isinstance(told, bool):
        return otherwise
    return min(max(float(told), _PULL_BOUNDS[0]), _PULL_BOUNDS[1])
