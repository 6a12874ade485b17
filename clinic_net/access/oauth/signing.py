"""The keys that sign identity tokens: ES256, made from the hub's token key, so that every node has them.

A hub whose token key is being replaced knows two: the new one signs, both are published, so that a program that
fetched the old set yesterday still finds what it needs in today's.
"""

import hashlib
import hmac
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jws, jwt
from joserfc.jwk import ECKey
from pydantic import SecretStr

from clinic_net.access.keys import Use, derive

ALGORITHM = "ES256"
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of P-256 (SEC 2 §2.4.2)."""


@lru_cache(maxsize=8)
def _key(secret: bytes) -> ECKey:
    """Return the key of a secret: 384 bits reduced to a scalar, which FIPS 186-5 A.2.1 calls without bias."""
    number = int.from_bytes(hmac.digest(secret, b"P-256", hashlib.sha384), "big")
    private = ec.derive_private_key(number % (_ORDER - 1) + 1, ec.SECP256R1())
    key = ECKey.import_key(private)
    return ECKey.import_key({**key.as_dict(private=True), "kid": key.thumbprint()[:16]})


def signing_keys(key: SecretStr, before: SecretStr | None) -> list[ECKey]:
    """Return the keys, the one that signs first."""
    return [_key(derive(each, Use.ID_TOKEN)) for each in (key, before) if each is not None]


def published(keys: list[ECKey]) -> dict[str, Any]:
    """Return the JWK set of ``/oauth/jwks``: public parts only."""
    shown = ({**key.as_dict(private=False), "use": "sig", "alg": ALGORITHM} for key in keys)
    return {"keys": list(shown)}


def sign(claims: Mapping[str, Any], keys: list[ECKey]) -> str:
    """Return an identity token."""
    header = {"alg": ALGORITHM, "typ": "JWT", "kid": keys[0].kid}
    return jwt.encode(header, dict(claims), keys[0], algorithms=[ALGORITHM])


def state(payload: bytes, keys: list[ECKey], *, kind: str) -> str:
    """Return a compact JWS of what the hub states; ``kind`` is its ``typ``, so that it is never taken for a token."""
    header = {"alg": ALGORITHM, "typ": kind, "kid": keys[0].kid}
    return jws.serialize_compact(header, payload, keys[0], algorithms=[ALGORITHM])
