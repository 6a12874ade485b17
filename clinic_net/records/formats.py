"""JSON and XML, plain and gzipped: what a caller sends and how it wants its answer. Inside, everything is JSON text."""

import gzip
import zlib
from collections.abc import Iterator
from functools import lru_cache

from fastapi import Request, Response

from clinic_net.fhir import from_refusal, parse, read_xml, to_xml, write
from clinic_net.kernel.asgi import MAX_BODY_BYTES
from clinic_net.kernel.errors import Refusal, TooLarge, TooMany, Unauthenticated, Unavailable
from clinic_net.records.errors import (
    MalformedRequest,
    UnsupportedContent,
    UnsupportedFormat,
    UnsupportedInteraction,
)
from clinic_net.records.outcomes import status_of

FHIR_JSON = "application/fhir+json"
FHIR_XML = "application/fhir+xml"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"

_JSON = frozenset({FHIR_JSON, "application/json", "text/json", "application/json+fhir"})
_XML = frozenset({FHIR_XML, "application/xml", "text/xml", "application/xml+fhir"})
_ANY = frozenset({"*/*", "application/*"})
FORMATS = ("json", "xml", FHIR_JSON, FHIR_XML, "application/json", "application/xml", "text/json", "text/xml")
"""What ``_format`` may ask for."""
_SHORT = {"json": FHIR_JSON, "xml": FHIR_XML}
_VERSIONS = frozenset({"4.0", "4.0.1"})

_WORTH_GZIP = 2048
"""Bytes from which packing saves more than it costs."""
_LEVEL = 1


def _kind(text: str) -> tuple[str, dict[str, str]]:
    """Return a media type and its parameters."""
    kind, *rest = text.split(";")
    pairs = (part.partition("=") for part in rest)
    return kind.strip().lower(), {name.strip().lower(): value.strip(' "') for name, _, value in pairs}


def _asked(asked: str | None, accept: str) -> Iterator[tuple[float, str]]:
    """Yield quality and format of what this hub can answer of what was asked for, in its order."""
    named = None if asked is None else [_SHORT.get(asked, asked.replace(" ", "+"))]
    for part in named or accept.split(","):
        kind, parameters = _kind(part)
        if parameters.get("fhirversion", "4.0") not in _VERSIONS:
            continue
        try:
            quality = float(parameters.get("q", "1"))
        except ValueError:
            quality = 0.0
        if quality > 0 and kind in _JSON | _ANY:
            yield quality, FHIR_JSON
        elif quality > 0 and kind in _XML:
            yield quality, FHIR_XML


def wanted(request: Request) -> str | None:
    """Return the media type that the caller likes best, ``_format`` before ``Accept``; None when we have none."""
    return _best(request.query_params.get("_format"), request.headers.get("accept") or "*/*")


@lru_cache(maxsize=1024)
def _best(asked: str | None, accept: str) -> str | None:
    return max(_asked(asked, accept), key=lambda pair: pair[0], default=(0.0, None))[1]


async def demand_format(request: Request) -> None:
    """Refuse any format but FHIR R4 in JSON and XML."""
    if wanted(request) is None:
        raise UnsupportedFormat("this hub answers in application/fhir+json and application/fhir+xml, R4")
    if request.query_params.get("_pretty", "true") not in ("true", "false"):
        raise MalformedRequest("_pretty is true or false")


def content_type(request: Request) -> str:
    return _kind(request.headers.get("content-type", ""))[0]


async def unpacked(request: Request) -> bytes:
    """Return the body, unpacked and bounded by the hub's limit.

    Raises:
        UnsupportedContent: it is packed by anything but gzip.
        TooLarge: unpacked it is larger than a body may be.
        MalformedRequest: it is not whole.
    """
    body = await request.body()
    match request.headers.get("content-encoding", "identity").strip().lower():
        case "identity":
            return body
        case "gzip" | "x-gzip":
            return _gunzip(body)
        case _:
            raise UnsupportedContent("the body must be packed by gzip or not at all")


def _gunzip(body: bytes) -> bytes:
    unpacking = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        text = unpacking.decompress(body, MAX_BODY_BYTES + 1)
    except zlib.error:
        raise MalformedRequest("the body is not what gzip makes") from None
    if len(text) > MAX_BODY_BYTES:
        raise TooLarge("the body is larger than 5 MiB")
    if not unpacking.eof or unpacking.unused_data:
        raise MalformedRequest("the body is not what gzip makes")
    return text


async def json_text(request: Request) -> bytes:
    """Return the body's resource as JSON text.

    Raises:
        UnsupportedContent: it is neither FHIR JSON nor FHIR XML, or of another version of FHIR.
        MalformedXml: it is XML that is not FHIR's.
        See also ``unpacked``.
    """
    kind, parameters = _kind(request.headers.get("content-type", ""))
    if kind not in _JSON | _XML or parameters.get("fhirversion", "4.0") not in _VERSIONS:
        raise UnsupportedContent("the body must be application/fhir+json or application/fhir+xml, R4")
    body = await unpacked(request)
    return read_xml(body, limit=MAX_BODY_BYTES) if kind in _XML else body


def refused(request: Request, refusal: Refusal) -> Response | None:
    """Return a refusal in XML where the caller wants XML; else None, and the edge answers."""
    if wanted(request) != FHIR_XML or isinstance(refusal, Unauthenticated):
        return None
    response = Response(write(from_refusal(refusal)), status_of(refusal), media_type=FHIR_JSON)
    if isinstance(refusal, TooMany):
        response.headers["Retry-After"] = str(refusal.retry_after)
    elif isinstance(refusal, Unavailable):
        response.headers["Retry-After"] = "2"
    elif isinstance(refusal, UnsupportedInteraction):
        response.headers["Allow"] = ", ".join(refusal.allowed)
    return response


def rendered(request: Request, response: Response) -> Response:
    """Return an answer in the format that the caller wants, packed where that is worth it."""
    if response.media_type != FHIR_JSON or not response.body:
        return response
    body, headers = bytes(response.body), dict(response.headers)
    if wanted(request) == FHIR_XML:
        body, headers["content-type"] = to_xml(body), FHIR_XML
    elif request.query_params.get("_pretty") == "true":
        body = write(parse(body, limit=len(body)), pretty=True)
    if len(body) >= _WORTH_GZIP and _takes_gzip(request):
        body, headers["content-encoding"] = gzip.compress(body, _LEVEL, mtime=0), "gzip"
    if body == response.body:
        response.headers["Vary"] = "Accept, Accept-Encoding"
        return response
    del headers["content-length"]
    return Response(body, response.status_code, {**headers, "vary": "Accept, Accept-Encoding"})


def _takes_gzip(request: Request) -> bool:
    for part in request.headers.get("accept-encoding", "").split(","):
        kind, parameters = _kind(part)
        if kind in ("gzip", "x-gzip", "*"):
            return parameters.get("q", "1").rstrip("0.") != ""
    return False
