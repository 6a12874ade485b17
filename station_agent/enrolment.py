"""Enrolment: a one-time code from the operator makes this computer the station's device."""

from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from pydantic import ValidationError

from clinic_net.protocol.sync import Enrol, Enrolled
from station_agent import __version__, keys, lock
from station_agent.errors import EnrolmentRefused, HubUnreachable
from station_agent.store import Database, batches, outbox, settings
from station_agent.store.database import FILE_NAME

TIMEOUT_S = 30.0


def enrol(
    directory: Path, *, hub: str, code: str, now: datetime, transport: httpx.BaseTransport | None = None
) -> Enrolled:
    """Register a new key for the station that the code was made for. On refusal nothing here has changed.

    Raises:
        EnrolmentRefused: by the hub (its code and words), or the address is no hub, or records of another station
            wait in this directory.
        HubUnreachable: no answer.
        AlreadyRunning: the station's agent runs; it would go on with its old identity.
    """
    address = hub_address(hub)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    held = lock.hold(directory)
    try:
        database = Database(directory / FILE_NAME, now)
    except BaseException:
        held.close()
        raise
    try:
        key = keys.make(directory)
        asked = Enrol(code=code, jwk=keys.public_jwk(key), proof=keys.prove(key, code), agent=__version__)
        enrolled = _ask(address, asked, transport)
        with database.transaction() as tx:
            _refuse_other_station(tx, enrolled)
            settings.put_enrolment(tx, {**enrolled.model_dump(mode="json"), "hub": address})
            batches.sign_anew(tx)
            keys.keep_made(directory)
    except ValidationError:
        raise EnrolmentRefused("enrolment-code-shape", "a code has 8 to 40 letters and digits") from None
    finally:
        keys.forget_made(directory)
        database.close()
        held.close()
    return enrolled


def hub_address(text: str) -> str:
    """Return the hub's address without a trailing slash.

    Raises:
        EnrolmentRefused: it is no http or https address.
    """
    parts = urlsplit(text.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise EnrolmentRefused(
            "hub-address", "the hub's address begins with https:// (or http:// on a test network)"
        )
    return text.strip().rstrip("/")


def _ask(hub: str, asked: Enrol, transport: httpx.BaseTransport | None) -> Enrolled:
    try:
        with httpx.Client(transport=transport, timeout=TIMEOUT_S) as client:
            answer = client.post(f"{hub}/fleet/v1/enrol", json=asked.model_dump(mode="json"))
    except httpx.HTTPError:
        raise HubUnreachable(
            "no answer from the hub: check the address, the cable and the time of day"
        ) from None
    if answer.status_code not in (200, 201):
        raise _refusal(answer)
    try:
        return Enrolled.model_validate_json(answer.content)
    except ValidationError:
        raise EnrolmentRefused("not-a-hub", "this address answered, but it is no clinic-net hub") from None


def _refusal(answer: httpx.Response) -> EnrolmentRefused:
    said = body_of(answer)
    code, message = said.get("code"), said.get("message") or said.get("detail") or said.get("title")
    if not isinstance(code, str):
        return EnrolmentRefused(
            "not-a-hub", f"this address answered {answer.status_code}, not like a clinic-net hub"
        )
    words = str(message) if message else "the hub refused"
    if (wait := answer.headers.get("Retry-After", "")).isdecimal():
        words = f"{words} (try again in {wait} seconds)"
    return EnrolmentRefused(code, words)


def body_of(answer: httpx.Response) -> dict[str, Any]:
    """Return a JSON object that was answered, or an empty one."""
    try:
        said = answer.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _refuse_other_station(tx: Any, enrolled: Enrolled) -> None:
    before = settings.enrolment(tx)
    if before is not None and before["station"] != enrolled.station and outbox.counts(tx).total:
        raise EnrolmentRefused(
            "other-stations-records", "records of another station wait in this directory: use an empty one"
        )
