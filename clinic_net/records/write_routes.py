"""The interactions that write, by id and by search: create, update, patch, delete."""

from fastapi import APIRouter, Response

from clinic_net.fhir import parse
from clinic_net.records import rules, service
from clinic_net.records.entries import Pairs, pairs_of
from clinic_net.records.errors import MalformedRequest
from clinic_net.records.http import TRANSPORT, Exchange, Exchanging, FhirRoute, written

router = APIRouter(route_class=FhirRoute)


@router.post("/{rtype:type_name}")
async def create(rtype: str, exchange: Exchanging) -> Response:
    """Create a resource, or find it by the criteria of ``If-None-Exist``.

    Criteria in the address mean the same: some clients put them there, and a create that overlooked them would make
    what its caller asked not to make.
    """
    exchange.demand(rtype, "c")
    text = await exchange.body()
    header = exchange.request.headers.get("if-none-exist")
    query = [pair for pair in exchange.request.query_params.multi_items() if pair[0] not in TRANSPORT]
    if header is not None and query:
        raise MalformedRequest("criteria stand in If-None-Exist or in the address, not in both")
    if header is not None or query:
        return await _create_unless_found(exchange, rtype, text, query or pairs_of(header or ""))
    stored = await service.put(
        exchange.s,
        text,
        rtype=rtype,
        fid=None,
        scope=exchange.scope,
        author=exchange.by,
        tenant=exchange.tenant,
        now=exchange.now,
        with_patient=True,
    )
    return written(exchange, stored)


async def _create_unless_found(exchange: Exchange, rtype: str, text: bytes, criteria: Pairs) -> Response:
    stored = await service.put_unless_found(
        exchange.s,
        text,
        exchange.criteria(rtype, criteria),
        scope=exchange.scope,
        author=exchange.by,
        tenant=exchange.tenant,
        now=exchange.now,
        with_patient=True,
    )
    return written(exchange, stored)


@router.put("/{rtype:type_name}/{fid:resource_id}")
async def update(rtype: str, fid: str, exchange: Exchanging) -> Response:
    """Write the next version, or create a resource under an id of the caller's choice."""
    exchange.demand(rtype, "u")
    text = await exchange.body()
    if not rules.ID.fullmatch(fid) or parse(text).get("id") != fid:
        raise MalformedRequest("the resource's id must be the id of the address")
    stored = await service.put(
        exchange.s,
        text,
        rtype=rtype,
        fid=fid,
        scope=exchange.scope,
        author=exchange.by,
        tenant=exchange.tenant,
        now=exchange.now,
        if_match=exchange.if_match,
        with_patient=True,
    )
    return written(exchange, stored)


@router.put("/{rtype:type_name}")
async def update_where(rtype: str, exchange: Exchanging) -> Response:
    """Write the next version of the one resource that meets the criteria, or create it."""
    exchange.demand(rtype, "u")
    criteria = exchange.criteria(rtype, exchange.request.query_params.multi_items())
    stored = await service.update_where(
        exchange.s,
        await exchange.body(),
        criteria,
        exchange.writer,
        may_create=exchange.allows(rtype, "c"),
        if_match=exchange.if_match,
    )
    return written(exchange, stored)


@router.patch("/{rtype:type_name}/{fid:resource_id}")
async def patch(rtype: str, fid: str, exchange: Exchanging) -> Response:
    """Change parts of a resource; the answer tells what it holds, so reading it must be allowed too."""
    exchange.demand(rtype, "u", fid)
    exchange.demand(rtype, "r", fid)
    stored = await service.patch(
        exchange.s, rtype, fid, await exchange.patch(), exchange.writer, if_match=exchange.if_match
    )
    return written(exchange, stored)


@router.patch("/{rtype:type_name}")
async def patch_where(rtype: str, exchange: Exchanging) -> Response:
    """Change parts of the one resource that meets the criteria."""
    exchange.demand(rtype, "u")
    criteria = exchange.criteria(rtype, exchange.request.query_params.multi_items())
    stored = await service.patch_where(
        exchange.s, criteria, await exchange.patch(), exchange.writer, if_match=exchange.if_match
    )
    return written(exchange, stored)


@router.delete("/{rtype:type_name}/{fid:resource_id}")
async def delete(rtype: str, fid: str, exchange: Exchanging) -> Response:
    """Delete a resource; its history stays."""
    exchange.demand(rtype, "d", fid)
    gone = await service.delete(
        exchange.s,
        rtype,
        fid,
        scope=exchange.scope,
        author=exchange.by,
        now=exchange.now,
        if_match=exchange.if_match,
    )
    return Response(status_code=204, headers={"ETag": f'W/"{gone.version}"'})


@router.delete("/{rtype:type_name}")
async def delete_where(rtype: str, exchange: Exchanging) -> Response:
    """Delete the one resource that meets the criteria; that nothing does is fine too."""
    exchange.demand(rtype, "d")
    criteria = exchange.criteria(rtype, exchange.request.query_params.multi_items())
    gone = await service.delete_where(exchange.s, criteria, exchange.writer, if_match=exchange.if_match)
    return Response(status_code=204, headers={"ETag": f'W/"{gone.version}"'} if gone else None)
