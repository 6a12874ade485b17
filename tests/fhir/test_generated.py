"""Resources of every type, made from the definitions: the sound ones pass, one mistake is found where it is."""

import re
from collections import Counter

import pytest

from clinic_net.fhir import check, parse, read_xml, to_xml
from clinic_net.fhir.definitions import elements, resource_types
from tests.fhir.exactness import exactly
from tests.fhir.generate import Generator, texts, written
from tests.fhir.mutate import mistakes

SEEDS = range(2)


def test_a_generated_resource_passes_and_goes_through_xml_and_back() -> None:
    for rtype, seed, text in texts(SEEDS):
        assert check(parse(text)) == [], (rtype, seed)
        assert exactly(read_xml(to_xml(text), limit=2**24)) == exactly(text), (rtype, seed)


def test_the_generator_leaves_out_no_element_of_any_resource() -> None:
    seen: Counter[tuple[str, str]] = Counter()
    for rtype in resource_types():
        for seed in SEEDS:
            made = Generator(seed)
            made.resource(rtype, "a")
            seen += made.seen
    left_out = {
        f"{rtype}.{name}"
        for rtype in resource_types()
        for name in elements(rtype)
        if not any((rtype, member) in seen for member in _members(rtype, name))
    }
    assert left_out == {
        "AllergyIntolerance.verificationStatus",
        "Appointment.cancelationReason",
        "Bundle.total",
        "Condition.abatement[x]",
        "Condition.verificationStatus",
        "FamilyMemberHistory.estimatedAge",
        "FamilyMemberHistory.born[x]",
        "Group.member",
        "List.emptyReason",
        "MedicationDispense.whenPrepared",
        "Observation.dataAbsentReason",
    }, "what constraints exclude is tested by itself"


def _members(rtype: str, name: str) -> list[str]:
    stem = name.removesuffix("[x]")
    return [
        f"{stem}{kind[0].upper()}{kind[1:]}" if stem != name else stem for kind in elements(rtype)[name].types
    ]


@pytest.mark.parametrize("rtype", sorted(resource_types()))
def test_one_mistake_is_found_and_named(rtype: str) -> None:
    for mistake in mistakes(rtype, 1):
        issues = check(parse(written(mistake.content).encode()))
        named = {re.sub(r"\[\d+\]|\.ofType\(\w+\)", "", issue.expression) for issue in issues}
        assert any(f"{name}.".startswith(f"{mistake.element}.") for name in named), (mistake.kind, named)
