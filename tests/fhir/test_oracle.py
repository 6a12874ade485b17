"""A second opinion: what the structural check accepts, the models of ``fhir.resources`` (R4B) accept as well."""

import warnings
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from clinic_net.fhir import check, parse
from clinic_net.fhir.definitions import resource_types
from tests.fhir.generate import generated, written
from tests.fhir.mutate import mistakes

CHANGED_IN_R4B = """
CatalogEntry DeviceDefinition EffectEvidenceSynthesis Evidence EvidenceVariable MedicinalProduct
MedicinalProductAuthorization MedicinalProductContraindication MedicinalProductIndication MedicinalProductIngredient
MedicinalProductInteraction MedicinalProductManufactured MedicinalProductPackaged MedicinalProductPharmaceutical
MedicinalProductUndesirableEffect ResearchDefinition ResearchElementDefinition RiskEvidenceSynthesis
SubstanceNucleicAcid SubstancePolymer SubstanceProtein SubstanceReferenceInformation SubstanceSourceMaterial
SubstanceSpecification
"""
"""Types that R4B took out or defined anew: nothing to compare."""

MISREAD = {
    "CapabilityStatement": "the models fail at a required list of which every value is absent for a reason",
    "CodeSystem": "the same",
    "ExplanationOfBenefit": "the models know no Meta as an extension's value, which R4 has",
}
COMPARED = sorted(resource_types() - set(CHANGED_IN_R4B.split()) - MISREAD.keys())[::2]

OWN_RULES = frozenset(
    {
        "a code that is none",
        "a reference to a wrong type",
        "an empty list",
        "an empty object",
        "an empty text",
        "a number for a text",
        "an empty meta",
    }
)
"""Mistakes that the models let pass, here or there: they know no value sets and no targets, and coerce."""


def without_companions_of_values(value: Any) -> Any:
    """Return what the models can read: they know no ``_value[x]`` of an extension, which R4 has."""
    if isinstance(value, list):
        return [without_companions_of_values(item) for item in value]
    if not isinstance(value, dict):
        return value
    drop = "url" in value
    return {
        name: without_companions_of_values(item)
        for name, item in value.items()
        if not (drop and name.startswith("_value"))
    }


def accepts(rtype: str, content: dict[str, Any]) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            get_fhir_model_class(rtype).model_validate_json(written(without_companions_of_values(content)))
        except (
            ValueError,
            AttributeError,
            TypeError,
        ):  # the last two: the model's own accidents with a wrong type
            return False
    return True


def ours(content: dict[str, Any]) -> bool:
    return check(parse(written(content).encode())) == []


@pytest.mark.parametrize("rtype", COMPARED)
def test_two_checks_agree_on_what_is_valid(rtype: str) -> None:
    sound = generated(rtype, 1)
    assert ours(sound)
    assert accepts(rtype, sound)
    for mistake in mistakes(rtype, 1):
        assert not ours(mistake.content), mistake.kind
        assert mistake.kind in OWN_RULES or not accepts(rtype, mistake.content), mistake.kind
