"""The compiled definitions are whole."""

from clinic_net.fhir.definitions import elements, primitives, resource_types, search_parameters, value_set
from clinic_net.fhir.primitives import TESTS


def test_every_resource_type_of_r4_is_there() -> None:
    assert len(resource_types()) == 146
    assert {"Patient", "Bundle", "Parameters", "Binary", "VisionPrescription"} <= resource_types()
    assert "DomainResource" not in resource_types()


def test_every_primitive_type_has_a_test() -> None:
    assert set(TESTS) == set(primitives())


def test_elements_carry_cardinality_binding_and_targets() -> None:
    found = elements("Observation")
    assert (found["status"].minimum, found["status"].many, found["status"].modifier) == (1, False, True)
    assert found["status"].binding == "observation-status"
    assert found["subject"].targets == frozenset({"Patient", "Group", "Device", "Location"})
    assert found["focus"].targets is None
    assert found["value[x]"].types[0] == "Quantity"
    assert found["meta"].types == ("Meta",)
    assert found["id"].types == ("id",)


def test_elements_of_other_releases_are_not_there() -> None:
    assert "url" not in elements("Binary")
    assert "label" not in elements("ResearchStudy")


def test_value_sets_list_their_codes() -> None:
    assert value_set("administrative-gender") == {
        "http://hl7.org/fhir/administrative-gender": ("male", "female", "other", "unknown")
    }


def test_search_parameters_include_those_of_every_resource() -> None:
    found = search_parameters("Patient")
    assert {"_id", "_lastUpdated", "_tag", "name", "identifier", "birthdate"} <= set(found)
    assert found["name"].url == "http://hl7.org/fhir/SearchParameter/Patient-name"
    assert found["gender"].url == "http://hl7.org/fhir/SearchParameter/individual-gender"
