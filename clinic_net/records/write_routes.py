"""The interactions that write, by id and by search: create, update, patch, delete."""

from fastapi import APIRouter, Response

from clinic_net.records import service
from clinic_net.records.http import Exchanging, FhirRoute, written
from clinic_net.records.preconditions import demand_none_match

router = APIRouter(route_class=FhirRoute)


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
    demand_none_match(exchange.request.headers.get("if-none-match"), stored)
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
