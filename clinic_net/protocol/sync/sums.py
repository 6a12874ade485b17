"""Do two copies of a scope hold the same? Sums that any order of additions and removals leads to alike.

A copy's sum changes by one addition a record, so both sides keep it up without reading what they hold. Where sums
differ, those of 256 bins tell which 1/256 of the records to look at.
"""

from collections.abc import Iterable
from hashlib import blake2b

MODULUS = 1 << 64
BINS = 256


def of_version(rtype: str, fid: str, version: int) -> int:
    """Return the share of one resource at one version in its scope's sum, below 2^64."""
    return int.from_bytes(blake2b(f"{rtype}/{fid}/{version}".encode(), digest_size=8).digest(), "big")


def bin_of(rtype: str, fid: str) -> int:
    """Return the bin of a resource, 0 … 255; the same for all its versions."""
    return blake2b(f"{rtype}/{fid}".encode(), digest_size=1).digest()[0]


def total(shares: Iterable[int]) -> int:
    """Return the sum of shares, modulo 2^64."""
    return sum(shares) % MODULUS


def spelled(value: int) -> str:
    """Return a sum as the wire has it: 16 hexadecimal digits."""
    return f"{value % MODULUS:016x}"
