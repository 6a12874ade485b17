"""An envelope around what must not be read in the database: data keys seal values, a key outside wraps the data keys.

A sealed value is text of letters, digits, hyphens and underscores between two marks, so that it stands within a JSON
string as it is. It names its data key, and opens only where it was put: what it is bound to is signed with it
(AES-256-GCM, NIST SP 800-38D; data keys are wrapped by RFC 3394). Pure: keys are handed in, see ``data_keys``.
"""

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap
from pydantic import SecretStr

from clinic_net.kernel.errors import Unavailable

MARK = b"~sealed."
"""Begins every sealed value."""
SEALED = re.compile(re.escape(MARK) + rb"([A-Za-z0-9_-]{48,}+)~")
_NAME_BYTES = 8
_NONCE_BYTES = 12
"""Random: a data key seals at most 2³² values (SP 800-38D §8.3), some forty for everybody in the country."""
_KEY_BYTES = 32


class DataKeyUnknown(Unavailable):
    """The data key of a sealed value is not known to this process yet; it asks for it, so a second try finds it."""

    code = "data-key-unknown"


class SealBroken(Unavailable):
    """A sealed value was changed, or stands where it was not put."""

    code = "seal-broken"


class NoDataKey(Unavailable):
    """There is no data key to seal with: the database is of an older release."""

    code = "no-data-key"


@dataclass(frozen=True)
class MasterKey:
    """A key outside the database that wraps data keys. ``name`` tells it from others and nothing about it."""

    name: bytes
    _secret: bytes

    @classmethod
    def of(cls, secret: SecretStr) -> "MasterKey":
        """Derive it from a setting of at least 32 characters."""
        text = secret.get_secret_value().encode()
        return cls(
            hashlib.blake2b(text, digest_size=_NAME_BYTES, person=b"master-key-name").digest(),
            hashlib.blake2b(text, digest_size=_KEY_BYTES, person=b"master-key").digest(),
        )

    def wrap(self, data_key: bytes) -> bytes:
        return aes_key_wrap(self._secret, data_key)

    def unwrap(self, wrapped: bytes) -> bytes | None:
        """Return the data key, or None when it was not this key that wrapped it."""
        try:
            return aes_key_unwrap(self._secret, wrapped)
        except InvalidUnwrap:
            return None

    def __repr__(self) -> str:
        return f"MasterKey({self.name.hex()})"


def new_data_key() -> tuple[bytes, bytes]:
    """Return the name and the octets of a new data key."""
    return os.urandom(_NAME_BYTES), os.urandom(_KEY_BYTES)


_known: dict[bytes, AESGCM] = {}
"""Data keys that this process may open with, by their random names: of every database that it speaks to."""


def learn(keys: Mapping[bytes, bytes]) -> None:
    """Let this process open what these data keys have sealed."""
    for name, key in keys.items():
        if name not in _known:
            _known[name] = AESGCM(key)


def knows(name: bytes) -> bool:
    return name in _known


def seal(plain: bytes, key: bytes, *, bound: bytes) -> bytes:
    """Return a sealed value, made with the data key of this name. It opens only with the same ``bound``."""
    nonce = os.urandom(_NONCE_BYTES)
    sealed = _known[key].encrypt(nonce, plain, bound)
    return MARK + base64.urlsafe_b64encode(key + nonce + sealed).rstrip(b"=") + b"~"


def unseal(text: bytes, *, bound: bytes) -> bytes:
    """Return ``text`` with every sealed value in it opened.

    Raises:
        DataKeyUnknown: a data key is not known here (yet).
        SealBroken: a value was changed, or was put elsewhere.
    """
    return SEALED.sub(lambda found: _opened(found[1], bound), text)


def _opened(value: bytes, bound: bytes) -> bytes:
    try:
        raw = base64.urlsafe_b64decode(value + b"=" * (-len(value) % 4))
    except binascii.Error:
        raise SealBroken("a sealed value cannot be opened") from None
    name, nonce, sealed = raw[:_NAME_BYTES], raw[_NAME_BYTES:20], raw[20:]
    key = _known.get(name)
    if key is None:
        raise DataKeyUnknown("a key is being fetched; try again")
    try:
        return key.decrypt(nonce, sealed, bound)
    except InvalidTag:
        raise SealBroken("a sealed value cannot be opened") from None
