"""``$validate``: whether a resource is sound, and whether it could be created, updated or deleted as it is.

A mode is tried out: the write is done and undone within the request, so that the answer is what the write's would be.
"""

from collections.abc import Awaitable
from typing import Any, NamedTuple

from fastapi import APIRouter, Response

from clinic_net.fhir import check, from_refusal, operation_outcome, parse, write
from clinic_net.kernel.errors import Place, Refusal
from clinic_net.records import operations, service
from clinic_net.records.errors import MalformedRequest
from clinic_net.records.http import Exchange, Exchanging, FhirRoute, fhir_json

router = APIRouter(route_class=FhirRoute)

_RIGHTS = {"create": "c", "update": "u", "delete": "d"}
_OF_AN_INSTANCE = ("update", "delete")


class _Asked(NamedTuple):
    """``mode`` None: whether it is sound in general. ``text`` None: no resource came."""

    mode: str | None
    text: bytes | None


@router.post("/{rtype:type_name}/$validate")
async def validate(rtype: str, exchange: Exchanging) -> Response:
    """Say what is wrong with a resource, without storing it."""
    return await _validate(exchange, rtype, None)


@router.api_route("/{rtype:type_name}/{fid}/$validate", methods=["GET", "HEAD", "POST"])
async def validate_instance(rtype: str, fid: str, exchange: Exchanging) -> Response:
    """Say what is wrong with a stored resource or a change of it, or whether it could be deleted."""
    return await _validate(exchange, rtype, fid)


async def _validate(exchange: Exchange, rtype: str, fid: str | None) -> Response:
    asked = await _read(exchange, rtype)
    if asked.mode in _OF_AN_INSTANCE and fid is None:
        raise MalformedRequest("this mode is for the address of a resource")
    right = _RIGHTS.get(asked.mode or "") or next((a for a in "cruds" if exchange.allows(rtype, a)), "r")
    exchange.demand(rtype, right, fid)
    text = asked.text
    if fid is not None:
        exchange.demand(rtype, "r", fid)
        stored = await service.read(
            exchange.s, rtype, fid, scope=exchange.scope, now=exchange.now, by=exchange.by
        )
        text = text or stored.text
    if asked.mode == "delete":
        assert fid is not None
        gone = service.delete(
            exchange.s, rtype, fid, scope=exchange.scope, author=exchange.by, now=exchange.now,
            if_match=exchange.if_match,
        )  # fmt: skip
        refusal = await _tried(exchange, gone)
        return _outcome(operation_outcome([]) if refusal is None else from_refusal(refusal))
    content = None if text is None else parse(text)
    if text is None or content is None or content.get("resourceType") != rtype:
        raise MalformedRequest("a resource of the type of the address is expected")
    issues = check(content)
    if asked.mode in _RIGHTS and not any(issue.severity in ("fatal", "error") for issue in issues):
        refusal = await _tried_to_write(exchange, rtype, fid if asked.mode == "update" else None, text)
        if refusal is not None:
            return _outcome(from_refusal(refusal))
    return _outcome(operation_outcome(issues))


def _outcome(outcome: dict[str, Any]) -> Response:
    return fhir_json(write(outcome))


async def _tried_to_write(exchange: Exchange, rtype: str, fid: str | None, text: bytes) -> Refusal | None:
    if fid is not None and parse(text).get("id") != fid:
        place = Place(f"{rtype}.id", "invalid", "the resource's id must be the id of the address")
        return MalformedRequest(place.message, places=[place])
    stored = service.put(
        exchange.s,
        text,
        rtype=rtype,
        fid=fid,
        scope=exchange.scope,
        author=exchange.by,
        tenant=exchange.tenant,
        now=exchange.now,
        if_match=exchange.if_match if fid is not None else None,
        with_patient=True,
    )
    return await _tried(exchange, stored)


async def _tried(exchange: Exchange, writing: Awaitable[object]) -> Refusal | None:
    """Write, undo it, and return why it was refused."""
    attempt = await exchange.s.begin_nested()
    try:
        await writing
    except Refusal as refusal:
        return refusal
    finally:
        await attempt.rollback()
    return None


async def _read(exchange: Exchange, rtype: str) -> _Asked:
    """Return what is asked, by the address and, of a POST, by Parameters or the resource itself."""
    query = exchange.request.query_params.multi_items()
    modes: list[Any] = [value for name, value in query if name == "mode"]
    profiles: list[Any] = [value for name, value in query if name == "profile"]
    text = None
    if exchange.request.method == "POST" and await exchange.request.body():
        text = await exchange.body()
        content = parse(text)
        if content.get("resourceType") == "Parameters" and rtype != "Parameters":
            given = operations.parameters_of(content)
            modes += [item.get("valueCode") for item in given.get("mode", ())]
            profiles += [
                item.get("valueUri", item.get("valueCanonical")) for item in given.get("profile", ())
            ]
            resources = [item.get("resource") for item in given.get("resource", ())]
            if len(resources) > 1 or not all(isinstance(one, dict) for one in resources):
                raise MalformedRequest("one resource is expected")
            text = write(resources[0]) if resources else None
    if len(modes) > 1 or any(mode not in (*_RIGHTS, "profile") for mode in modes):
        raise MalformedRequest("mode is one of create, update, delete and profile")
    if modes == ["profile"] and not profiles:
        raise MalformedRequest("this mode needs a profile")
    operations.checked_profile(profiles, rtype)
    return _Asked(modes[0] if modes else None, text)
