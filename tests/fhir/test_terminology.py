"""Hierarchies of codes, and what a value set is made of."""

from typing import Any

import pytest

from clinic_net.fhir.criteria import TokenCriterion
from clinic_net.fhir.terminology import NotExpandableError, compose, concepts_of, standard_concepts

ICD: dict[str, Any] = {
    "resourceType": "CodeSystem",
    "content": "complete",
    "concept": [
        {"code": "J", "concept": [{"code": "J18", "concept": [{"code": "J18.9"}]}, {"code": "J20"}]},
        {"code": "X", "property": [{"code": "parent", "valueCode": "J20"}]},
    ],
}


def test_a_hierarchy_is_read_from_nesting_and_from_properties() -> None:
    concepts = concepts_of(ICD)
    assert concepts.below("J") == {"J18", "J18.9", "J20", "X"}
    assert concepts.below("J18.9") == set()
    assert concepts.above("X") == {"J20", "J"}
    assert concepts.codes == {"J", "J18", "J18.9", "J20", "X"}


def test_a_circle_ends() -> None:
    circle = {"concept": [{"code": "a", "concept": [{"code": "b", "concept": [{"code": "a"}]}]}]}
    assert concepts_of(circle).below("a") == {"b"}


def test_hierarchies_of_the_standard_are_known() -> None:
    found = standard_concepts("http://terminology.hl7.org/CodeSystem/v3-RoleCode")
    assert found is not None
    assert "MTH" in found.below("PRN")
    assert "FAMMEMB" in found.above("MTH")
    assert standard_concepts("http://loinc.org") is None


def codes(part: dict[str, Any], known: Any = None) -> set[str | None]:
    (read,) = compose({"compose": {"include": [part]}})
    return {token.code for token in read.codes(known)}


def test_an_include_lists_filters_or_takes_the_whole_system() -> None:
    known = concepts_of(ICD)
    assert codes({"system": "s", "concept": [{"code": "a"}]}) == {"a"}
    assert codes({"system": "s"}) == {None}
    assert codes({"system": "s"}, known) == set(known.codes)
    is_a = {"property": "concept", "op": "is-a", "value": "J18"}
    assert codes({"system": "s", "filter": [is_a]}, known) == {"J18", "J18.9"}
    descends = {"property": "concept", "op": "descendent-of", "value": "J"}
    assert codes({"system": "s", "filter": [is_a, descends]}, known) == {"J18", "J18.9"}


@pytest.mark.parametrize("known", [None, concepts_of(ICD)])
def test_what_cannot_be_listed_is_refused(known: Any) -> None:
    with pytest.raises(NotExpandableError):
        codes({"system": "s", "filter": [{"property": "kind", "op": "regex", "value": ".*"}]}, known)


def test_an_expansion_alone_is_a_list() -> None:
    (part,) = compose(
        {
            "expansion": {
                "contains": [{"system": "s", "code": "a", "contains": [{"system": "s", "code": "b"}]}]
            }
        }
    )
    assert part.codes(None) == {TokenCriterion("s", "a"), TokenCriterion("s", "b")}
