"""Settings in, ASGI application out. The only place that knows every router, and how a refusal looks in HTTP."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from http import HTTPStatus

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from sqlalchemy.exc import DataError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException as StarletteHTTPException

from clinic_net import audit, console, worker
from clinic_net.access.errors import CredentialRevoked, InvalidProof, InvalidToken
from clinic_net.access.http import COOKIE, SameOriginOnly
from clinic_net.access.limits import LimitStrangers, failed
from clinic_net.access.lines import demand_second_line
from clinic_net.access.oauth import dpop
from clinic_net.access.principals import ADMINISTRATORS
from clinic_net.access.routes import router as access_routes
from clinic_net.audit.routes import router as audit_routes
from clinic_net.fhir.outcome import from_refusal
from clinic_net.fleet.routes import router as fleet_routes
from clinic_net.kernel import clock
from clinic_net.kernel.asgi import AnswerFailures, BrowserHeaders, LimitBody, LogRequests
from clinic_net.kernel.errors import (
    Invalid,
    NotFound,
    Place,
    Refusal,
    TooLarge,
    TooMany,
    Unavailable,
)
from clinic_net.kernel.health import router as health_routes
from clinic_net.kernel.http import status_of
from clinic_net.kernel.hub import open_hub
from clinic_net.kernel.logging import where
from clinic_net.kernel.settings import HubSettings
from clinic_net.records.async_routes import router as async_routes
from clinic_net.records.cors import FhirCors
from clinic_net.records.express_routes import routes as express_routes
from clinic_net.records.routes import router as records_routes
from clinic_net.records.search_routes import router as search_routes
from clinic_net.signalling import edge as signalling
from clinic_net.sync.binary_routes import router as binary_routes
from clinic_net.sync.routes import router as sync_routes

log = structlog.get_logger()


def create_app(
    settings: HubSettings, *, with_worker: bool = True, now: Callable[[], datetime] = clock.now
) -> FastAPI:
    """Return the hub. ``with_worker`` also runs the worker in this process."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_hub(settings, now=now) as hub:
            app.state.hub = hub
            if relaxed := sorted({role.value for role in ADMINISTRATORS} - set(settings.mfa_roles)):
                log.warning("second_factor_relaxed", count=len(relaxed))
            await demand_second_line(hub)
            async with signalling.running(app):
                background = asyncio.create_task(worker.run(hub), name="worker") if with_worker else None
                # Python's full collection stops the loop for a second with 14,000 sockets; what lives
                # as long as the process need not be looked at again.
                gc.collect()
                gc.freeze()
                gc.set_threshold(50_000, 20, 100)
                yield
                if background is not None:
                    background.cancel()
                    with suppress(asyncio.CancelledError):
                        await background

    # What the interfaces are is told by the CapabilityStatement and by the protocol's page, not by a schema that
    # FastAPI guesses.
    app = FastAPI(title="clinic-net", version="0.1.0", lifespan=lifespan, openapi_url=None)
    app.add_middleware(AnswerFailures, failed=_failed)
    app.add_middleware(SameOriginOnly, public_url=settings.public_url)
    if settings.cors_origins:
        app.add_middleware(FhirCors, origins=settings.cors_origins)
    app.add_middleware(LimitBody, refused=_too_large)
    app.add_middleware(LimitStrangers, cookie=COOKIE)
    app.add_middleware(BrowserHeaders, public_url=settings.public_url)
    app.add_middleware(LogRequests)
    app.add_middleware(audit.FromRequest, settings=settings)
    app.include_router(async_routes)  # first: they see only requests that prefer an answer later
    app.include_router(binary_routes)  # a Binary by its digest is no resource of the store
    app.router.routes.extend(express_routes)  # before the others: they are asked for most
    app.include_router(health_routes)
    app.include_router(access_routes)
    app.include_router(audit_routes)
    app.include_router(fleet_routes)
    app.include_router(search_routes)
    app.include_router(records_routes)
    app.include_router(sync_routes)
    signalling.mount(app)
    console.mount(app)
    _map_errors(app)
    return app


def _map_errors(app: FastAPI) -> None:
    @app.exception_handler(Refusal)
    async def refused(request: Request, refusal: Refusal) -> Response:
        return _answer(request, refusal)

    @app.exception_handler(RequestValidationError)
    async def not_valid(request: Request, invalid: RequestValidationError) -> Response:
        # Only locations and rules: pydantic's errors quote what was sent.
        places = [
            Place(
                ".".join(str(part) for part in error["loc"]),
                str(error["type"]).replace("_", "-"),
                error["type"],
            )
            for error in invalid.errors()
        ]
        return _answer(request, Invalid("the request is not of the expected form", places=places))

    @app.exception_handler(PoolTimeout)
    async def busy(request: Request, _: PoolTimeout) -> Response:
        return _answer(request, Unavailable("the hub is busy; try again"))

    @app.exception_handler(UnicodeError)
    async def not_text(request: Request, _: UnicodeError) -> Response:
        return _answer(request, Invalid("the request holds text that is none"))

    @app.exception_handler(DBAPIError)
    async def database_away(request: Request, failure: DBAPIError) -> Response:
        if isinstance(failure, DataError):  # a NUL, a number too large: what came, not the database
            return _answer(request, Invalid("the request holds a value that cannot be stored"))
        log.warning("database_failed", error=type(failure.orig).__name__)
        return _answer(request, Unavailable("the database is away; try again"))

    @app.exception_handler(StarletteHTTPException)
    async def plain(request: Request, refused: StarletteHTTPException) -> Response:
        kind: type[Refusal] = NotFound if refused.status_code == 404 else Refusal
        refusal = kind("no such page" if refused.status_code == 404 else refused.detail)
        response = _answer(request, refusal, status=refused.status_code)
        response.headers.update(refused.headers or {})
        return response

    @app.exception_handler(Exception)
    async def failed(request: Request, failure: Exception) -> Response:
        return _failed(request, failure)


def _failed(request: Request, failure: Exception) -> Response:
    log.error("request_failed", error=type(failure).__name__, place=where(failure))
    return _answer(request, Unavailable("something went wrong here; try again"), status=500)


def _too_large(request: Request) -> Response:
    return _answer(request, TooLarge("the body is larger than 5 MiB"))


def _answer(request: Request, refusal: Refusal, *, status: int | None = None) -> Response:
    """Say a refusal in the language of whoever asked: FHIR, a page, or JSON."""
    status = status or status_of(refusal)
    headers: dict[str, str] = {}
    if isinstance(refusal, TooMany):
        headers["Retry-After"] = str(refusal.retry_after)
    elif isinstance(refusal, Unavailable):
        headers["Retry-After"] = "2"
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(getattr(refusal, "allowed", ()))
    if status == HTTPStatus.UNAUTHORIZED:
        failed(request, request.app.state.hub)
        headers["WWW-Authenticate"] = _challenge(request, refusal)
        if isinstance(refusal, InvalidProof) and refusal.nonce:
            headers["DPoP-Nonce"] = refusal.nonce
    path = request.url.path
    if path == "/fhir" or path.startswith("/fhir/"):
        return JSONResponse(from_refusal(refusal), status, headers, media_type="application/fhir+json")
    if "text/html" in request.headers.get("accept", ""):
        return console.refusal_page(request, refusal, status=status, headers=headers)
    body = {
        "code": refusal.code,
        "message": refusal.message,
        "retry": refusal.retry.value,
        "places": [
            {"path": place.path, "code": place.code, "message": place.message} for place in refusal.places
        ],
    }
    return JSONResponse(body, status, headers)


def _challenge(request: Request, refusal: Refusal) -> str:
    """Return how to come back with a credential (RFC 9110 §11.6.1); why a token failed, as RFC 6750 §3 says it."""
    if isinstance(refusal, InvalidProof):  # RFC 9449 §7.1
        return f'DPoP realm="clinic-net", error="{refusal.oauth_error}", algs="{" ".join(dpop.ALGORITHMS)}"'
    failed = isinstance(refusal, InvalidToken | CredentialRevoked) and "authorization" in request.headers
    return 'Bearer realm="clinic-net"' + (', error="invalid_token"' if failed else "")
