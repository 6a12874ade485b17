"""Keys derived from the hub's one token key, one per use, and digests made with them."""

import hashlib
import hmac
from enum import StrEnum

from pydantic import SecretStr


class Use(StrEnum):
    """What a derived key is for; a digest made for one use never matches another's."""

    ACCESS_TOKEN = "access-token"  # noqa: S105 -- a name, not a secret
    ENROLMENT_CODE = "enrolment-code"
    ATTEMPT = "attempt"
    TOTP_SECRET = "totp-secret"  # noqa: S105 -- a name, not a secret
    RECOVERY_CODE = "recovery-code"
    KNOWN_BROWSER = "known-browser"
    PASSKEY_CHALLENGE = "passkey-challenge"
    ID_TOKEN = "id-token"  # noqa: S105 -- a name, not a secret
    PROOF_NONCE = "dpop-nonce"
    SIGNING_IN_ELSEWHERE = "signing-in-elsewhere"
    PSEUDONYM = "pseudonym"
    SYNC_TICKET = "sync-ticket"
    SMS = "sms"


def derive(token_key: SecretStr, use: Use) -> bytes:
    """Return the 32-byte key for one use (HMAC-SHA-256 as a key derivation function, NIST SP 800-108)."""
    return hmac.digest(token_key.get_secret_value().encode(), f"clinic-net/{use}".encode(), "sha256")


def keyed_digest(token_key: SecretStr, use: Use, text: str) -> bytes:
    """Return a digest of ``text`` that cannot be found by trying without the hub's key."""
    return hmac.digest(derive(token_key, use), text.encode(), "sha256")


def digest(secret: str) -> bytes:
    """Return the SHA-256 of a secret of at least 128 random bits (nothing shorter is safe with this)."""
    return hashlib.sha256(secret.encode()).digest()
