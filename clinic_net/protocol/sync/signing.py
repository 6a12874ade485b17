"""What a device signs. The signature itself is the programs' work; which bytes it stands over is the protocol's."""

from hashlib import sha256

_PUSH = b"clinicnet.sync.v1.push\n"


def signing_input(stream: bytes) -> bytes:
    """Return what the device's ES256 signature of a batch (``Sync-Signature``, base64url of r ‖ s) stands over.

    ``stream`` is the batch before compression: a relay may compress anew, the signature still holds.
    """
    return _PUSH + sha256(stream).digest()
