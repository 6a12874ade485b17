"""Two places changed one record: what one changed is taken, what both changed otherwise is for a person."""

import copy
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinic_net.fhir import check, parse, write
from clinic_net.fhir.definitions import resource_types
from clinic_net.fhir.tables import tables
from clinic_net.protocol.sync.merge import Clash, Merged, Side, merge
from clinic_net.protocol.sync.merge_policy import RULES, Class, class_of, in_effect, reconciled
from clinic_net.protocol.sync.merge_values import element_of, frozen, same
from tests.protocol.changes import changed, leaves, resource

TYPES = sorted(set(resource_types()) - {"Bundle", "Parameters"})
EVERYDAY = [
    "Patient", "AllergyIntolerance", "Condition", "MedicationRequest", "Observation", "ServiceRequest",
    "Encounter", "Task", "Appointment", "CarePlan", "Coverage", "SupplyDelivery", "MedicationStatement",
]  # fmt: skip

seeds = st.integers(min_value=0, max_value=2**32)
types = st.sampled_from(EVERYDAY) | st.sampled_from(TYPES)


def sound(merged: dict[str, Any]) -> bool:
    return not check(merged)


def three(
    rtype: str, seed: int, one: int, other: int
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    base = resource(rtype, seed)
    return base, changed(base, one), changed(base, other)


def swapped(clashes: tuple[Clash, ...]) -> set[Any]:
    return {(c.path, frozen(dict(c.base)), frozen(dict(c.theirs)), frozen(dict(c.ours))) for c in clashes}


def plain(clashes: tuple[Clash, ...]) -> set[Any]:
    return {(c.path, frozen(dict(c.base)), frozen(dict(c.ours)), frozen(dict(c.theirs))) for c in clashes}


@settings(deadline=None)
@given(types, seeds, seeds)
def test_what_one_side_changed_is_taken_byte_for_byte(rtype: str, seed: int, one: int) -> None:
    base = resource(rtype, seed)
    after = changed(base, one)

    assert write(reconciled(base, after, base).resource) == write(after)
    if not same(base, after):  # the order of members is no change
        assert write(reconciled(base, base, after).resource) == write(after)
    assert reconciled(base, after, copy.deepcopy(after)) == Merged(after)


@settings(deadline=None)
@given(types, seeds, seeds, seeds)
def test_it_is_one_conflict_from_whichever_side_it_is_looked_at(
    rtype: str, seed: int, one: int, other: int
) -> None:
    base, ours, theirs = three(rtype, seed, one, other)

    there, back = reconciled(base, ours, theirs), reconciled(base, theirs, ours)

    assert plain(there.clashes) == swapped(back.clashes)
    assert (there.resource is None) == bool(there.clashes)


@settings(deadline=None)
@given(types, seeds, seeds, seeds)
def test_nothing_that_somebody_said_is_lost_by_a_merge(rtype: str, seed: int, one: int, other: int) -> None:
    base, ours, theirs = three(rtype, seed, one, other)
    for side in (base, ours, theirs):
        side.pop("text", None)  # a narrative is made from the content

    merged = merge(base, ours, theirs).resource

    if merged is not None:
        said, before = leaves(merged), leaves(base)
        assert leaves(ours) - before <= said
        assert leaves(theirs) - before <= said
        assert said <= leaves(ours) | leaves(theirs)


@settings(deadline=None)
@given(types, seeds, seeds, seeds)
def test_what_is_put_together_of_sound_resources_is_sound(
    rtype: str, seed: int, one: int, other: int
) -> None:
    base, ours, theirs = three(rtype, seed, one, other)

    merged = reconciled(base, ours, theirs, sound=sound).resource

    assert merged is None or not check(parse(write(merged)))


@settings(deadline=None)
@given(types, seeds, seeds, seeds)
def test_merging_the_same_change_once_more_changes_nothing(
    rtype: str, seed: int, one: int, other: int
) -> None:
    base, ours, theirs = three(rtype, seed, one, other)
    merged = reconciled(base, ours, theirs).resource

    if merged is not None:
        for side in (ours, theirs):
            again = reconciled(base, merged, side).resource
            assert again is not None
            assert same(again, merged)


@settings(deadline=None)
@given(types, seeds, seeds, seeds, st.sampled_from(Side))
def test_when_a_person_takes_one_side_in_every_clash_there_is_a_resource(
    rtype: str, seed: int, one: int, other: int, side: Side
) -> None:
    base, ours, theirs = three(rtype, seed, one, other)
    clashes = reconciled(base, ours, theirs).clashes

    settled = reconciled(base, ours, theirs, choose=lambda _, __: side)

    assert not settled.clashes
    assert settled.resource is not None
    values = {value for _, value in leaves(settled.resource)}
    for clash in clashes:
        chosen = clash.ours if side is Side.OURS else clash.theirs
        assert {value for _, value in leaves(dict(chosen))} <= values


SAFETY = ["AllergyIntolerance", "Condition", "MedicationRequest", "MedicationStatement", "CarePlan"]


@settings(deadline=None)
@given(st.sampled_from(SAFETY), seeds, seeds, seeds)
def test_a_safety_list_never_loses_or_ends_anything_by_a_merge(
    rtype: str, seed: int, one: int, other: int
) -> None:
    base, ours, theirs = three(rtype, seed, one, other)
    merged = reconciled(base, ours, theirs).resource

    if merged is not None and not any(same(merged, side) for side in (ours, theirs)):
        assert in_effect(merged) == in_effect(ours) == in_effect(theirs)
        for side in (ours, theirs):
            assert set(map(element_of, side)) - {"text"} <= set(map(element_of, merged))


def test_every_choice_of_every_type_is_seen_as_one_element() -> None:
    for table in tables().values():
        elements: dict[str, set[str]] = {}
        for member, slot in table.slots.items():
            elements.setdefault(slot.choice or slot.companion or member, set()).add(element_of(member))
        assert [seen for seen in elements.values() if len(seen) > 1] == [], table.name


def test_hardly_anything_else_is() -> None:
    """To take two elements for one makes a conflict of what could be merged: no harm, but somebody's work."""
    together = set()
    for table in tables().values():
        elements: dict[str, set[str]] = {}
        for member, slot in table.slots.items():
            elements.setdefault(element_of(member), set()).add(slot.choice or slot.companion or member)
        together |= {f"{table.name}.{name}" for name, seen in elements.items() if len(seen) > 1}
    assert together == {
        "ChargeItem.definition[x]", "ClinicalImpression.finding.item[x]", "Device.property.value[x]",
        "DeviceDefinition.property.value[x]", "ImagingStudy.procedure[x]",
        "MolecularSequence.referenceSeq.referenceSeq[x]", "ServiceRequest.location[x]",
        "TestScript.setup.action.assert.compareToSource[x]",
    }  # fmt: skip


# -- what it means at a station and at the hub

AN: dict[str, Any] = {
    "resourceType": "Patient", "id": "p1", "gender": "female", "birthDate": "1980-02-03",
    "name": [{"use": "official", "text": "Nguyễn Thị An", "family": "Nguyễn"}],
    "telecom": [{"system": "phone", "value": "0912", "use": "mobile"}],
    "identifier": [{"system": "cccd", "value": "001"}],
    "address": [{"use": "home", "line": ["Bản Lác"], "city": "Mai Châu"}],
}  # fmt: skip


def an(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(AN), **changes}


def test_a_new_telephone_number_and_a_corrected_birthday_are_both_taken() -> None:
    phones = [*AN["telecom"], {"system": "phone", "value": "0987", "use": "home"}]

    merged = reconciled(AN, an(birthDate="1981-02-03"), an(telecom=phones))

    assert merged.resource == an(birthDate="1981-02-03", telecom=phones)


def test_two_new_identifiers_stand_beside_each_other() -> None:
    card, passport = {"system": "bhyt", "value": "HT1"}, {"system": "passport", "value": "C1"}

    merged = reconciled(
        AN, an(identifier=[*AN["identifier"], card]), an(identifier=[passport, *AN["identifier"]])
    )

    assert merged.resource is not None
    assert merged.resource["identifier"] == [passport, *AN["identifier"], card]


@pytest.mark.parametrize("element", ["identifier", "telecom"])
def test_two_corrections_of_one_number_are_for_a_person(element: str) -> None:
    ours = an(**{element: [{**AN[element][0], "value": "7"}]})
    theirs = an(**{element: [{**AN[element][0], "value": "8"}]})

    (clash,) = reconciled(AN, ours, theirs).clashes

    assert clash.path == element


def test_a_clash_names_the_element_and_holds_the_three_values_with_their_extensions() -> None:
    reason = {"extension": [{"url": "urn:why", "valueCode": "unknown"}]}

    merged = reconciled(AN, an(birthDate="1981-02-03"), an(birthDate="1979", _birthDate=reason))

    assert merged.clashes == (
        Clash(
            "birthDate", {"birthDate": "1980-02-03"}, {"birthDate": "1981-02-03"},
            {"birthDate": "1979", "_birthDate": reason},
        ),
    )  # fmt: skip


def test_fields_of_one_name_are_merged_and_a_name_says_which_it_is() -> None:
    ours = an(name=[{**AN["name"][0], "family": "Nguyên"}])
    theirs = an(name=[{**AN["name"][0], "given": ["An"]}, {"use": "usual", "text": "Bà An"}])

    merged = reconciled(AN, ours, theirs).resource
    assert merged is not None
    assert merged["name"] == [
        {**AN["name"][0], "family": "Nguyên", "given": ["An"]},
        {"use": "usual", "text": "Bà An"},
    ]

    (clash,) = reconciled(AN, ours, an(name=[{**AN["name"][0], "family": "Ngô"}])).clashes
    assert clash.path == "name[official].family"


def test_a_number_of_one_side_never_gets_the_unit_of_the_other() -> None:
    quantity = {"value": Decimal("72.50"), "unit": "mg"}
    base = {"resourceType": "SupplyRequest", "id": "s", "quantity": quantity}

    merged = merge(
        base,
        {**base, "quantity": {**quantity, "value": Decimal("7")}},
        {**base, "quantity": {**quantity, "unit": "g"}},
    )

    assert [clash.path for clash in merged.clashes] == ["quantity"]


def test_digits_of_a_decimal_are_a_change() -> None:
    base = parse(b'{"resourceType":"Basic","id":"b","extension":[{"url":"u","valueDecimal":72.5}]}')
    finer = parse(
        b'{"resourceType":"Basic","id":"b","extension":[{"url":"u","valueDecimal":72.50}],"language":"vi"}'
    )
    ours = {**base, "language": "vi"}

    assert write(reconciled(base, ours, finer).resource) == (
        b'{"resourceType":"Basic","id":"b","extension":[{"url":"u","valueDecimal":72.50}],"language":"vi"}'
    )


def allergy(status: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "AllergyIntolerance", "id": "a1", "patient": {"reference": "Patient/p1"},
        "clinicalStatus": {"coding": [{"system": "c", "code": status}]}, "code": {"text": "Penicillin"}, **more,
    }  # fmt: skip


def test_an_allergy_that_one_place_ends_while_the_other_adds_to_it_is_for_a_person() -> None:
    base, reaction = allergy("active"), [{"manifestation": [{"text": "phù mặt"}]}]

    ended, added = allergy("inactive"), allergy("active", reaction=reaction)

    for ours, theirs in ((ended, added), (added, ended)):
        (clash,) = reconciled(base, ours, theirs).clashes
        assert clash.path == "clinicalStatus"


def test_a_reaction_that_one_place_takes_away_is_not_just_gone() -> None:
    base = allergy("active", reaction=[{"manifestation": [{"text": "phù mặt"}]}])

    (clash,) = reconciled(base, allergy("active"), {**base, "criticality": "high"}).clashes

    assert clash.path == "reaction"


def test_what_two_places_add_to_an_allergy_is_both_there() -> None:
    merged = reconciled(
        allergy("active"), allergy("active", criticality="high"), allergy("active", note=[{"text": "mẹ kể"}])
    )

    assert merged.resource == allergy("active", criticality="high", note=[{"text": "mẹ kể"}])


def test_a_medicine_of_one_place_never_gets_the_dose_of_the_other() -> None:
    base = {
        "resourceType": "MedicationRequest", "id": "m", "status": "active", "intent": "order",
        "subject": {"reference": "Patient/p1"}, "medicationCodeableConcept": {"text": "Amlodipin"},
        "dosageInstruction": [{"text": "5 mg"}],
    }  # fmt: skip
    ours = {**base, "medicationCodeableConcept": {"text": "Nifedipin"}}
    theirs = {**base, "dosageInstruction": [{"text": "10 mg"}]}

    (clash,) = reconciled(base, ours, theirs).clashes

    assert clash.path == "dosageInstruction, medicationCodeableConcept"


def a_task(status: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Task", "id": "t", "intent": "order", "status": status, **more}


def test_of_two_states_the_one_further_on_stands() -> None:
    merged = reconciled(a_task("requested"), a_task("in-progress"), a_task("completed", description="xong"))

    assert merged.resource == a_task("completed", description="xong")


def test_done_here_and_called_off_there_is_for_a_person() -> None:
    (clash,) = reconciled(a_task("requested"), a_task("completed"), a_task("cancelled")).clashes

    assert clash.path == "status"


def test_two_corrections_of_one_measurement_are_for_a_person_but_both_notes_stay() -> None:
    base = {"resourceType": "Observation", "id": "o", "status": "final", "valueString": "150"}
    ours, theirs = {**base, "status": "entered-in-error"}, {**base, "valueString": "155"}

    assert [clash.path for clash in reconciled(base, ours, theirs).clashes] == ["status, valueString"]
    noted = reconciled(base, {**base, "note": [{"text": "a"}]}, {**base, "note": [{"text": "b"}]}).resource
    assert noted == {**base, "note": [{"text": "a"}, {"text": "b"}]}


def test_a_quantity_of_stock_is_never_put_together_of_two() -> None:
    item = {"quantity": {"value": 10}}
    base = {"resourceType": "SupplyDelivery", "id": "s", "status": "completed", "suppliedItem": item}
    ours = {**base, "suppliedItem": {"quantity": {"value": 7}}}
    theirs = {**base, "suppliedItem": {"quantity": {"value": 9}}}

    assert len(reconciled(base, ours, theirs).clashes) == 1


def test_without_the_text_that_both_came_from_everything_that_differs_is_for_a_person() -> None:
    clashes = reconciled(None, an(), an(gender="male", maritalStatus={"text": "goá"})).clashes

    assert [clash.path for clash in clashes] == ["gender"]


def test_stamps_are_no_change() -> None:
    base = an(meta={"versionId": "1", "lastUpdated": "2026-11-24T00:00:00Z"})
    ours = an(meta={"versionId": "2", "lastUpdated": "2026-11-24T01:00:00Z"}, gender="male")

    assert reconciled(base, ours, an(meta=base["meta"], birthDate="1981")).resource == an(
        meta=ours["meta"], gender="male", birthDate="1981"
    )


def test_a_generated_narrative_that_tells_one_side_only_is_left_out() -> None:
    text = {"status": "generated", "div": "<div>…</div>"}

    merged = reconciled(AN, an(gender="male", text=text), an(birthDate="1981"))

    assert merged.resource == an(gender="male", birthDate="1981")


def test_versions_of_two_resources_are_not_merged() -> None:
    with pytest.raises(ValueError, match="one resource"):
        reconciled(None, AN, a_task("draft"))


def test_every_type_of_the_table_is_one_of_fhir_and_has_one_class() -> None:
    assert set(RULES) <= set(resource_types())
    assert class_of("AllergyIntolerance") is Class.SAFETY
    assert class_of("Basic") is Class.OTHER
