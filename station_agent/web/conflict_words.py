"""What the parts of a record are called where two versions of it stand side by side."""

from station_agent.web.words import N_

FIELDS = {
    "abatement": N_("ended"),
    "address": N_("address"),
    "birthDate": N_("date of birth"),
    "city": N_("commune"),
    "clinicalStatus": N_("active or over"),
    "code": N_("what it is"),
    "coding": N_("code"),
    "criticality": N_("how dangerous"),
    "display": N_("in words"),
    "dosage": N_("dose"),
    "dosageInstruction": N_("dose"),
    "family": N_("family name"),
    "gender": N_("sex"),
    "given": N_("given name"),
    "identifier": N_("number of a document"),
    "line": N_("street or hamlet"),
    "manifestation": N_("sign"),
    "medicationCodeableConcept": N_("medicine"),
    "name": N_("name"),
    "note": N_("note"),
    "onsetDateTime": N_("began"),
    "reaction": N_("reaction"),
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
"""By FHIR element; another one is shown by its FHIR name, so that nothing disappears from sight."""
