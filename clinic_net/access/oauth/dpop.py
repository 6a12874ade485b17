"""Demonstrating proof of possession (RFC 9449): a token that only the holder of a key can use. Pure.

A proof counts once, for one method and one address, and only with a nonce of this hub's that is younger than three
minutes: so a device whose clock is wrong for years still proves well, and no proof can be made in advance.
"""

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from clinic_net.access.errors import InvalidProof, ProofNonceNeeded

ALGORITHMS = ("ES256", "ES384")
_TYPE = "dpop+jwt"
_LONGEST = 4096
_LONGEST_JTI = 120
_SLOT_S = 60
_SLOTS = 3
"""A nonce is good for two to three minutes."""

_ESCAPED = re.compile("%([0-9A-Fa-f]{2})")
_UNRESERVED = re.compile(r"[A-Za-z0-9\-._~]")
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Proof:
    """A proof whose signature, method, address and token are right. ``jkt`` is its key's thumbprint (RFC 7638)."""

    jkt: str
    jti: str
    nonce: str


def read_proof(proof: str, *, method: str, url: str, token: str | None = None) -> Proof:
    """Return what a proof proves (RFC 9449 §4.3, all but its age and its having been used: see ``check_nonce``).

    ``token`` is the access token that it comes with; None at the token endpoint, which has none yet.

    Raises:
        InvalidProof: anything about it is wrong.
    """
    try:
        if len(proof) > _LONGEST:
            raise InvalidProof
        header = jws.extract_compact(proof.encode()).headers()
        key = _key_of(header)
        claims = jwt.decode(proof, key, algorithms=[str(header["alg"])]).claims
    except (JoseError, ValueError, TypeError, KeyError):
        raise InvalidProof from None
    jti, nonce, issued = claims.get("jti"), claims.get("nonce", ""), claims.get("iat")
    if not isinstance(jti, str) or not 0 < len(jti) <= _LONGEST_JTI or not jti.isprintable():
        raise InvalidProof
    if not isinstance(nonce, str) or isinstance(issued, bool) or not isinstance(issued, int | float):
        raise InvalidProof
    if claims.get("htm") != method or normal_url(str(claims.get("htu", ""))) != normal_url(url):
        raise InvalidProof
    if claims.get("ath") != (None if token is None else token_digest(token)):
        raise InvalidProof
    return Proof(key.thumbprint(), jti, nonce)


def _key_of(header: Mapping[str, Any]) -> ECKey:
    jwk = header.get("jwk")
    if header.get("typ") != _TYPE or header.get("alg") not in ALGORITHMS or not isinstance(jwk, dict):
        raise InvalidProof
    if jwk.get("kty") != "EC" or "d" in jwk:
        raise InvalidProof
    return ECKey.import_key({name: jwk[name] for name in ("kty", "crv", "x", "y")})


def token_digest(token: str) -> str:
    """Return the ``ath`` of an access token (RFC 9449 §4.2)."""
    return urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()


def normal_url(url: str) -> str:
    """Return an address without query and fragment, in the form in which alike addresses are equal (RFC 3986 §6.2)."""
    parts = urlsplit(url)
    scheme, host = parts.scheme.lower(), (parts.hostname or "").lower()
    port = parts.port
    at = host if port is None or port == _DEFAULT_PORTS.get(scheme) else f"{host}:{port}"
    return f"{scheme}://{at}{_ESCAPED.sub(_escaped, parts.path) or '/'}"


def _escaped(match: re.Match[str]) -> str:
    letter = chr(int(match[1], 16))
    return letter if _UNRESERVED.fullmatch(letter) else match[0].upper()


def make_nonce(key: bytes, now: datetime) -> str:
    """Return the nonce that proofs must carry now: any node makes and knows it, none stores it."""
    slot = int(now.timestamp()) // _SLOT_S
    return f"{slot}.{_mac(key, slot)}"


def _mac(key: bytes, slot: int) -> str:
    return urlsafe_b64encode(hmac.digest(key, str(slot).encode(), "sha256")[:18]).decode()


def check_nonce(nonce: str, *, key: bytes, now: datetime) -> None:
    """Refuse a nonce that this hub did not make, or made too long ago.

    Raises:
        ProofNonceNeeded: repeat with the one of the answer.
    """
    slot, current = nonce.partition(".")[0], int(now.timestamp()) // _SLOT_S
    known = slot.isascii() and slot.isdigit() and 0 <= current - int(slot[:12]) < _SLOTS
    if not known or not hmac.compare_digest(nonce.encode(), f"{int(slot)}.{_mac(key, int(slot))}".encode()):
        raise ProofNonceNeeded
