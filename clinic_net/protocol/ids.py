"""Identifiers that both sides make without asking each other."""

from uuid import UUID


def uuid7(unix_ms: int, randomness: bytes) -> UUID:
    """Return the UUID version 7 of an instant (RFC 9562 §5.7).

    ``unix_ms`` is milliseconds since 1970, ``randomness`` at least 10 bytes from a secure source.
    """
    if not 0 <= unix_ms < 1 << 48:
        raise ValueError("unix_ms does not fit into 48 bits")
    if len(randomness) < 10:
        raise ValueError("10 bytes of randomness are needed")
    rand_a = int.from_bytes(randomness[:2], "big") & 0x0FFF
    rand_b = int.from_bytes(randomness[2:10], "big") & ((1 << 62) - 1)
    return UUID(int=unix_ms << 80 | 0x7 << 76 | rand_a << 64 | 0b10 << 62 | rand_b)
