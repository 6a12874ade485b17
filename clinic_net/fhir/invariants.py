"""The formal constraints of FHIR R4's data types that the structural check holds a resource to, each by its key.

``invariants_resources`` has those of resources; ele-1, dom-2, dom-4, dom-5 and ref-1 are part of the walk itself, txt-1
and txt-2 of ``narrative``. A predicate must accept any plain object: the walk reports wrong types elsewhere.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from .dates import date_range
from .definitions import elements

Holds = Callable[[Mapping[str, Any]], bool]
Rule = tuple[str, Holds, str]

_UCUM = "http://unitsofmeasure.org"
_MEALS = frozenset({"C", "CM", "CD", "CV"})


def chosen(owner: str, stem: str) -> Holds:
    """Return whether an object of a type has a value of a choice, of any of its types."""
    types = elements(owner)[f"{stem}[x]"].types
    members = {f"{stem}{name[0].upper()}{name[1:]}" for name in types}
    named = frozenset(members | {f"_{member}" for member in members})
    return lambda value: not named.isdisjoint(value)


def given(value: Mapping[str, Any], name: str) -> bool:
    """Whether an element is there, if only with an extension."""
    return name in value or f"_{name}" in value


def needs(name: str, other: str) -> Holds:
    """Return whether an element is there where another one is."""

    def holds(value: Mapping[str, Any]) -> bool:
        return not given(value, name) or given(value, other)

    return holds


def excludes(name: str, other: str) -> Holds:
    """Return whether at most one of two elements is there."""

    def holds(value: Mapping[str, Any]) -> bool:
        return not given(value, name) or not given(value, other)

    return holds


def number(value: Mapping[str, Any], name: str) -> Decimal | None:
    """Return an element that is a number, else None."""
    found = value.get(name)
    if not isinstance(found, int | Decimal):
        return None
    exact = Decimal(found)
    return exact if exact.is_finite() else None


def _not_negative(name: str) -> Holds:
    def holds(value: Mapping[str, Any]) -> bool:
        found = number(value, name)
        return found is None or found >= 0

    return holds


def in_order(start: object, end: object) -> bool:
    """Whether two dates can be a beginning and an end; true where one of them is no date."""
    if not isinstance(start, str) or not isinstance(end, str):
        return True
    try:
        return date_range(start)[0] < date_range(end)[1]
    except ValueError:
        return True


def coded(concept: object, system: str, *codes: str) -> bool:
    """Whether a CodeableConcept has one of these codes of a code system."""
    codings = concept.get("coding") if isinstance(concept, dict) else None
    return isinstance(codings, list) and any(
        isinstance(coding, dict) and coding.get("system") == system and coding.get("code") in codes
        for coding in codings
    )


_extends = chosen("Extension", "value")


def _ext_1(extension: Mapping[str, Any]) -> bool:
    return ("extension" in extension) != _extends(extension)


def _qty_3(quantity: Mapping[str, Any]) -> bool:
    return "code" not in quantity or "system" in quantity or "_system" in quantity


def _sqty_1(quantity: Mapping[str, Any]) -> bool:
    return not given(quantity, "comparator")


def _in_ucum(quantity: Mapping[str, Any]) -> bool:
    return needs("value", "code")(quantity) and quantity.get("system", _UCUM) == _UCUM


def _age_1(age: Mapping[str, Any]) -> bool:
    value = number(age, "value")
    return _in_ucum(age) and (value is None or value > 0)


def _cnt_3(count: Mapping[str, Any]) -> bool:
    value = number(count, "value")
    whole = value is None or value == value.to_integral_value()
    return _in_ucum(count) and count.get("code", "1") == "1" and whole


def _drt_1(duration: Mapping[str, Any]) -> bool:
    return "code" not in duration or (duration.get("system") == _UCUM and given(duration, "value"))


def _per_1(period: Mapping[str, Any]) -> bool:
    return in_order(period.get("start"), period.get("end"))


def _rng_2(span: Mapping[str, Any]) -> bool:
    low, high = span.get("low"), span.get("high")
    if not isinstance(low, dict) or not isinstance(high, dict):
        return True
    if any(low.get(name) != high.get(name) for name in ("system", "code")):
        return True  # not comparable here
    least, most = number(low, "value"), number(high, "value")
    return least is None or most is None or least <= most


def _rat_1(ratio: Mapping[str, Any]) -> bool:
    whole = ("numerator" in ratio) == ("denominator" in ratio)
    return whole and ("numerator" in ratio or "extension" in ratio)


def _tim_9(repeat: Mapping[str, Any]) -> bool:
    if not given(repeat, "offset"):
        return True
    when = repeat.get("when")
    named = isinstance(when, list) and not any(isinstance(code, str) and code in _MEALS for code in when)
    return given(repeat, "when") and (named or "when" not in repeat)


def _cpt_2(contact: Mapping[str, Any]) -> bool:
    return "value" not in contact or "system" in contact or "_system" in contact


INVARIANTS: dict[str, tuple[Rule, ...]] = {
    "Extension": (("ext-1", _ext_1, "either a value or extensions, and one of them"),),
    "Quantity": (("qty-3", _qty_3, "a coded unit needs its system"),),
    "SimpleQuantity": (("sqty-1", _sqty_1, "a comparator is not allowed here"),),
    "Age": (("age-1", _age_1, "an age is positive, with a code of UCUM"),),
    "Count": (("cnt-3", _cnt_3, "a count is a whole number, with the code 1 of UCUM"),),
    "Distance": (("dis-1", _in_ucum, "a distance has a code of UCUM"),),
    "Duration": (("drt-1", _drt_1, "a coded duration has a value, and its code is of UCUM"),),
    "Range": (("rng-2", _rng_2, "low must not be more than high"),),
    "Ratio": (("rat-1", _rat_1, "numerator and denominator go together"),),
    "Period": (("per-1", _per_1, "the start must not be after the end"),),
    "ContactPoint": (("cpt-2", _cpt_2, "a value needs a system"),),
    "Attachment": (("att-1", needs("data", "contentType"), "data needs a contentType"),),
    "Expression": (
        (
            "exp-1",
            lambda value: given(value, "expression") or given(value, "reference"),
            "needs an expression or a reference",
        ),
    ),
    "Timing.repeat": (
        ("tim-1", needs("duration", "durationUnit"), "a duration needs its unit"),
        ("tim-2", needs("period", "periodUnit"), "a period needs its unit"),
        ("tim-4", _not_negative("duration"), "a duration must not be negative"),
        ("tim-5", _not_negative("period"), "a period must not be negative"),
        ("tim-6", needs("periodMax", "period"), "periodMax needs a period"),
        ("tim-7", needs("durationMax", "duration"), "durationMax needs a duration"),
        ("tim-8", needs("countMax", "count"), "countMax needs a count"),
        ("tim-9", _tim_9, "an offset needs an event that is no meal"),
        ("tim-10", excludes("timeOfDay", "when"), "timeOfDay and when exclude each other"),
    ),
    "DataRequirement.codeFilter": (
        ("drq-1", lambda value: given(value, "path") != given(value, "searchParam"), "path or searchParam"),
    ),
    "DataRequirement.dateFilter": (
        ("drq-2", lambda value: given(value, "path") != given(value, "searchParam"), "path or searchParam"),
    ),
}
