"""Valid resources of every R4 type, made from the definitions: the same number gives the same text.

Every element and every type of a choice has its turn, with the extremes of its format: digits, zones, scripts, escapes,
ids and extensions of primitives, nulls beside extensions, contained resources.
"""

import json
import unicodedata
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

from clinic_net.fhir.definitions import ElementDefinition, elements, primitives, resource_types, value_set

Json = dict[str, Any]

UCUM = "http://unitsofmeasure.org"
NAME = "Nguyễn Thị Hòa"
STRINGS = (
    NAME,
    unicodedata.normalize("NFD", NAME),
    "👩🏽‍⚕️ 𝛼 ﷽",
    'a "quoted" \\ back/slash',
    " tab\tand\nlines \u2028 \u00a0",
    "<b>&amp;</b> ]]>",
    "x" * 3000,
    "\u202e right to left",
)
DIV = '<div xmlns="http://www.w3.org/1999/xhtml">Huyết áp <b>150/90</b> &amp; 👩<br/></div>'


class Number(str):
    """A number as it is to be written."""


VALUES: dict[str, tuple[Any, ...]] = {
    "base64Binary": ("AAEC", "TmjDoA==", "YQ==\nYWJj"[:4]),
    "boolean": (True, False),
    "canonical": ("http://a.vn/ValueSet/x|1.0", "urn:oid:1.2.3", "#"),
    "code": ("a", "two words", "mm[Hg]"),
    "date": ("1950", "2024-02", "2024-02-29", "9999-12-31"),
    "dateTime": (
        "2024",
        "2024-02",
        "2024-02-29",
        "2024-02-29T23:59:59+07:00",
        "2016-12-31T23:59:60Z",
        "2024-02-29T00:00:00.000-11:30",
        "2024-02-29T23:59:59.123456789+14:00",
    ),
    "decimal": tuple(
        map(
            Number,
            ("72.50", "1E2", "0.010", "-0.0", "-0", "123456789012345678.901234567890", "1.0e-7", "0", "5e+3"),
        )
    ),
    "id": ("a", "A-1.b", "x" * 64),
    "instant": ("2024-02-29T23:59:59.000+07:00", "2016-12-31T23:59:60Z", "2024-01-01T00:00:00.1Z"),
    "integer": tuple(map(Number, ("0", "-2147483648", "2147483647"))),
    "markdown": ("# Đơn thuốc\n\n* một", "**a**"),
    "oid": ("urn:oid:1.2.840.10008", "urn:oid:2.16"),
    "positiveInt": tuple(map(Number, ("1", "2147483647"))),
    "string": STRINGS,
    "time": ("00:00:00", "23:59:59.999", "23:59:60"),
    "unsignedInt": tuple(map(Number, ("0", "2147483647"))),
    "uri": ("urn:a:b", "http://a.vn/%20?a=b#c", "đường:dẫn"),
    "url": ("https://a.vn/ế", "mailto:a@b.vn"),
    "uuid": ("urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0",),
    "xhtml": (DIV,),
}

_KEPT_PLAIN = frozenset(
    {"url", "reference", "type", "system", "code", "value", "path", "searchParam", "start", "end"}
)
"""Elements of whose text something else depends: no absent value here."""
_NOT_TOGETHER: dict[str, tuple[str, ...]] = {
    "AllergyIntolerance": ("verificationStatus",),
    "Appointment": ("cancelationReason",),
    "AuditEvent.entity": ("query",),
    "CarePlan.activity": ("detail",),
    "Composition.section": ("emptyReason",),
    "Condition": ("verificationStatus",),
    "Expression": ("reference",),
    "FamilyMemberHistory": ("bornPeriod", "bornDate", "bornString"),
    "Group": ("member",),
    "List": ("emptyReason",),
    "MedicationDispense": ("whenPrepared",),
    "QuestionnaireResponse.item": ("answer",),
    "RequestGroup.action": ("action",),
}
"""What constraints exclude beside something else that is generated too; their tests are in ``test_invariants``."""


class Generator:
    """Makes one resource. ``seen`` counts what it has made, by type and member."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._seed = seed
        self._turns: Counter[tuple[str, str]] = Counter()
        self.seen: Counter[tuple[str, str]] = Counter()
        self._contained: set[str] = set()

    def resource(self, rtype: str, fid: str) -> Json:
        content: Json = {"resourceType": rtype, "id": fid}
        held = None
        if "contained" in elements(rtype):
            held = {"resourceType": "Patient", "id": "c1", "name": [{"text": NAME}]}
            self._contained = {"Patient"}
        content |= self._members(rtype, 0, skipped=("id", "contained"))
        if held is not None:
            self.seen[rtype, "contained"] += 1
            content["contained"] = [held]
        self.seen[rtype, "id"] += 1
        return content

    def _members(self, owner: str, depth: int, skipped: tuple[str, ...] = ()) -> Json:
        found: Json = {}
        for element in elements(owner).values():
            said = owner == "Extension" and element.name == "value[x]"
            if element.name in skipped or not (said or self._wanted(element, depth)):
                continue
            self._add(found, owner, element, depth)
        self._repair(owner, found)
        for member in found:
            self.seen[owner, member] += 1
        return found

    def _wanted(self, element: ElementDefinition, depth: int) -> bool:
        if element.minimum:
            return True
        if depth >= 4 or (element.name in ("extension", "modifierExtension") and depth > 1):
            return False
        return self._random.random() < (1.0, 0.4, 0.2, 0.1)[depth]

    def _add(self, found: Json, owner: str, element: ElementDefinition, depth: int) -> None:
        name = element.name.removesuffix("[x]")
        kind = self._turn(owner, element)
        member = name + kind[0].upper() + kind[1:] if element.name.endswith("[x]") else name
        count = self._random.choice((1, 1, 2, 3)) if element.many and depth < 2 else 1
        values = [self._value(owner, element, kind, depth) for _ in range(count)]
        attribute = element.name == "id" or (owner, element.name) == ("Extension", "url")
        if kind in primitives() and kind != "xhtml" and depth < 3 and not attribute:
            self._with_companions(found, member, values, many=element.many)
        found[member] = values if element.many else values[0]
        if element.many and all(value is None for value in values):
            del found[member]

    def _turn(self, owner: str, element: ElementDefinition) -> str:
        """Return the next type of a choice."""
        self._turns[owner, element.name] += 1
        return element.types[(self._turns[owner, element.name] + 7 * self._seed) % len(element.types)]

    def _with_companions(self, found: Json, member: str, values: list[Any], *, many: bool) -> None:
        if self._random.random() > 0.3:
            return
        companions: list[Any] = [None] * len(values)
        at = self._random.randrange(len(values))
        extension = {"url": "urn:why", "valueCode": "masked"}
        companions[at] = {"id": "e1", "extension": [extension]}
        if many and member not in _KEPT_PLAIN and self._random.random() < 0.5:
            values[at] = None
        found[f"_{member}"] = companions if many else companions[0]

    def _value(self, owner: str, element: ElementDefinition, kind: str, depth: int) -> Any:
        if kind in primitives():
            if element.binding and kind == "code":
                return self._random.choice(
                    [code for codes in value_set(element.binding).values() for code in codes]
                )
            return self._random.choice(VALUES[kind])
        if kind == "Resource":
            return {"resourceType": "Basic", "code": {"text": self._random.choice(STRINGS)}}
        if kind == "Reference":
            return self._reference(element)
        if kind == "CodeableConcept" and element.binding:
            system, codes = self._random.choice(list(value_set(element.binding).items()))
            return {"coding": [{"system": system, "code": self._random.choice(codes)}], "text": NAME}
        made = _SPECIAL[kind](self._random) if kind in _SPECIAL else self._members(kind, depth + 1)
        if element.simple:
            made.pop("comparator", None)
            made.pop("_comparator", None)
            if made.keys() <= {"id"}:
                made["value"] = Number("72.50")
        return made

    def _reference(self, element: ElementDefinition) -> Json:
        target = self._random.choice(sorted(element.targets or resource_types()))
        forms: list[Json] = [
            {"reference": f"{target}/a-1", "display": NAME},
            {"reference": f"http://a.vn/fhir/{target}/1/_history/2", "type": target},
            {"reference": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"},
            {"identifier": {"system": "urn:a", "value": "1"}, "type": target},
            {"_reference": {"extension": [{"url": "urn:why", "valueCode": "masked"}]}},
        ]
        if element.targets is None or not element.targets.isdisjoint(self._contained):
            forms += [{"reference": "#c1"}] * 3 if self._contained else []
        return self._random.choice(forms)

    def _repair(self, owner: str, found: Json) -> None:
        """Take away what formal constraints do not allow together."""
        if owner == "Extension":
            found.pop("extension", None)
        for member in _NOT_TOGETHER.get(owner, ()):
            found.pop(member, None)
            found.pop(f"_{member}", None)
        if owner in _REPAIRS:
            _REPAIRS[owner](found)
        if not found or found.keys() == {"id"}:
            found["extension"] = [{"url": "urn:why", "valueCode": "masked"}]


def _needs(member: str, other: str, value: Any) -> Any:
    def repair(found: Json) -> None:
        if member in found and other not in found:
            found[other] = value

    return repair


def _keep_one(found: Json, *members: str) -> None:
    """Keep the first of these members that is there."""
    there = [member for member in members if member in found or f"_{member}" in found]
    for member in there[1:]:
        found.pop(member, None)
        found.pop(f"_{member}", None)


def _filter(found: Json) -> None:
    _keep_one(found, "path", "searchParam")
    if "path" not in found and "searchParam" not in found:
        found["path"] = "a"


def _appointment(found: Json) -> None:
    found |= {"start": "2024-01-01T00:00:00Z", "end": "2024-01-01T01:00:00Z"}


def _listed(found: Json) -> None:
    for entry in found.get("entry", ()):
        for member in ("deleted", "_deleted", "date", "_date"):
            entry.pop(member, None)


def _at_work(found: Json) -> None:
    for part in (*found.get("telecom", ()), *found.get("address", ())):
        part.pop("use", None)


def _observed(found: Json) -> None:
    found.pop("dataAbsentReason", None)
    for part in found.get("component", ()):
        part["code"] = {"text": "a part"}


def _parameter(found: Json) -> None:
    value = next((member for member in found if member.startswith("value")), "value")
    _keep_one(found, value, "resource", "part")


def _collection(found: Json) -> None:
    found["type"] = "collection"
    for member in ("total", "_total", "_type"):
        found.pop(member, None)
    for number, entry in enumerate(found.get("entry", ())):
        entry["fullUrl"] = f"urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6{number:02}"
        entry["resource"] = {"resourceType": "Basic", "code": {"text": "a"}}
        for member in ("search", "request", "response"):
            entry.pop(member, None)


_REPAIRS: dict[str, Any] = {
    "Appointment": _appointment,
    "Attachment": _needs("data", "contentType", "text/plain"),
    "Bundle": _collection,
    "Condition": lambda found: [found.pop(member) for member in list(found) if "batement" in member],
    "ContactPoint": _needs("value", "system", "phone"),
    "DataRequirement.codeFilter": _filter,
    "DataRequirement.dateFilter": _filter,
    "Expression": lambda found: found.update({"expression": "true"}),
    "FamilyMemberHistory": lambda found: [
        found.pop(member) for member in list(found) if "estimatedAge" in member
    ],
    "Goal.target": lambda found: found.setdefault("measure", {"text": "a"}),
    "List": _listed,
    "Observation": _observed,
    "Organization": _at_work,
    "Parameters.parameter": _parameter,
    "Patient.contact": lambda found: found.setdefault("name", {"text": NAME}),
    "Quantity": _needs("code", "system", UCUM),
    "RiskAssessment.prediction": lambda found: [
        found.pop(member) for member in list(found) if "probabilityDecimal" in member
    ],
    "ServiceRequest": _needs("orderDetail", "code", {"text": "a"}),
}


def _measured(unit: str, *values: str) -> Any:
    return lambda random: {"value": Number(random.choice(values)), "system": UCUM, "code": unit, "unit": unit}


def _timing(random: Random) -> Json:
    repeat: Json = random.choice(
        (
            {"frequency": Number("3"), "period": Number("1.0"), "periodMax": Number("2"), "periodUnit": "d"},
            {"when": ["AC"], "offset": Number("30"), "dayOfWeek": ["mon", "sun"]},
            {"timeOfDay": ["08:00:00", "20:00:00"], "duration": Number("0"), "durationUnit": "min"},
            {"boundsPeriod": {"start": "2024"}, "count": Number("1"), "countMax": Number("2")},
        )
    )
    return {"event": ["2024-01-01"], "repeat": dict(repeat), "code": {"text": "BID"}}


_SPECIAL: dict[str, Any] = {
    "Age": _measured("a", "0.5", "72"),
    "Count": _measured("1", "2", "1.0"),
    "Distance": _measured("m", "1E2", "0.010"),
    "Duration": _measured("s", "30", "0.10"),
    "Period": lambda random: random.choice(
        ({"start": "2024"}, {"start": "2024-01-01", "end": "2024-01"}, {"end": "2024-01-01T00:00:00Z"})
    ).copy(),
    "Range": lambda random: {
        "low": {"value": Number("1.10"), "unit": "g"},
        "high": {"value": Number(random.choice(("1.1", "2E1"))), "unit": "g"},
    },
    "Ratio": lambda random: {"numerator": {"value": Number("1.0")}, "denominator": {"value": Number("3")}},
    "Timing": _timing,
    "Timing.repeat": lambda random: _timing(random)["repeat"],
    "TriggerDefinition": lambda random: {"type": "named-event", "name": random.choice(STRINGS)},
}


def written(value: Any, random: Random | None = None) -> str:
    """Return the JSON text: numbers as they are, strings escaped one way or the other."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        colon = random.choice((":", ": ", " :\n")) if random else ":"
        return (
            "{"
            + ",".join(f"{json.dumps(name)}{colon}{written(item, random)}" for name, item in value.items())
            + "}"
        )
    if isinstance(value, list):
        return "[" + ",".join(written(item, random) for item in value) + "]"
    text = json.dumps(value, ensure_ascii=bool(random and random.random() < 0.3))
    return text.replace("/", "\\/") if random and random.random() < 0.1 else text


def generated(rtype: str, seed: int, fid: str = "g") -> Json:
    """Return a valid resource as plain data in which numbers are ``Number``."""
    return Generator(seed).resource(rtype, fid)


def texts(seeds: range) -> Iterator[tuple[str, int, bytes]]:
    """Yield type, seed and text of a resource of every type for every seed."""
    for rtype in sorted(resource_types()):
        for seed in seeds:
            content = generated(rtype, seed, f"g-{seed}")
            yield rtype, seed, written(content, Random(seed)).encode()
