"""JSON Web Tokens: the hub's own access tokens, and what devices sign. Pure: key and time are arguments.

joserfc checks neither ``exp`` nor ``aud`` unless a claims registry says so; every decode here names its
algorithm and runs one.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OctKey, RSAKey

from clinic_net.access import rules
from clinic_net.access.errors import (
    AssertionOutOfTime,
    ClientKeysUnusable,
    DeviceKeyUnusable,
    InvalidClient,
    InvalidToken,
)

_TOKEN_TYPE = "at+jwt"  # noqa: S105 -- RFC 9068 §2.1: an access token, never mistaken for another JWT
_LONGEST = 8192
_LONGEST_JTI = 120
_MOST_KEYS = 10
_COORDINATE_LENGTH = 43
"""32 octets in base64url (RFC 7518 §6.2.1)."""


@dataclass(frozen=True)
class AccessClaims:
    """What an access token says. ``epoch`` is the device's; a client has none.

    ``app`` is a program that acts for a person: ``subject`` is the person, ``client`` the program, ``grant`` what
    the person allowed. ``jkt`` is the thumbprint of the key that the token is bound to (RFC 9449), if it is.
    """

    kind: Literal["station", "client", "app"]
    subject: str
    expires: datetime
    scope: str = ""
    site: str = ""
    epoch: int = 0
    client: str = ""
    grant: str = ""
    jkt: str = ""


@dataclass(frozen=True)
class Minted:
    """A token, and for how long it is valid, in seconds."""

    token: str
    expires_in: int
    scope: str
    kind: str = "Bearer"


@dataclass(frozen=True)
class Assertion:
    """A device's own claim about itself (RFC 7523), checked but for having been used before."""

    issuer: str
    jti: str
    expires: datetime


def mint(claims: AccessClaims, *, key: bytes, issuer: str, jti: UUID, now: datetime) -> str:
    """Return an access token (HS256; only this hub reads it)."""
    payload: dict[str, Any] = {
        "iss": issuer,
        "aud": issuer,
        "sub": claims.subject,
        "kind": claims.kind,
        "scope": claims.scope,
        "iat": int(now.timestamp()),
        "exp": int(claims.expires.timestamp()),
        "jti": str(jti),
    }
    if claims.kind == "station":
        payload |= {"site": claims.site, "epoch": claims.epoch}
    elif claims.kind == "client":
        payload |= {"client_id": claims.subject}
    else:
        payload |= {"client_id": claims.client, "grant": claims.grant}
    if claims.jkt:
        payload |= {"cnf": {"jkt": claims.jkt}}
    return jwt.encode(
        {"alg": "HS256", "typ": _TOKEN_TYPE}, payload, OctKey.import_key(key), algorithms=["HS256"]
    )


def read(token: str, *, key: bytes, issuer: str, now: datetime) -> AccessClaims:
    """Return what a valid access token of this hub says.

    Raises:
        InvalidToken: not ours, changed, ended, or of another type.
    """
    registry = jwt.JWTClaimsRegistry(
        now=int(now.timestamp()),
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": issuer},
        exp={"essential": True},
        sub={"essential": True},
        kind={"essential": True, "values": ["station", "client", "app"]},
    )
    try:
        if len(token) > _LONGEST:
            raise InvalidToken
        decoded = jwt.decode(token, OctKey.import_key(key), algorithms=["HS256"])
        if decoded.header.get("typ") != _TOKEN_TYPE:
            raise InvalidToken
        registry.validate(decoded.claims)
        said = decoded.claims
        bound = said.get("cnf") or {}
        return AccessClaims(
            kind=said["kind"],
            subject=str(said["sub"]),
            expires=datetime.fromtimestamp(int(said["exp"]), UTC),
            scope=str(said.get("scope", "")),
            site=str(said.get("site", "")),
            epoch=int(said.get("epoch", 0)),
            client=str(said.get("client_id", "")),
            grant=str(said.get("grant", "")),
            jkt=str(bound.get("jkt", "")),
        )
    except (JoseError, ValueError, TypeError, AttributeError):
        raise InvalidToken from None


def public_key(jwk: Mapping[str, Any]) -> ECKey:
    """Return a device's P-256 key from its public JWK; other members are left out.

    Raises:
        DeviceKeyUnusable: another type of key, not on the curve, or with its private part.
    """
    if jwk.get("kty") != "EC" or jwk.get("crv") != "P-256" or "d" in jwk:
        raise DeviceKeyUnusable
    x, y = jwk.get("x"), jwk.get("y")
    if not (isinstance(x, str) and isinstance(y, str) and len(x) == len(y) == _COORDINATE_LENGTH):
        raise DeviceKeyUnusable
    try:
        return ECKey.import_key({"kty": "EC", "crv": "P-256", "x": x, "y": y})
    except (JoseError, ValueError):
        raise DeviceKeyUnusable from None


def proves(proof: str, *, of: bytes, key: ECKey) -> bool:
    """Whether ``proof`` is a compact JWS (ES256) of these bytes by the holder of the key."""
    try:
        return jws.deserialize_compact(proof, key, algorithms=["ES256"]).payload == of
    except (JoseError, ValueError, TypeError):
        return False


_RAW_SIGNATURE = 64
"""Bytes of r ‖ s on P-256 (RFC 7518 §3.4)."""


def signed(data: bytes, signature: bytes, *, key: ECKey) -> bool:
    """Whether ``signature`` (ES256, r ‖ s) stands over these bytes, by the holder of the key."""
    if len(signature) != _RAW_SIGNATURE:
        return False
    half = _RAW_SIGNATURE // 2
    r, s = (int.from_bytes(part, "big") for part in (signature[:half], signature[half:]))
    try:
        key.public_key.verify(utils.encode_dss_signature(r, s), data, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def stated(statement: str, *, key: ECKey) -> bytes | None:
    """Return what a compact JWS (ES256) says if the holder of the key has signed it."""
    try:
        return jws.deserialize_compact(statement, key, algorithms=["ES256"]).payload
    except (JoseError, ValueError, TypeError):
        return None


def claimed_issuer(assertion: str) -> str:
    """Return who an assertion says it is from, unchecked: only to look up the key that must have signed it.

    Raises:
        InvalidClient: it is not a JWT.
    """
    not_a_jwt = InvalidClient("the client assertion is not a JWT")
    if len(assertion) > _LONGEST:
        raise not_a_jwt
    try:
        return str(_unchecked(assertion).get("iss", ""))
    except (JoseError, ValueError, TypeError):
        raise not_a_jwt from None


_BRING_A_KEY = frozenset({"jku", "jwk", "x5u", "x5c"})
"""Headers by which a token names its own key: nothing that comes with a token is looked at to check it."""

_ALGORITHMS = {("EC", "P-256"): "ES256", ("EC", "P-384"): "ES384", ("RSA", ""): "RS384"}
"""What a client's key signs with (SMART App Launch 2.2 asks for ES384 and RS384)."""

_SMALLEST_RSA = 2048


def client_keys(jwks: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the public keys of a client's JWK set, as it is registered: each with a ``kid`` of its own.

    Raises:
        ClientKeysUnusable: no key, one of another type, one without ``kid``, two of one ``kid`` or a private one.
    """
    keys = jwks.get("keys")
    if not isinstance(keys, list) or not 0 < len(keys) <= _MOST_KEYS:
        raise ClientKeysUnusable
    kids = [key.get("kid") if isinstance(key, dict) else None for key in keys]
    if len(set(kids)) != len(kids) or not all(isinstance(kid, str) and kid for kid in kids):
        raise ClientKeysUnusable
    public = []
    for jwk in keys:
        algorithm, key = _client_key(jwk)
        if key.is_private or (isinstance(key, RSAKey) and key.raw_value.key_size < _SMALLEST_RSA):
            raise ClientKeysUnusable
        public.append({**key.as_dict(private=False), "kid": jwk["kid"], "alg": algorithm})
    return public


def _client_key(jwk: Mapping[str, Any]) -> tuple[str, ECKey | RSAKey]:
    algorithm = _ALGORITHMS.get((str(jwk.get("kty")), str(jwk.get("crv", ""))))
    if algorithm is None:
        raise ClientKeysUnusable
    members = {name: value for name, value in jwk.items() if name not in ("use", "key_ops", "alg", "kid")}
    try:
        kind = ECKey if algorithm.startswith("ES") else RSAKey
        return algorithm, kind.import_key(members)
    except (JoseError, ValueError, TypeError):
        raise ClientKeysUnusable from None


def client_key(assertion: str, jwks: Mapping[str, Any]) -> tuple[str, ECKey | RSAKey]:
    """Return algorithm and key of the registered set that an assertion's ``kid`` names.

    Raises:
        InvalidClient: it names none of them.
    """
    kid = _header(assertion).get("kid")
    for jwk in jwks["keys"]:
        if jwk["kid"] == kid:
            return _client_key(jwk)
    raise InvalidClient("the client assertion's kid names none of the registered keys")


def _header(assertion: str) -> dict[str, Any]:
    try:
        header = jws.extract_compact(assertion.encode()).headers()
    except (JoseError, ValueError, TypeError):
        raise InvalidClient("the client assertion is not a JWT") from None
    return dict(header)


def _unchecked(assertion: str) -> dict[str, Any]:
    claims = json.loads(jws.extract_compact(assertion.encode()).payload)
    return claims if isinstance(claims, dict) else {}


def read_assertion(
    assertion: str, *, key: ECKey | RSAKey, algorithm: str = "ES256", audiences: list[str], now: datetime
) -> Assertion:
    """Return a client assertion whose signature, issuer, subject, audience and times are right (RFC 7523 §3).

    Raises:
        InvalidClient: signature or claims are not.
        AssertionOutOfTime: it has expired, lasts longer than five minutes, or comes from the future.
    """
    who = jwt.JWTClaimsRegistry(
        iss={"essential": True}, sub={"essential": True}, aud={"essential": True, "values": audiences}
    )
    if _BRING_A_KEY & _header(assertion).keys():
        raise InvalidClient("the client assertion must not bring a key along")
    try:
        claims = jwt.decode(assertion, key, algorithms=[algorithm]).claims
        who.validate({name: claims[name] for name in ("iss", "sub", "aud") if name in claims})
        issuer, jti, expires = claims["iss"], claims.get("jti"), claims.get("exp")
        if (
            claims["sub"] != issuer
            or not isinstance(jti, str)
            or not 0 < len(jti) <= _LONGEST_JTI
            or not jti.isprintable()
        ):
            raise InvalidClient("the client assertion needs iss and sub alike, and a jti")
        if isinstance(expires, bool) or not isinstance(expires, int | float):
            raise InvalidClient("the client assertion needs an exp")
        said = Assertion(issuer, jti, datetime.fromtimestamp(0, UTC) + timedelta(seconds=float(expires)))
    except (JoseError, ValueError, TypeError, OverflowError):
        raise InvalidClient("the client assertion's signature or claims are wrong") from None
    _check_times(claims, said, now)
    return said


def _check_times(claims: dict[str, Any], said: Assertion, now: datetime) -> None:
    leeway = int(rules.CLOCK_LEEWAY.total_seconds())
    when = jwt.JWTClaimsRegistry(now=int(now.timestamp()), leeway=leeway, exp={"essential": True})
    try:
        when.validate({name: claims[name] for name in ("exp", "nbf", "iat") if name in claims})
    except JoseError:
        raise AssertionOutOfTime from None
    if not rules.assertion_in_time(said.expires, now):
        raise AssertionOutOfTime
