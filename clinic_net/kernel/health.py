"""Alive, ready, and the figures for Prometheus.

Losing Redis or the database makes a node unready, never dead: calls in progress need neither.
"""

import asyncio
from ipaddress import ip_address

import psycopg
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from redis.exceptions import RedisError

from clinic_net.kernel.errors import NotFound
from clinic_net.kernel.http import CurrentHub

router = APIRouter()

_PATIENCE_S = 2.0


@router.get("/healthz", include_in_schema=False)
async def alive() -> JSONResponse:
    """Say that the process serves; asks nobody else."""
    return JSONResponse({"alive": True})


@router.get("/readyz", include_in_schema=False)
async def ready(hub: CurrentHub) -> JSONResponse:
    """Say whether the database and Redis answer; 503 when one does not."""
    database, redis = await asyncio.gather(_database_answers(hub.settings.database), _redis_answers(hub))
    ok = database and redis
    return JSONResponse({"ready": ok, "database": database, "redis": redis}, status_code=200 if ok else 503)


async def _database_answers(url: str) -> bool:
    """Ask on a connection of its own: a pool that is full must not make the node look dead."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            connection = await psycopg.AsyncConnection.connect(
                url.replace("postgresql+psycopg://", "postgresql://"), connect_timeout=2
            )
            async with connection:
                await connection.execute("select 1")
    except (psycopg.Error, TimeoutError, OSError):
        return False
    return True


async def _redis_answers(hub: CurrentHub) -> bool:
    try:
        await hub.redis.ping()
    except (RedisError, OSError):
        return False
    return True


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request) -> Response:
    """Return the process's figures, to this machine only: a proxy's caller has no business with them."""
    host = request.client.host if request.client else ""
    if "x-forwarded-for" in request.headers or not _is_loopback(host):
        raise NotFound("no such page")
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
