"""The batches of one database and lane form a chain: 1, 2, 3 … What to do with the one that came.

A station sends a batch again, byte for byte, until it is answered, and only then the next. So a known number with
another content means that there are two databases where there was one; a number beyond the next, that this hub lost
what it had taken.
"""

from dataclasses import dataclass
from enum import StrEnum


class Link(StrEnum):
    """What a batch is to its chain."""

    NEXT = "next"
    """It is to be taken."""
    AGAIN = "again"
    """It is here already: the answer is the one it got."""
    FORK = "fork"
    """Another one of this number is here: the database was copied, or restored."""
    GAP = "gap"
    """Those before it are not here: the hub was restored from a backup."""


@dataclass(frozen=True)
class Chain:
    """How far a chain reaches: the number of its last batch, 0 before the first."""

    last: int = 0

    @property
    def expected(self) -> int:
        """The number of the next batch."""
        return self.last + 1

    def link(self, seq: int, digest: bytes, known: bytes | None) -> Link:
        """Return what the batch ``seq`` of this content is; ``known`` is the digest of the one that is here under its
        number, None where there is none."""
        if seq > self.last:
            return Link.NEXT if seq == self.expected else Link.GAP
        return Link.AGAIN if known == digest else Link.FORK

    def with_next(self) -> "Chain":
        """Return the chain after its next batch was taken."""
        return Chain(self.expected)
