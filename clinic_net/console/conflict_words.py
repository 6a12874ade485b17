"""What the parts of a record are called where two versions of it stand side by side."""

from collections.abc import Mapping
from types import MappingProxyType

from clinic_net.console.i18n import N_

FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "abatement": N_("ended"),
        "address": N_("address"),
        "birthDate": N_("date of birth"),
        "city": N_("commune"),
        "clinicalStatus": N_("active or over"),
        "code": N_("what it is"),
        "coding": N_("code"),
        "criticality": N_("how dangerous"),
        "display": N_("in words"),
        "dosageInstruction": N_("dose"),
        "family": N_("family name"),
        "gender": N_("sex"),
        "given": N_("given name"),
        "identifier": N_("number of a document"),
        "line": N_("street or hamlet"),
        "medicationCodeableConcept": N_("medicine"),
        "name": N_("name"),
        "note": N_("note"),
        "onsetDateTime": N_("began"),
        "reaction": N_("reaction"),
        "manifestation": N_("sign"),
        "severity": N_("severity"),
        "status": N_("state"),
        "system": N_("kind"),
        "telecom": N_("telephone"),
        "text": N_("text"),
        "unit": N_("unit"),
        "use": N_("used as"),
        "value": N_("value"),
        "valueQuantity": N_("measured value"),
        "verificationStatus": N_("certain or not"),
    }
)
"""By FHIR element; another one is shown by its FHIR name, so that nothing disappears from sight."""
