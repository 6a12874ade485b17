"""Reading what a station sends: whole, bounded, inflated by a counted read."""

import zlib
from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from clinic_net.kernel.errors import Place
from clinic_net.protocol.sync import MAX_PUSH_BYTES, codec
from clinic_net.protocol.sync.frames import Malformed
from clinic_net.sync.errors import MalformedPush, PushTooLarge, UnknownCoding

_M = TypeVar("_M", bound=BaseModel)

IDENTITY, GZIP = "identity", "gzip"


async def body(request: Request) -> bytes:
    """Return a request's body, inflated."""
    return plain(await request.body(), coding_of(request))


def coding_of(request: Request) -> str:
    """Return the name of the one coding of a request's body."""
    return request.headers.get("content-encoding", "").strip().lower() or IDENTITY


def plain(raw: bytes, coding: str) -> bytes:
    """Return what was sent, before its compression; never more than ``MAX_PUSH_BYTES``.

    Raises:
        UnknownCoding: it is none of identity, gzip, zstd and dcz, or a dictionary that is not here.
        MalformedPush: it is damaged or cut off.
        PushTooLarge: it is too long, or would be.
    """
    if coding == IDENTITY:
        if len(raw) > MAX_PUSH_BYTES:
            raise PushTooLarge
        return raw
    if coding == GZIP:
        return _gunzipped(raw)
    if coding not in (codec.DCZ, codec.ZSTD) or _is_of_unknown_dictionary(raw, coding):
        raise UnknownCoding
    try:
        return codec.decompress(raw, coding, limit=MAX_PUSH_BYTES)
    except codec.TooMuch:
        raise PushTooLarge from None
    except codec.Undecodable:
        raise MalformedPush(f"the body is not {coding}") from None


def _gunzipped(raw: bytes) -> bytes:
    inflater = zlib.decompressobj(wbits=31)
    try:
        found = inflater.decompress(raw, MAX_PUSH_BYTES + 1)
    except zlib.error:
        raise MalformedPush("the body is not gzip") from None
    if len(found) > MAX_PUSH_BYTES:
        raise PushTooLarge
    if not inflater.eof:
        raise MalformedPush("the body is cut off")
    return found


_DCZ_MAGIC, _DCZ_HEADER = bytes((0x5E, 0x2A, 0x4D, 0x18, 0x20, 0x00, 0x00, 0x00)), 40
"""RFC 9842 §5: eight bytes, then the SHA-256 of the dictionary."""


def _is_of_unknown_dictionary(raw: bytes, coding: str) -> bool:
    has_header = coding == codec.DCZ and len(raw) >= _DCZ_HEADER and raw.startswith(_DCZ_MAGIC)
    return has_header and codec.by_digest(raw[len(_DCZ_MAGIC) : _DCZ_HEADER]) is None


def read(model: type[_M], body: bytes) -> _M:
    """Return the message that a JSON body holds.

    Raises:
        MalformedPush: it is none; ``places`` says where.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as invalid:
        places = [
            Place(
                ".".join(str(part) for part in error["loc"]),
                str(error["type"]).replace("_", "-"),
                error["type"],
            )
            for error in invalid.errors(include_input=False, include_context=False, include_url=False)
        ]
        raise MalformedPush("the envelope cannot be read", places=places[:20]) from None


def malformed(problem: Malformed) -> MalformedPush:
    """Return the refusal of a stream that cannot be read: which frame, and what of it."""
    path = f"frame[{problem.place}]" + (f".{problem.field}" if problem.field else "")
    code = problem.what.replace("_", "-") if " " not in problem.what else "malformed-frame"
    return MalformedPush("the stream cannot be read", places=[Place(path, code, problem.what)])
