"""Transactions of whole resources only: nothing need be looked up before they are stored, so many share a commit.

This is what stations, imports and other hospitals send: patients, visits, measurements, each with its id or with
``urn:uuid`` references among them. A bundle that names anything by a search goes its own way (``bundles``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from clinic_net.fhir.definitions import resource_types
from clinic_net.kernel.gate import breathe
from clinic_net.kernel.ids import new_id
from clinic_net.records.bundle_rules import Asking, at, demand_distinct, demand_right, order_of, written
from clinic_net.records.drafts import Order
from clinic_net.records.entries import Entry, read_bundle, with_references
from clinic_net.records.render import response_bundle
from clinic_net.records.shapes import Stored

_units = count(1)


@dataclass(frozen=True)
class PlainBundle:
    """A transaction ready to be stored: its entries in their order, and an order for each."""

    entries: Sequence[Entry]
    orders: Sequence[Order]
    asking: Asking

    def answer(self, stored: Sequence[Stored]) -> bytes:
        """Return the response bundle."""
        return response_bundle("transaction", [written(one, self.asking) for one in stored])


async def read_plain(text: bytes, asking: Asking) -> PlainBundle | None:
    """Return a transaction, read and checked; None where it does more than store whole resources: see ``bundles``.
    So does a Consent: something follows from it.

    Raises:
        MalformedJson, MalformedRequest: it cannot be understood.
        Refusal: any that an entry meets; ``places`` begin with ``Bundle.entry[n]``.
    """
    kind, entries = await read_bundle(text, base=asking.base)
    whole = all(entry.method in ("POST", "PUT") and entry.criteria is None for entry in entries)
    decides = any(entry.rtype == "Consent" for entry in entries)
    if kind != "transaction" or not entries or not whole or decides:
        return None
    demand_distinct(entries)
    targets = {}
    ids = []
    allowed: set[tuple[str, str, bool, bool]] = set()
    for done, entry in enumerate(entries):
        await breathe(done)
        kind_of = (entry.method, entry.rtype, entry.fid is None, bool(entry.query))
        if kind_of not in allowed:  # the right to do it once is the right to do it three hundred times
            with at(entry):
                demand_right(entry, asking)
            allowed.add(kind_of)
        ids.append(entry.fid if entry.method == "PUT" else str(new_id(asking.now)))
        if entry.full_url is not None:
            targets[entry.full_url] = f"{entry.rtype}/{ids[-1]}"
    unit = next(_units)
    orders = []
    for done, (entry, fid) in enumerate(zip(entries, ids, strict=True)):
        await breathe(done)
        with at(entry):
            linked, left = with_references(entry, targets, fid=fid)
            if any(map(_is_search, left)):
                return None
            orders.append(order_of(linked, asking, unit=unit))
    return PlainBundle(entries, orders, asking)


def _is_search(reference: str) -> bool:
    """Whether a reference names its target by a search (``Patient?identifier=…``)."""
    rtype, mark, _ = reference.partition("?")
    return bool(mark) and rtype in resource_types()
