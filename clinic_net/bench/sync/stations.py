"""Stations without a disk: a device with its key, tokens as a station asks for them, batches in their order."""

import asyncio
import base64
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import urlencode
from uuid import UUID, uuid5

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from joserfc import jws, jwt
from joserfc.jwk import ECKey

from clinic_net.access import service as access
from clinic_net.bench import framed
from clinic_net.bench.hub import MeasuredHub, NoHub
from clinic_net.bench.load import Answer, Client, Request
from clinic_net.directory import network
from clinic_net.directory import service as directory
from clinic_net.kernel import clock
from clinic_net.kernel.hub import open_hub
from clinic_net.protocol.sync import (
    MEDIA_TYPE,
    SIGNATURE_HEADER,
    Enrol,
    Enrolled,
    Lane,
    OpHead,
    PageHead,
    PullAsk,
    PushReply,
    codec,
    frames,
)
from clinic_net.protocol.sync.signing import signing_input

_TOKEN_GOOD_FOR = 240.0
"""Seconds; of 300."""
_PAGE_LONGEST = 16 * 1024 * 1024
_TOGETHER = 200
"""Devices enrolled in one transaction."""


class Refused(Exception):
    """The hub said no; ``retry_after`` the seconds it asked for, if it did."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"{answer.status}: {answer.body[:200]!r}")
        self.status = answer.status
        self.retry_after = float(answer.headers["retry-after"]) if "retry-after" in answer.headers else None


@dataclass(frozen=True, slots=True)
class Batch:
    """A push that is ready to go, and which operations are in it."""

    lane: Lane
    seq: int
    body: bytes
    coding: str
    signature: str
    count: int


@dataclass
class Station:
    """One device. It remembers nothing but its numbers, so thousands fit into one process."""

    site: str
    device: UUID
    key: ECKey
    url: str
    audience: str
    epoch: UUID
    sent: dict[Lane, int] = field(default_factory=dict)
    """The number of the last batch of each lane that was made."""
    token: str = ""
    token_ends: float = 0.0

    def batch(
        self, ops: Sequence[tuple[OpHead, bytes]], *, lane: Lane = Lane.CARE, level: int = codec.LEVEL
    ) -> Batch:
        """Return the next batch of a lane, compressed and signed."""
        seq = self.sent[lane] = self.sent.get(lane, 0) + 1
        stream = framed.batch(list(ops), station=self.site, epoch=self.epoch, seq=seq, lane=lane)
        body, coding = codec.compress(stream, codec.newest(), level=level)
        return Batch(lane, seq, body, coding, self._signature(stream), len(ops))

    def _signature(self, stream: bytes) -> str:
        private = self.key.private_key
        assert private is not None
        r, s = utils.decode_dss_signature(private.sign(signing_input(stream), ec.ECDSA(hashes.SHA256())))
        raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    async def sign_in(self, client: Client) -> None:
        """Have a token that is good for a while; ask for one by the device's key otherwise.

        Raises:
            Refused: the hub gives none.
        """
        if self.token and clock.monotonic() < self.token_ends:
            return
        now = clock.now()
        claims = {
            "iss": str(self.device),
            "sub": str(self.device),
            "aud": self.audience,
            "jti": secrets.token_urlsafe(24),
            "iat": int(now.timestamp()),
            "exp": int((now + timedelta(minutes=4)).timestamp()),
        }
        form = urlencode(
            {
                "grant_type": "client_credentials",
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                "client_assertion": jwt.encode({"alg": "ES256", "typ": "JWT"}, claims, self.key),
            }
        )
        answer = await client.ask(
            Request(
                "POST", access.TOKEN_PATH, form.encode(), content_type="application/x-www-form-urlencoded"
            )
        )
        if answer.status != 200:
            raise Refused(answer)
        self.token = json.loads(answer.body)["access_token"]
        self.token_ends = clock.monotonic() + _TOKEN_GOOD_FOR

    async def push(self, client: Client, batch: Batch) -> PushReply:
        """Send a batch and return the hub's answer: it is durable.

        Raises:
            Refused: the hub did not take it.
            Unanswered: nothing came back.
        """
        await self.sign_in(client)
        client.headers = {
            "accept": "*/*",
            "authorization": f"Bearer {self.token}",
            "content-encoding": batch.coding,
            SIGNATURE_HEADER.lower(): batch.signature,
        }
        answer = await client.ask(Request("POST", "/sync/v1/push", batch.body, content_type=MEDIA_TYPE))
        client.headers = {}
        if answer.status != 200:
            raise Refused(answer)
        return PushReply.model_validate_json(answer.body)

    async def became_of(self, client: Client, lane: Lane, seq: int) -> bool:
        """Ask, in a pull, whether the hub has applied a batch.

        Raises:
            Refused: it does not say.
        """
        ask = PullAsk(station=self.site, db_epoch=self.epoch, max_bytes=4096, asks=((lane, seq),))
        head, _ = frames.first_of(await self.pull(client, ask), PageHead)
        return any(told.seq == seq and not told.pending for told in head.answers)

    async def pull(self, client: Client, ask: PullAsk) -> bytes:
        """Return a page, decompressed.

        Raises:
            Refused: the hub gives none.
        """
        await self.sign_in(client)
        client.headers = {
            "authorization": f"Bearer {self.token}",
            "accept-encoding": "dcz, zstd",
            "available-dictionary": _named(codec.newest()),
        }
        body = ask.model_dump_json(exclude_defaults=True).encode()
        answer = await client.ask(Request("POST", "/sync/v1/pull", body, content_type=MEDIA_TYPE))
        client.headers = {}
        if answer.status != 200:
            raise Refused(answer)
        coding = answer.headers.get("content-encoding")
        return answer.body if coding is None else codec.decompress(answer.body, coding, limit=_PAGE_LONGEST)


def _named(dictionary: codec.Dictionary | None) -> str:
    """Return ``Available-Dictionary`` (RFC 9842 §2.2) of a dictionary."""
    return "" if dictionary is None else f":{base64.b64encode(dictionary.digest).decode()}:"


async def enrolled(hub: MeasuredHub, count: int, *, codes: Sequence[tuple[str, str]] = ()) -> list[Station]:
    """Return ``count`` stations, each with a device that the hub knows.

    At a hub that was started here the directory is filled and devices are added by the hub's own use cases; at another
    one, ``codes`` are pairs of site and enrolment code, and each is used up.

    Raises:
        NoHub: the hub refuses a code, or there are too few.
    """
    if hub.settings is None:
        if len(codes) < count:
            raise NoHub(f"{count} stations are needed, and {len(codes)} enrolment codes were given")
        return [await _enrol(hub, code) for _, code in codes[:count]]
    made: list[Station] = []
    async with open_hub(hub.settings) as opened:
        async with opened.sessions() as session, session.begin():
            await directory.seed_network(session, sites=max(count, 20))
        sites = network.site_codes(sites=max(count, 20))
        for start in range(0, count, _TOGETHER):
            async with opened.sessions() as session, session.begin():
                for site in sites[start : min(start + _TOGETHER, count)]:
                    key = ECKey.generate_key("P-256", private=True)
                    code, _ = await access.issue_code(
                        session, site, by="operator:bench", now=clock.now(), key=hub.settings.token_key
                    )
                    device = await access.enrol(
                        session,
                        access.Enrolment(code, _public(key), _proof(key, code), "bench"),
                        key=hub.settings.token_key,
                        now=clock.now(),
                    )
                    made.append(_station(hub, site, device.id, key, hub.url + access.TOKEN_PATH))
    return made


async def _enrol(hub: MeasuredHub, code: str) -> Station:
    key = await asyncio.to_thread(ECKey.generate_key, "P-256", private=True)
    wanted = Enrol(code=code, jwk=_public(key), proof=_proof(key, code), agent="bench")
    client = Client(hub.url)
    answer = await client.ask(
        Request("POST", "/fleet/v1/enrol", wanted.model_dump_json().encode(), content_type="application/json")
    )
    client.close()
    if answer.status != 200:
        raise NoHub(f"the hub takes an enrolment code with {answer.status}")
    told = Enrolled.model_validate_json(answer.body)
    return _station(hub, told.station, told.device, key, told.audience)


def _station(hub: MeasuredHub, site: str, device: UUID, key: ECKey, audience: str) -> Station:
    epoch = uuid5(device, "bench")
    return Station(site, device, key, hub.url, audience, epoch)


def _public(key: ECKey) -> dict[str, str]:
    whole = key.as_dict(private=False)
    return {member: str(whole[member]) for member in ("kty", "crv", "x", "y")}


def _proof(key: ECKey, code: str) -> str:
    return jws.serialize_compact({"alg": "ES256"}, code.encode(), key)
