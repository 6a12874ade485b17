"""Proofs of possession that are used up: each counts once, on any node, also after Redis was emptied."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access import store
from clinic_net.access.errors import InvalidProof
from clinic_net.access.keys import Use, derive
from clinic_net.access.model import UsedJti
from clinic_net.access.oauth import dpop
from clinic_net.access.oauth.issuer import Issuer

_REMEMBERED = timedelta(minutes=5)
"""Longer than any nonce lasts."""


@dataclass(frozen=True)
class Shown:
    """A ``DPoP`` header, and the request that it came with."""

    proof: str
    method: str
    url: str


async def proven_key(
    session: AsyncSession, shown: Shown, *, issuer: Issuer, now: datetime, token: str | None = None
) -> str:
    """Return the thumbprint of the key that a request proves to hold, and use the proof up in this transaction.

    Raises:
        InvalidProof: wrong, or used before. ProofNonceNeeded: without a fresh nonce. Both carry one to use next.
    """
    key = derive(issuer.key, Use.PROOF_NONCE)
    fresh = dpop.make_nonce(key, now)
    try:
        proof = dpop.read_proof(shown.proof, method=shown.method, url=shown.url, token=token)
        dpop.check_nonce(proof.nonce, key=key, now=now)
    except InvalidProof as refusal:
        refusal.nonce = fresh
        raise
    used = UsedJti(issuer=f"dpop:{proof.jkt}", jti=proof.jti, expires_at=now + _REMEMBERED)
    if not await store.use_jti(session, used, now):
        raise InvalidProof(nonce=fresh)
    return proof.jkt
