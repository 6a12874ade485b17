"""What the parts of a record are called where two versions of it stand side by side."""

from clinic_net.protocol.sync.comparing import Line
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

VALUES = {
    "active": N_("active"),
    "inactive": N_("over"),
    "resolved": N_("resolved"),
    "recurrence": N_("came back"),
    "relapse": N_("came back"),
    "remission": N_("in remission"),
    "confirmed": N_("confirmed"),
    "unconfirmed": N_("not confirmed"),
    "provisional": N_("provisional"),
    "refuted": N_("ruled out"),
    "entered-in-error": N_("entered in error"),
    "high": N_("high"),
    "low": N_("low"),
    "unable-to-assess": N_("cannot be judged"),
    "stopped": N_("stopped"),
    "completed": N_("finished"),
    "cancelled": N_("cancelled"),
    "revoked": N_("withdrawn"),
    "on-hold": N_("paused"),
    "male": N_("male"),
    "female": N_("female"),
    "mild": N_("mild"),
    "moderate": N_("moderate"),
    "severe": N_("severe"),
    "true": N_("yes"),
    "false": N_("no"),
}
"""Codes as people know them; any other value is shown as it was written."""


def said(line: Line) -> str:
    """Return the word for a line's value, or the value."""
    return VALUES.get(line.value, line.value) if line.is_code else line.value
