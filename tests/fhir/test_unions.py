"""A parameter is asked as others together only where the standard's expressions say that it is just that."""

import re

import pytest

from clinic_net.fhir.definitions import SearchParameter, resource_types, search_parameters
from clinic_net.fhir.unions import is_union, parts_of

UNIONS = [
    (rtype, code) for rtype in resource_types() for code in search_parameters(rtype) if is_union(rtype, code)
]


def alternatives(parameter: SearchParameter) -> set[tuple[str, str]]:
    """Each way to the parameter's values, with what is taken there."""
    taken = [re.sub(r"\s", "", expression) for *_, expression in parameter.components]
    roads = [re.sub(r"[()\s]", "", road) for road in (parameter.expression or "").split(" | ")]
    return {(road, "+".join(taken)) for road in roads}


@pytest.mark.parametrize(("rtype", "code"), UNIONS)
def test_a_union_is_its_parts_and_nothing_else(rtype: str, code: str) -> None:
    parameters = search_parameters(rtype)
    parts = [parameters[part] for part in parts_of(rtype, code)]
    assert {part.type for part in parts} == {parameters[code].type}
    assert alternatives(parameters[code]) == set().union(*(alternatives(part) for part in parts))


def test_every_combination_of_an_observation_is_a_union() -> None:
    combos = {code for code in search_parameters("Observation") if code.startswith("combo-")}
    assert {("Observation", code) for code in combos} == set(UNIONS)
