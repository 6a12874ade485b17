"""A station as the hub's door sees it: a device with a key, a token, signed batches over HTTP."""

import base64
from dataclasses import dataclass
from uuid import UUID

import httpx
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from fastapi import FastAPI

from clinic_net.access import StationPrincipal
from clinic_net.access import service as access
from clinic_net.access.http import issuer_of
from clinic_net.kernel.hub import Hub
from clinic_net.protocol.sync import MEDIA_TYPE, SIGNATURE_HEADER
from clinic_net.protocol.sync.signing import signing_input
from tests.access.support import Device, code_for
from tests.console.support import browser
from tests.consultations.support import SITE
from tests.sync.stations import Station


@dataclass
class Line:
    """An enrolled device with its token."""

    device: Device
    token: str

    def station(self) -> Station:
        """Return a new database of this station."""
        return Station(StationPrincipal(site=SITE, device=UUID(self.device.id)))

    def signature(self, stream: bytes) -> str:
        return signed(self.device, stream)

    def headers(self, stream: bytes, **changed: str) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self.token}",
            "Accept": "application/json",
            "Content-Type": MEDIA_TYPE,
            SIGNATURE_HEADER: self.signature(stream),
            **{name.replace("_", "-"): value for name, value in changed.items()},
        }

    async def push(
        self, client: httpx.AsyncClient, stream: bytes, body: bytes | None = None, **changed: str
    ) -> httpx.Response:
        """Push a stream; ``body`` is what travels, if that is another."""
        return await client.post(
            "/sync/v1/push",
            content=stream if body is None else body,
            headers=self.headers(stream, **changed),
        )


def signed(device: Device, stream: bytes) -> str:
    """Return a device's signature of a batch, as the header has it."""
    key = device.key.private_key
    assert key is not None
    r, s = utils.decode_dss_signature(key.sign(signing_input(stream), ec.ECDSA(hashes.SHA256())))
    return base64.urlsafe_b64encode(r.to_bytes(32, "big") + s.to_bytes(32, "big")).rstrip(b"=").decode()


async def enrolled(hub: Hub, app: FastAPI) -> Line:
    """Enrol a device of the district's station, and get it a token."""
    device = Device.fresh()
    async with browser(app) as client:
        answer = await device.enrol(client, await code_for(hub, SITE, now=hub.now()))
        assert answer.status_code == 200, answer.text
    async with hub.sessions() as session, session.begin():
        granted = await access.grant_to_station(
            session, device.assertion(hub.now()), issuer=issuer_of(hub.settings), now=hub.now()
        )
    return Line(device, granted.token)
