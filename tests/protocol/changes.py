"""Changes of FHIR resources as two places may make them: parts of valid resources, put together anew."""

import copy
import json
from functools import cache
from random import Random
from typing import Any

from clinic_net.fhir import check, parse
from clinic_net.protocol.sync.merge_values import element_of, frozen
from tests.fhir.generate import Generator, Number

Resource = dict[str, Any]


def _marked(value: Any) -> Any:
    if isinstance(value, Number):
        return f"\ue000{value}\ue001"
    if isinstance(value, dict):
        return {name: _marked(item) for name, item in value.items()}
    return [_marked(item) for item in value] if isinstance(value, list) else value


@cache
def _generated(rtype: str, seed: int) -> Resource:
    text = json.dumps(_marked(Generator(seed).resource(rtype, "x1")), ensure_ascii=False)
    return parse(text.replace('"\ue000', "").replace('\ue001"', "").encode())


def resource(rtype: str, seed: int) -> Resource:
    """Return a valid resource of a type; the same seed gives the same."""
    found = copy.deepcopy(_generated(rtype, seed % 40))
    for stamp in ("versionId", "lastUpdated"):
        for member in (stamp, f"_{stamp}"):
            found.get("meta", {}).pop(member, None)
    if "meta" in found and check(found):
        del found["meta"]
    return found


def changed(before: Resource, seed: int) -> Resource:
    """Return a valid resource that differs from ``before`` in a few elements."""
    random = Random(seed)
    after = copy.deepcopy(before)
    for _ in range(random.randint(1, 3)):
        tried = copy.deepcopy(after)
        _change(tried, random)
        if not check(tried):
            after = tried
    return after


def _change(after: Resource, random: Random) -> None:
    other = resource(after["resourceType"], random.randrange(40))
    elements = sorted({element_of(name) for name in (*after, *other)} - {"resourceType", "id"})
    if not elements:
        return
    element = random.choice(elements)
    here = {name: value for name, value in after.items() if element_of(name) == element}
    there = {name: value for name, value in other.items() if element_of(name) == element}
    match random.randrange(4):
        case 0:
            pass  # remove it
        case 1 if all(isinstance(value, list) for value in (*here.values(), *there.values())):
            there = {name: [*here.get(name, []), *there.get(name, [])] for name in {*here, *there}}
        case 2 if all(isinstance(value, list) for value in here.values()):
            there = {name: random.sample(value, len(value))[1:] for name, value in here.items()}
        case _ if len(here) == 1 == len(there) and isinstance(next(iter(here.values())), dict):
            ((name, value),) = here.items()
            new = there.get(name, value)
            there = {name: {**value, **{k: new[k] for k in random.sample(sorted(new), 1)}}}
        case _:
            pass
    for name in here:
        del after[name]
    after |= {name: value for name, value in there.items() if value not in ([], {})}


def leaves(value: Any, *names: str) -> set[tuple[tuple[str, ...], Any]]:
    """Return everything that is said, each with the names of the members above it."""
    if isinstance(value, dict):
        return {leaf for name, item in value.items() for leaf in leaves(item, *names, name)}
    if isinstance(value, list):
        return {leaf for item in value for leaf in leaves(item, *names)}
    return {(names, frozen(value))}
