"""How fast a peer may speak, and how long it waits before it comes back. Pure: the time is an argument."""

from collections.abc import Callable

BACKOFF_FIRST_S = 0.5
BACKOFF_MOST_S = 15.0
BACKOFF_LEAST_S = 0.05


def backoff(attempt: int, rng: Callable[[], float]) -> float:
    """Return the seconds to wait before attempt number ``attempt`` (0 is the first) to reconnect.

    Full jitter: anything up to 0.5 s, 1 s, 2 s … 15 s, for ever, so that thousands of stations whose link
    came back in the same second do not arrive in the same second. ``rng`` gives a number in [0, 1).
    """
    ceiling = min(BACKOFF_MOST_S, BACKOFF_FIRST_S * 2.0 ** min(attempt, 16))
    return max(BACKOFF_LEAST_S, ceiling * rng())


class TokenBucket:
    """``rate`` messages a second, ``burst`` at once. Times are seconds on any clock that does not go back."""

    def __init__(self, *, rate: float, burst: int, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._at = now

    def take(self, now: float) -> float:
        """Take a token. Returns 0.0, or the seconds until there is one (and takes none)."""
        self._tokens = min(float(self._burst), self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = max(self._at, now)
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return 0.0
        return (1.0 - self._tokens) / self._rate
