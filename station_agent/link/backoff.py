"""How long to wait before trying again. Pure; the random number is an argument."""

from collections.abc import Callable

FIRST_CEILING_S = 2.0
LAST_CEILING_S = 300.0
"""A national reconnect: 12,000 stations that wait uniformly below 300 s are 40 a second (sync §4.9)."""

URGENT_CEILING_S = 4.0
"""While somebody waits for a doctor: few stations do at a time, and the hub reserves room for them."""

LONGEST_RETRY_AFTER_S = 900.0


def wait_before(attempt: int, rng: Callable[[], float], *, urgent: bool = False) -> float:
    """Return the seconds before attempt 1, 2, …: uniform below a ceiling that doubles from 2 s to 300 s (urgent: 4 s).

    "Full jitter": M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.
    """
    ceiling = min(
        URGENT_CEILING_S if urgent else LAST_CEILING_S, FIRST_CEILING_S * 2.0 ** min(attempt - 1, 16)
    )
    return ceiling * rng()


def honoured(retry_after: float, rng: Callable[[], float]) -> float:
    """Return the hub's wish in seconds, within bounds, a little spread so that not all come at once."""
    return min(max(retry_after, 1.0), LONGEST_RETRY_AFTER_S) * (1.0 + 0.1 * rng())
