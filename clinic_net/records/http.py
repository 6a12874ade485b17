"""FHIR over HTTP: who asks, in which format, and how a resource is answered."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import datetime
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute
from sqlalchemy.exc import DBAPIError
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.convertors import StringConvertor, register_url_convertor

from clinic_net.access.http import Caller
from clinic_net.access.policy import RecordScope, demand, may, scope_of
from clinic_net.access.principals import Principal, StationPrincipal, UserPrincipal
from clinic_net.fhir import (
    Patch,
    Search,
    UnknownResourceType,
    operation_outcome,
    parse,
    parse_search,
    read_fhirpath_patch,
    read_json_patch,
    read_merge_patch,
    write,
)
from clinic_net.fhir.definitions import resource_types
from clinic_net.kernel.disconnect import unless_gone
from clinic_net.kernel.errors import Refusal
from clinic_net.kernel.http import CurrentHub, Now, UnitOfWork
from clinic_net.kernel.hub import Hub
from clinic_net.kernel.proxies import own_address
from clinic_net.records import rules
from clinic_net.records.conditional import Writer
from clinic_net.records.entries import Pairs, pairs_of
from clinic_net.records.errors import (
    MalformedRequest,
    NotForStations,
    UnknownResource,
    UnsupportedContent,
)
from clinic_net.records.formats import (
    FHIR_JSON,
    JSON_PATCH,
    MERGE_PATCH,
    content_type,
    json_text,
    refused,
    rendered,
    unpacked,
)
from clinic_net.records.outcomes import BAD_REQUESTS, refusal_of
from clinic_net.records.render import shown
from clinic_net.records.shapes import Stored, has_version

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

TRANSPORT = frozenset({"_format", "_pretty"})
"""Parameters that say how to answer, not what is asked."""

NATIONAL = "national"
"""The tenant of what a system client writes that is part of no patient's record."""


class _TypeName(StringConvertor):
    """A path segment that begins as a resource type does, so that ``metadata`` stays another address."""

    regex = "[A-Z][A-Za-z]{1,39}"


class _ResourceId(StringConvertor):
    """A path segment where an id stands: operations begin with ``$``, histories and searches with ``_``."""

    regex = "[^/$_][^/]*"


register_url_convertor("type_name", _TypeName())
register_url_convertor("resource_id", _ResourceId())


async def _meant(inner: Handler, request: Request) -> Response:
    """Give refusals the status that FHIR asks for, and the database's the meaning they have for a caller."""
    try:
        return await inner(request)
    except BAD_REQUESTS as refusal:
        setattr(refusal, "status", 400)  # noqa: B010 -- the instance, not the family, has this status
        raise
    except DBAPIError as failure:
        raise refusal_of(failure) from None


class FhirRoute(APIRoute):
    """Answers in the format that the caller wants, refusals too."""

    def get_route_handler(self) -> Handler:
        inner = super().get_route_handler()

        async def stoppable(request: Request) -> Response:
            return await unless_gone(request, inner(request))

        async def handle(request: Request) -> Response:
            return await answered(request, stoppable)

        return handle


async def answered(request: Request, inner: Handler) -> Response:
    """Return the answer of ``inner`` in the format that the caller wants, a refusal too."""
    # Before anything takes a connection to the database: a body may come as slowly as its sender likes.
    await request.body()
    try:
        answer = await _meant(inner, request)
    except Refusal as refusal:
        told = refused(request, refusal)
        if told is None:
            raise
        answer = told
    return rendered(request, answer)


@dataclass(frozen=True)
class Exchange:
    """One request to the records: who, when, at which address of ours.

    ``session`` is the transaction of its own, None where it shares one with others (``lanes``).
    """

    request: Request
    hub: Hub
    session: AsyncSession | None
    caller: Principal
    now: datetime
    base: str

    @property
    def s(self) -> AsyncSession:
        assert self.session is not None, "this request shares a transaction"
        return self.session

    @property
    def named(self) -> tuple[str, str]:
        """The type and the id of the address; ``""`` where it has none."""
        return self.request.path_params["rtype"], self.request.path_params.get("fid", "")

    @property
    def pairs(self) -> Pairs:
        """The parameters of the address, in order."""
        return self.request.query_params.multi_items()

    @property
    def scope(self) -> RecordScope:
        return scope_of(self.caller)

    @property
    def by(self) -> str:
        return self.caller.address

    @property
    def tenant(self) -> str:
        """Who answers for what this caller makes, where it is part of no patient's record."""
        return self.caller.facility if isinstance(self.caller, UserPrincipal) else NATIONAL

    def demand(self, rtype: str, action: str, fid: str | None = None) -> None:
        """Refuse an unknown type, what this caller may never do with it, and an id that cannot be one."""
        if rtype not in resource_types():
            raise UnknownResourceType("FHIR R4 has no such resource type")
        demand(self.caller, rtype, action)
        if fid is not None and not rules.ID.fullmatch(fid):
            raise UnknownResource

    def allows(self, rtype: str, action: str = "r") -> bool:
        """Whether this caller may ever do this: a compartment holds types that a scope may not read."""
        return may(self.caller, rtype, action)

    @property
    def writer(self) -> Writer:
        return Writer(self.scope, self.by, self.tenant, self.now)

    def criteria(self, rtype: str, pairs: Pairs) -> Search:
        """Return the search of a conditional interaction, always read strictly: leaving a part out widens it.

        Raises:
            InsufficientScope, RoleNotAllowed: whoever may not search and read may not write by criteria either,
                because the answer tells what was found (CVE-2026-113876).
        """
        self.demand(rtype, "s")
        self.demand(rtype, "r")
        rest = [pair for pair in pairs if pair[0] not in TRANSPORT]
        return parse_search(rtype, rest, base_url=self.base)

    def cut(self, stored: Stored) -> Stored:
        """Return a resource that is read, cut down as ``_summary`` or ``_elements`` ask (R4 http §3.1.0.1.1)."""
        pairs = self.request.query_params.multi_items()
        wanted = [pair for pair in pairs if pair[0] in ("_summary", "_elements")]
        return replace(stored, text=shown(stored, parse_search(stored.rtype, wanted))) if wanted else stored

    def preference(self, name: str) -> str | None:
        """Return the value of a preference in ``Prefer`` (RFC 7240)."""
        for part in ",".join(self.request.headers.getlist("prefer")).replace(";", ",").split(","):
            key, _, value = part.strip().partition("=")
            if key.lower() == name:
                return value.strip('" ')
        return None

    @property
    def if_match(self) -> int | None:
        """Return the version in ``If-Match``.

        Raises:
            MalformedRequest: it names no version.
        """
        etag = self.request.headers.get("if-match")
        version = None if etag is None else rules.etag_version(etag)
        if etag is not None and version is None:
            raise MalformedRequest("If-Match names no version")
        return version

    def asked(self, rtype: str, pairs: Pairs) -> tuple[Search, str | None]:
        """Return the typed search and the cursor of a query."""
        cursor = next((value for name, value in pairs if name == "_cursor"), None)
        rest = [pair for pair in pairs if pair[0] != "_cursor"]
        lenient = self.preference("handling") == "lenient"
        return parse_search(rtype, rest, lenient=lenient, base_url=self.base), cursor

    async def patch(self) -> Patch:
        """Return the patch that the body describes: a JSON Patch, a Merge Patch, or a FHIRPath Patch as Parameters.

        Plain ``application/json`` that is no Parameters is read as a merge patch: the elements that change.

        Raises:
            UnsupportedContent: it is neither by its content type.
            MalformedJson, MalformedPatch: it is not what the content type says.
        """
        if content_type(self.request) == JSON_PATCH:
            return read_json_patch(await unpacked(self.request))
        if content_type(self.request) == MERGE_PATCH:
            return read_merge_patch(await unpacked(self.request))
        text = await self.body()
        content = parse(text)
        if content_type(self.request) == "application/json" and content.get("resourceType") != "Parameters":
            return read_merge_patch(text)
        return read_fhirpath_patch(content)

    async def body(self) -> bytes:
        """Return the body's resource as JSON text, bounded by the hub's limit; see ``json_text`` for refusals."""
        return await json_text(self.request)

    async def form(self) -> Pairs:
        """Return the parameters of a search that was posted: the form's and the address's."""
        body = await unpacked(self.request)
        if content_type(self.request) != "application/x-www-form-urlencoded" and body:
            raise UnsupportedContent("the body must be application/x-www-form-urlencoded")
        return [*self.request.query_params.multi_items(), *pairs_of(body.decode("utf-8", "replace"))]


def base_of(request: Request, hub: CurrentHub) -> str:
    """Return our own FHIR address."""
    return own_address(request, hub.settings) + "/fhir"


async def _exchange(request: Request, s: UnitOfWork, caller: Caller, now: Now, hub: CurrentHub) -> Exchange:
    return exchange_of(request, hub, s, caller, now)


def exchange_of(
    request: Request, hub: Hub, session: AsyncSession | None, caller: Principal, now: datetime
) -> Exchange:
    """Return the exchange of a request by this caller.

    Raises:
        NotForStations: a station sends and fetches records by synchronisation.
    """
    if isinstance(caller, StationPrincipal):
        raise NotForStations("a station sends and fetches records by synchronisation")
    return Exchange(request, hub, session, caller, now, base_of(request, hub))


Exchanging = Annotated[Exchange, Depends(_exchange)]
OwnAddress = Annotated[str, Depends(base_of)]


def http_date(at: datetime) -> str:
    return _http_date(int(at.timestamp()))


@lru_cache(maxsize=4096)
def _http_date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)


def not_changed(request: Request, stored: Stored) -> bool:
    """Whether the caller has this version already (``If-None-Match``, else ``If-Modified-Since``)."""
    etags = request.headers.get("if-none-match")
    if etags is not None:
        return has_version(etags, stored)
    since = request.headers.get("if-modified-since")
    if since is None:
        return False
    try:
        return stored.updated.replace(microsecond=0) <= parsedate_to_datetime(since)
    except (ValueError, TypeError):
        return False


def fhir_json(text: bytes, status: int = 200) -> Response:
    return Response(text, status, media_type=FHIR_JSON)


def resource(stored: Stored, *, status: int = 200) -> Response:
    """Return a resource with its version and date."""
    response = fhir_json(stored.text, status)
    response.headers.update(_marks(stored))
    return response


def _marks(stored: Stored) -> dict[str, str]:
    return {"ETag": f'W/"{stored.version}"', "Last-Modified": http_date(stored.updated)}


def written(exchange: Exchange, stored: Stored) -> Response:
    """Return the answer to a write: the resource, nothing, or an OperationOutcome, as preferred."""
    status = 201 if stored.created else 200
    match exchange.preference("return"):
        case "minimal":
            response = Response(b"", status)
        case "OperationOutcome":
            response = fhir_json(write(operation_outcome([])), status)
        case _:
            response = fhir_json(stored.text, status)
    response.headers.update(_marks(stored))
    response.headers["Location"] = f"{exchange.base}/{stored.rtype}/{stored.fid}/_history/{stored.version}"
    return response
