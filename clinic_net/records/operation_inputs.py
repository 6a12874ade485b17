"""What an operation is given: in the address of a GET, in the Parameters of a POST, the same by either way."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

from clinic_net.fhir import parse
from clinic_net.fhir.dates import date_range
from clinic_net.fhir.definitions import resource_types
from clinic_net.kernel.errors import Place
from clinic_net.records.entries import Pairs
from clinic_net.records.errors import MalformedRequest
from clinic_net.records.http import Exchange
from clinic_net.records.operations import parameters_of

_TRANSPORT = frozenset({"_format", "_pretty", "_cursor"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def wrong(name: str, message: str) -> MalformedRequest:
    return MalformedRequest(
        f"{name}: {message}", places=[Place(f"Parameters.{name}", MalformedRequest.code, message)]
    )


async def simple_inputs(exchange: Exchange, known: Collection[str]) -> Pairs:
    """Return the names and values of parameters that are single values, those of a POST's Parameters included.

    Raises:
        MalformedRequest: a parameter is not ``known``, or has no single value.
    """
    pairs = await all_inputs(exchange)
    if any(name not in known for name, _ in pairs):
        raise MalformedRequest("this operation has no such parameter")
    return pairs


async def all_inputs(exchange: Exchange) -> Pairs:
    """Return the names and values of whatever is given, as ``simple_inputs``; search parameters among them."""
    pairs = exchange.request.query_params.multi_items()
    if exchange.request.method == "POST" and await exchange.request.body():
        for name, items in parameters_of(parse(await exchange.body())).items():
            pairs += [(name, _value(name, item)) for item in items]
    return [pair for pair in pairs if pair[0] not in _TRANSPORT]


def _value(name: str, item: dict[str, Any]) -> str:
    values = [value for key, value in item.items() if key.startswith("value")]
    if len(values) != 1 or isinstance(values[0], bool) or not isinstance(values[0], str | int):
        raise wrong(name, "one value is expected")
    return str(values[0])


def only(pairs: Pairs, name: str) -> str | None:
    """Return the value of a parameter that may be given once."""
    values = [value for key, value in pairs if key == name]
    if len(values) > 1:
        raise wrong(name, "it may be given once")
    return values[0] if values else None


def whole_number(pairs: Pairs, name: str, *, most: int) -> int | None:
    """Return a positive number, at most ``most``."""
    text = only(pairs, name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
        raise wrong(name, "a positive whole number is expected")
    return min(int(text), most)


def dates(pairs: Pairs, name: str) -> tuple[int, int] | None:
    """Return the range that a date or instant means, in µs since 1970."""
    text = only(pairs, name)
    try:
        return None if text is None else date_range(text.replace(" ", "+"))
    except ValueError:
        raise wrong(name, "a date is expected") from None


def moment(pairs: Pairs, name: str) -> datetime | None:
    """Return an instant."""
    found = dates(pairs, name)
    try:
        return None if found is None else _EPOCH + timedelta(microseconds=found[0])
    except OverflowError:
        raise wrong(name, "an instant is expected") from None


def type_names(pairs: Pairs, name: str) -> frozenset[str] | None:
    """Return the resource types of a parameter that repeats and holds lists; None when it is not given."""
    named = [part for key, value in pairs if key == name for part in value.split(",")]
    if not resource_types().issuperset(named):
        raise wrong(name, "resource types are expected")
    return frozenset(named) if named else None
