"""Whose turn it is on a thin line: deficit round robin over the lanes that are not urgent.

M. Shreedhar, G. Varghese, "Efficient Fair Queueing Using Deficit Round Robin", SIGCOMM 1995. The shares are 8:2:1 for
today's care, the rest, and what is large (sync §4.7): a lane that has nothing to send gives its share to the others.
"""

from collections.abc import Mapping

from clinic_net.protocol.sync.messages import Lane

QUANTA: Mapping[Lane, int] = {Lane.CARE: 16384, Lane.ROUTINE: 4096, Lane.BULK: 2048}
"""Bytes that a lane may send more at each of its turns."""


class Turns:
    """Keeps what each lane has in hand. ``choose`` says whose frame goes next."""

    def __init__(self, quanta: Mapping[Lane, int] = QUANTA) -> None:
        self._quanta = dict(quanta)
        self._order = tuple(self._quanta)
        self._in_hand = dict.fromkeys(self._order, 0)
        self._at = 0
        self._began = False
        """Whether the lane whose turn it is has got its quantum of this turn."""

    def choose(self, sizes: Mapping[Lane, int]) -> Lane | None:
        """Return the lane whose next frame goes now, given the size in bytes of each one's next frame (0: it has none).

        The frame's size is taken from what the lane has in hand. None when no lane has anything.
        """
        if not any(sizes.get(lane, 0) > 0 for lane in self._order):
            return None
        while True:
            lane = self._order[self._at]
            size = sizes.get(lane, 0)
            if size <= 0:
                self._in_hand[lane] = 0
            else:
                if not self._began:
                    self._in_hand[lane] += self._quanta[lane]
                    self._began = True
                if self._in_hand[lane] >= size:
                    self._in_hand[lane] -= size
                    return lane
            self._at = (self._at + 1) % len(self._order)
            self._began = False
