"""Reading what a station sends: whole, bounded, inflated by a counted read."""

import zlib
from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from clinic_net.kernel.errors import Place
from clinic_net.protocol.sync import MAX_PUSH_BYTES
from clinic_net.sync.errors import MalformedPush, PushTooLarge

_M = TypeVar("_M", bound=BaseModel)


async def body(request: Request) -> bytes:
    raw = await request.body()
    if request.headers.get("content-encoding", "").lower() != "gzip":
        if len(raw) > MAX_PUSH_BYTES:
            raise PushTooLarge
        return raw
    inflater = zlib.decompressobj(wbits=31)
    try:
        plain = inflater.decompress(raw, MAX_PUSH_BYTES + 1)
    except zlib.error:
        raise MalformedPush("the body is not gzip") from None
    if len(plain) > MAX_PUSH_BYTES:
        raise PushTooLarge
    return plain


def read(model: type[_M], body: bytes) -> _M:
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
