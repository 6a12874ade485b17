"""FHIR's JSON as a station reads and writes it where decimals must keep their digits: 72.50 stays 72.50."""

import json
from decimal import Decimal
from typing import Any

from clinic_net.protocol.sync.merge_values import Json


def read(text: str) -> dict[str, Any]:
    """Return the object that a text holds, decimals as ``Decimal``.

    Raises:
        ValueError: it holds none.
    """
    value = json.loads(text, parse_float=Decimal)
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def write(value: Json) -> str:
    """Return the text of plain data, without spaces."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{_plain(name)}:{write(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(write, value)) + "]"
    return str(value) if isinstance(value, Decimal) else _plain(value)


def _plain(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)
