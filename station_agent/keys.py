"""The device's own key: P-256, made here, never leaves this computer. It is the station's identity at the hub."""

from datetime import datetime, timedelta
from pathlib import Path

from joserfc import jws, jwt
from joserfc.jwk import ECKey

from station_agent import sealing
from station_agent.errors import NotEnrolled

FILE_NAME = "device-key.sealed"
_PLAIN = "device-key.pem"
"""Where releases before sealing kept it; it is sealed when it is read."""
_PURPOSE = "device key"

ASSERTION_LIFETIME = timedelta(minutes=4)
"""The hub takes at most five minutes; a minute is left for a clock that is a little ahead."""


def make(directory: Path) -> ECKey:
    """Make a new key in the directory, sealed to this computer, beside a former one; readable by its owner only."""
    key = ECKey.generate_key("P-256", private=True)
    sealing.write(directory / f"{FILE_NAME}.new", key.as_pem(private=True), _PURPOSE, sealing.this_computer())
    return key


def keep_made(directory: Path) -> None:
    """Put the key that ``make`` made in the place of the former one: the hub has registered it."""
    (directory / f"{FILE_NAME}.new").replace(directory / FILE_NAME)
    sealing.settle(directory)
    (directory / _PLAIN).unlink(missing_ok=True)


def forget_made(directory: Path) -> None:
    """Remove the key that ``make`` made: the hub did not take it."""
    (directory / f"{FILE_NAME}.new").unlink(missing_ok=True)


def load(directory: Path) -> ECKey:
    """Read the device's key.

    Raises:
        NotEnrolled: there is none.
        OtherComputer, SealBroken: it does not open here.
    """
    sealer = sealing.this_computer()
    try:
        return ECKey.import_key(sealing.read(directory / FILE_NAME, _PURPOSE, sealer))
    except FileNotFoundError:
        pass
    try:
        plain = (directory / _PLAIN).read_bytes()
    except FileNotFoundError:
        raise NotEnrolled("this station has not been enrolled: run station-agent enrol") from None
    key = ECKey.import_key(plain)
    sealing.write(directory / FILE_NAME, plain, _PURPOSE, sealer)
    sealing.wipe(directory / _PLAIN)
    return key


def public_jwk(key: ECKey) -> dict[str, str]:
    """Return the public part for the hub (RFC 7518 §6.2)."""
    whole = key.as_dict(private=False)
    return {member: str(whole[member]) for member in ("kty", "crv", "x", "y")}


def prove(key: ECKey, code: str) -> str:
    """Return a compact JWS (ES256) over the code: who enrols holds the private key."""
    return jws.serialize_compact({"alg": "ES256"}, code.encode(), key)


def assertion(key: ECKey, *, device: str, audience: str, jti: str, now: datetime) -> str:
    """Return a client assertion (RFC 7523): this device asks for a token."""
    claims = {
        "iss": device,
        "sub": device,
        "aud": audience,
        "jti": jti,
        "iat": int(now.timestamp()),
        "exp": int((now + ASSERTION_LIFETIME).timestamp()),
    }
    return jwt.encode({"alg": "ES256", "typ": "JWT"}, claims, key)
