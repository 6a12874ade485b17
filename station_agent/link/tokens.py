"""Access tokens: asked for with the device's key, renewed before they end."""

import email.utils
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from station_agent import keys
from station_agent.enrolment import body_of
from station_agent.errors import LinkError, Revoked

RENEW_BEFORE = timedelta(seconds=60)
CLOCK_TOLERANCE = timedelta(seconds=30)


@dataclass(frozen=True)
class Token:
    """A bearer token; ``ends`` is by this computer's clock."""

    text: str
    ends: datetime


class Tokens:
    """Keeps one token. ``audience`` is the token endpoint as the hub knows it, ``url`` how it is reached."""

    def __init__(
        self, directory: Path, *, device: str, url: str, audience: str, clock: Callable[[], datetime]
    ) -> None:
        self._directory = directory
        self._device = device
        self._url = url
        self._audience = audience
        self._clock = clock
        self._token: Token | None = None
        self.clock_offset = timedelta(0)
        """The hub's clock minus this computer's. A station without a clock battery wakes up in the past."""

    def forget(self) -> None:
        """Ask for a fresh token next time: the hub did not take this one."""
        self._token = None

    async def get(self, client: httpx.AsyncClient) -> Token:
        """Return a token that is good for another minute.

        Raises:
            Revoked: the hub no longer takes this device.
            LinkError: no token now.
        """
        now = self._clock()
        if self._token is None or self._token.ends - RENEW_BEFORE <= now:
            self._token = await self._ask(client, may_correct_clock=True)
        return self._token

    async def _ask(self, client: httpx.AsyncClient, *, may_correct_clock: bool) -> Token:
        now = self._clock()
        key = keys.load(self._directory)
        assertion = keys.assertion(
            key,
            device=self._device,
            audience=self._audience,
            jti=secrets.token_urlsafe(24),
            now=now + self.clock_offset,
        )
        answer = await client.post(
            self._url,
            data={
                "grant_type": "client_credentials",
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                "client_assertion": assertion,
            },
        )
        if answer.status_code == 200:
            return _token(answer, now)
        if may_correct_clock and self._correct_clock(answer, now):
            return await self._ask(client, may_correct_clock=False)
        raise _refusal(answer)

    def _correct_clock(self, answer: httpx.Response, now: datetime) -> bool:
        """Note the hub's time; whether it differs so much from what was used that asking again makes sense."""
        offset = _hub_time(answer, now) - now
        if abs(offset - self.clock_offset) <= CLOCK_TOLERANCE:
            return False
        self.clock_offset = offset
        return True


def _token(answer: httpx.Response, now: datetime) -> Token:
    said = body_of(answer)
    text, lifetime = said.get("access_token"), said.get("expires_in", 300)
    if not isinstance(text, str) or not isinstance(lifetime, int | float):
        raise LinkError("not-a-hub")
    return Token(text, now + timedelta(seconds=lifetime))


def _hub_time(answer: httpx.Response, now: datetime) -> datetime:
    """Return the time of the hub: what it says in the body, or the Date header (RFC 9110 §6.6.1), or ``now``."""
    said = body_of(answer).get("server_time")
    try:
        told = datetime.fromisoformat(said) if isinstance(said, str) else None
        told = told or email.utils.parsedate_to_datetime(answer.headers.get("Date", ""))
    except (ValueError, TypeError):
        return now
    return told if told.tzinfo else told.replace(tzinfo=UTC)


def _refusal(answer: httpx.Response) -> LinkError:
    said = body_of(answer)
    told = f"{said.get('code', '')} {said.get('error_description', '')}"
    if answer.status_code in (400, 401) and "revoked" in told:
        return Revoked("device-revoked")
    return refused(answer, said.get("code") or said.get("error") or f"http-{answer.status_code}")


def refused(answer: httpx.Response, reason: str) -> LinkError:
    """Return the error of an answer that was no success, with the hub's wish to wait."""
    wait = answer.headers.get("Retry-After", "")
    return LinkError(str(reason), retry_after=float(wait) if wait.isdecimal() else None)
