"""The example resources that HL7 publishes with FHIR R4 (npm ``hl7.fhir.r4.examples``), as they are on the disk."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "node_modules" / "hl7.fhir.r4.examples"

DEFINITIONS = ("SearchParameter", "ValueSet", "CodeSystem", "StructureDefinition")
"""Of these the package holds 4,400: the standard defining itself."""

INVALID = {
    "ActivityDefinition-blood-tubes-supply": "txt-2: an empty narrative",
    "ActivityDefinition-heart-valve-replacement": "txt-2: an empty narrative",
    "CodeSystem-v2-0550": "codes with two spaces in a row",
    "DeviceMetric-example": "its parent is a DeviceComponent, a type that R4 does not have",
    "DeviceUseStatement-example": "its reason is a type that is not allowed there",
    "EventDefinition-example": "txt-2: an empty narrative",
    "ImplementationGuide-fhir": "no name, no status, and a reference that is none",
    "MedicationRequest-medrx0301": "the performer of its dispensing is a Practitioner, not an Organization",
    "Observation-clinical-gender": "its performer is a type that is not allowed there",
    "Questionnaire-qs1": "items without linkId",
    "Questionnaire-zika-virus-exposure-assessment": "txt-2: an empty narrative",
    "SearchParameter-codesystem-extensions-CodeSystem-author": "no base",
    "SearchParameter-codesystem-extensions-CodeSystem-effective": "no base",
    "SearchParameter-codesystem-extensions-CodeSystem-end": "no base",
    "SearchParameter-codesystem-extensions-CodeSystem-keyword": "no base",
    "SearchParameter-codesystem-extensions-CodeSystem-workflow": "no base",
    "SearchParameter-questionnaireresponse-extensions-QuestionnaireResponse-item-subject": "an id of 66 characters",
    "SearchParameter-valueset-extensions-ValueSet-author": "no base",
    "SearchParameter-valueset-extensions-ValueSet-effective": "no base",
    "SearchParameter-valueset-extensions-ValueSet-end": "no base",
    "SearchParameter-valueset-extensions-ValueSet-keyword": "no base",
    "SearchParameter-valueset-extensions-ValueSet-workflow": "no base",
    "ig-r4": "the same as ImplementationGuide-fhir",
}
"""Published examples that are not valid R4, and why."""

TOO_LARGE = {
    "Bundle-dataelements",
    "Bundle-extensions",
    "Bundle-profiles-others",
    "Bundle-resources",
    "Bundle-v2-valuesets",
    "Bundle-v3-valuesets",
    "Bundle-valueset-expansions",
    "Bundle-valuesets",
}
"""More than the 4 MiB that a resource may have here: whole chapters of the standard."""


@dataclass(frozen=True)
class Example:
    name: str
    text: bytes

    @property
    def rtype(self) -> str:
        return self.name.partition("-")[0]


@cache
def examples() -> tuple[Example, ...]:
    """Return every example that is not too large, valid or not."""
    skipped = TOO_LARGE | {"package", ".index"}
    found = sorted(path for path in FOLDER.glob("*.json") if path.stem not in skipped)
    assert len(found) > 5000, "make setup brings the examples"
    return tuple(Example(path.stem, path.read_bytes()) for path in found)
