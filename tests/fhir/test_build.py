"""Resources of our own making, and the typed models as a second opinion on the structural check."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from clinic_net.fhir import check, parse
from clinic_net.fhir.build import build, build_from

Sample = Callable[[str], dict[str, Any]]


def test_what_is_built_keeps_its_decimals() -> None:
    content = {"status": "final", "code": {"text": "SpO2"}, "valueQuantity": {"value": Decimal("97.50")}}
    text = build_from("Observation", content)
    assert b"97.50" in text
    assert check(parse(text)) == []


def test_a_model_becomes_text() -> None:
    model = get_fhir_model_class("Patient").model_validate({"resourceType": "Patient", "gender": "female"})
    assert parse(build(model)) == {"resourceType": "Patient", "gender": "female"}


@pytest.mark.parametrize(
    ("resource_type", "content"),
    [("Patient", {"gender": "SECRET"}), ("Patient", {"x": 1}), ("Observation", {}), ("Bogus", {})],
)
def test_what_is_not_sound_is_not_built(resource_type: str, content: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"content does not make|required") as caught:
        build_from(resource_type, content)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("resource_type", ["Patient", "Observation", "Condition", "Encounter", "Bundle"])
def test_the_typed_models_agree_that_a_sound_resource_is_sound(sample: Sample, resource_type: str) -> None:
    resource = sample(resource_type)
    get_fhir_model_class(resource_type).model_validate(resource)
    assert check(resource) == []
