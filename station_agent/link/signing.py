"""What the device signs for the hub: batches and receipts."""

import base64
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc import jws
from joserfc.jwk import ECKey

from clinic_net.protocol.sync import Receipt
from clinic_net.protocol.sync.signing import signing_input
from station_agent import keys


class Signer:
    """The device's key, read when it is first needed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key: ECKey | None = None

    def _device(self) -> ECKey:
        if self._key is None:
            self._key = keys.load(self._directory)
        return self._key

    def batch(self, stream: bytes) -> str:
        """Return the ES256 signature of a batch: base64url of r ‖ s (RFC 7518 §3.4), without padding."""
        private = self._device().private_key
        assert isinstance(private, EllipticCurvePrivateKey)
        r, s = decode_dss_signature(private.sign(signing_input(stream), ECDSA(SHA256())))
        return base64.urlsafe_b64encode(r.to_bytes(32, "big") + s.to_bytes(32, "big")).rstrip(b"=").decode()

    def words(self, content: bytes) -> str:
        """Return a compact JWS (ES256) over some bytes."""
        return jws.serialize_compact({"alg": "ES256"}, content, self._device())

    def receipt(self, receipt: Receipt) -> str:
        """Return a receipt as a compact JWS (ES256)."""
        return self.words(receipt.model_dump_json().encode())
