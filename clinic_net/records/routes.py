"""FHIR R4 REST at ``/fhir``. Handlers translate; every answer is FHIR JSON."""

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from clinic_net.access.service import smart_configuration
from clinic_net.fhir import UnknownResourceType
from clinic_net.fhir.definitions import resource_types
from clinic_net.kernel.errors import NotFound
from clinic_net.kernel.http import CurrentHub
from clinic_net.records.addresses import allowed, routes_of
from clinic_net.records.async_routes import status_router
from clinic_net.records.capability import capability_statement
from clinic_net.records.compartment_routes import router as compartment_router
from clinic_net.records.errors import UnsupportedInteraction
from clinic_net.records.everything_routes import router as everything_router
from clinic_net.records.formats import demand_format
from clinic_net.records.history_routes import router as history_router
from clinic_net.records.http import (
    FhirRoute,
    OwnAddress,
    fhir_json,
)
from clinic_net.records.openapi import openapi
from clinic_net.records.operation_routes import router as operation_router
from clinic_net.records.reindex_routes import router as reindex_router
from clinic_net.records.validate_routes import router as validate_router
from clinic_net.records.write_routes import router as write_router

router = APIRouter(prefix="/fhir", route_class=FhirRoute, dependencies=[Depends(demand_format)])
_READ = ["GET", "HEAD"]

router.include_router(status_router)
router.include_router(reindex_router)
router.include_router(compartment_router)
router.include_router(everything_router)
router.include_router(history_router)
router.include_router(operation_router)
router.include_router(validate_router)


@router.api_route("/metadata", methods=_READ)
async def capabilities(base: OwnAddress) -> Response:
    """Tell what this hub can do. Needs no credentials."""
    return fhir_json(capability_statement(base))


@router.get("/.well-known/smart-configuration")
async def smart(base: OwnAddress, hub: CurrentHub) -> Response:
    """Tell where tokens are issued. Needs no credentials."""
    issuer = hub.settings.public_url.rstrip("/")
    return JSONResponse(smart_configuration(base.removesuffix("/fhir"), issuer))


@router.get("/openapi.json")
async def description(request: Request, base: OwnAddress) -> Response:
    """Tell in OpenAPI's words what is here. Needs no credentials."""
    return Response(openapi(base, tuple(routes_of(request.app.routes))), media_type="application/json")


router.include_router(write_router)


@router.api_route(
    "/{path:path}",
    methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
    include_in_schema=False,
)
async def elsewhere(path: str, request: Request) -> Response:
    """Refuse what no other address takes: an unknown type, or an interaction that is not there."""
    methods = allowed(request.app.routes, f"/fhir/{path}")
    rtype = path.partition("/")[0]
    names_a_type = rtype[:1].isupper() or not methods
    if rtype and names_a_type and rtype not in resource_types():
        raise UnknownResourceType("FHIR R4 has no such resource type")
    if path.count("/") > 3:
        raise NotFound("there is nothing at this address")
    raise UnsupportedInteraction("this interaction is not supported here", allowed=methods)
