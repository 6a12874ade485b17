"""Keyed hashes of what is searched for exactly, so that index rows hold no identifier in plain text."""

import base64
import hmac
from functools import lru_cache
from hashlib import blake2b

_REMEMBERED = 50_000
"""Hashes a process keeps at hand: the codes, units and people of the hour. Some 10 MB."""


def _signed(digest: bytes) -> int:
    return int.from_bytes(digest, "big", signed=True)


@lru_cache(maxsize=16_384)
def parameter_id(rtype: str, name: str) -> int:
    """Return the 32-bit number of a type's search parameter. A test proves the standard ones distinct."""
    return _signed(blake2b(f"{rtype}.{name}".encode(), digest_size=4, person=b"records-param").digest())


class Keys:
    """Hashes and signatures made with the records' secret key."""

    def __init__(self, secret: bytes) -> None:
        self._hash = blake2b(digest_size=8, key=secret, person=b"records-index")
        self._signature_key = blake2b(secret, digest_size=32, person=b"records-cursor").digest()
        self._remembered: dict[tuple[str, ...], int] = {}

    def of(self, *parts: str) -> int:
        """Return the signed 64-bit hash of ``parts``; NUL, which no FHIR text holds, keeps them apart."""
        known = self._remembered.get(parts)
        if known is not None:
            return known
        hashing = self._hash.copy()
        hashing.update("\0".join(parts).encode())
        if len(self._remembered) >= _REMEMBERED:
            self._remembered.clear()
        found = self._remembered[parts] = _signed(hashing.digest())
        return found

    def token(self, rtype: str, name: str, system: str | None, code: str | None) -> int:
        """Hash a token clause. ``system`` None: any system; ``""``: no system. ``code`` None: any code."""
        if code is None:
            return self.of(rtype, name, "s", system or "")
        if system is None:
            return self.of(rtype, name, "c", code)
        return self.of(rtype, name, "sc", system, code)

    def value(self, rtype: str, name: str, value: str) -> int:
        """Hash an exact value: a reference ``Type/id``, a uri, a string as it is."""
        return self.of(rtype, name, "v", value)

    def present(self, rtype: str, name: str) -> int:
        """Hash the fact that the parameter has any value."""
        return self.of(rtype, name, "present")

    def sign(self, payload: bytes) -> str:
        """Return ``payload`` and its signature as URL-safe text."""
        signature = blake2b(payload, digest_size=16, key=self._signature_key).digest()
        return base64.urlsafe_b64encode(signature + payload).rstrip(b"=").decode()

    def unsign(self, text: str) -> bytes | None:
        """Return the payload of a text that ``sign`` made, or None."""
        try:
            raw = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        except (ValueError, UnicodeEncodeError):
            return None
        signature, payload = raw[:16], raw[16:]
        expected = blake2b(payload, digest_size=16, key=self._signature_key).digest()
        return payload if hmac.compare_digest(signature, expected) else None
