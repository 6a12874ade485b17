"""The patient compartment: by which references a resource of each type belongs to a patient.

FHIR R4 CompartmentDefinition/patient. A type that is not here is never in the compartment: asking for it is refused,
because an answer without the restriction would be everybody's.
"""

from .criteria import ID, ReferenceCriterion
from .search_terms import AnyOf, Clause, invalid, unsupported

_BY_PATIENT = """
    AuditEvent BodyStructure ClaimResponse Consent CoverageEligibilityRequest CoverageEligibilityResponse DetectedIssue
    Encounter EpisodeOfCare FamilyMemberHistory Flag Goal ImagingStudy Immunization ImmunizationEvaluation
    ImmunizationRecommendation MeasureReport MolecularSequence NutritionOrder Person Provenance RelatedPerson
    SupplyDelivery VisionPrescription
"""
_BY_SUBJECT = """
    Account AdverseEvent ChargeItem ClinicalImpression DeviceUseStatement DiagnosticReport EnrollmentRequest Media
    MedicationRequest MedicationStatement RiskAssessment Specimen SupplyRequest
"""
PATIENT_COMPARTMENT: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(_BY_PATIENT.split(), ("patient",)),
    **dict.fromkeys(_BY_SUBJECT.split(), ("subject",)),
    "AllergyIntolerance": ("patient", "recorder", "asserter"),
    "Appointment": ("actor",),
    "AppointmentResponse": ("actor",),
    "Basic": ("patient", "author"),
    "CarePlan": ("patient", "performer"),
    "CareTeam": ("patient", "participant"),
    "Claim": ("patient", "payee"),
    "Communication": ("subject", "sender", "recipient"),
    "CommunicationRequest": ("subject", "sender", "recipient", "requester"),
    "Composition": ("subject", "author", "attester"),
    "Condition": ("patient", "asserter"),
    "Coverage": ("policy-holder", "subscriber", "beneficiary", "payor"),
    "DeviceRequest": ("subject", "performer"),
    "DocumentManifest": ("subject", "author", "recipient"),
    "DocumentReference": ("subject", "author"),
    "ExplanationOfBenefit": ("patient", "payee"),
    "Group": ("member",),
    "Invoice": ("subject", "patient", "recipient"),
    "List": ("subject", "source"),
    "MedicationAdministration": ("patient", "performer", "subject"),
    "MedicationDispense": ("subject", "patient", "receiver"),
    "Observation": ("subject", "performer"),
    "Patient": ("link",),
    "Procedure": ("patient", "performer"),
    "QuestionnaireResponse": ("subject", "author"),
    "RequestGroup": ("subject", "participant"),
    "ResearchSubject": ("individual",),
    "Schedule": ("actor",),
    "ServiceRequest": ("subject", "performer"),
}


def in_compartment(resource_type: str, patient: str) -> AnyOf:
    """Return what holds of a resource of this type in a patient's compartment.

    Raises:
        UnsupportedSearch: resources of this type are in no patient's compartment.
        InvalidSearchValue: ``patient`` cannot be an id.
    """
    parameters = PATIENT_COMPARTMENT.get(resource_type)
    if parameters is None:
        raise unsupported("compartment", "this type is in no patient's compartment")
    if not ID.fullmatch(patient):
        raise invalid("compartment", "no such id")
    criteria = (ReferenceCriterion((f"Patient/{patient}",)),)
    return AnyOf(tuple(Clause(parameter, "reference", "", criteria) for parameter in parameters))
