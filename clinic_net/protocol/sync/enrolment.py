"""Exchanging a one-time code for a registered key."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from clinic_net.protocol.sync.messages import Message


class Enrol(Message):
    """``POST /fleet/v1/enrol``: exchange a one-time code for a registered key.

    ``jwk`` is the public part of a P-256 key made at the station; ``proof`` a compact JWS (ES256) over the
    UTF-8 bytes of the code, made with it: whoever enrols holds the private key.
    """

    code: Annotated[str, Field(min_length=8, max_length=40)]
    jwk: dict[str, str]
    proof: Annotated[str, Field(max_length=2000)]
    agent: Annotated[str, Field(max_length=40)] = ""


class Enrolled(Message):
    device: UUID
    station: str
    name: str
    facility: str
    facility_name: str
    commune: str
    province: str
    token_endpoint: str
    """Path of the token endpoint on the same hub."""
    audience: str
    """What the station's assertions name as ``aud``: the token endpoint as the hub knows itself, which need not
    be how the station reaches it."""
