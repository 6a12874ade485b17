"""What people read in place of the codes of the privacy page."""

from collections.abc import Mapping
from types import MappingProxyType

from clinic_net.console.i18n import N_

PRIVACY: Mapping[str, str] = MappingProxyType(
    {
        # what is asked for
        "copy": N_("Copy of the record"),
        "correction": N_("Correction"),
        "restriction": N_("Restriction of processing"),
        "objection": N_("Objection to processing"),
        "withdrawal": N_("Withdrawal of consent"),
        "erasure": N_("Erasure"),
        "asked": N_("The person asks for it"),
        "unlawful": N_("It should never have been here"),
        # how far it is
        "received": N_("Received"),
        "answered": N_("The person has been answered"),
        "done": N_("Carried out"),
        "refused": N_("Refused"),
        # why it is refused
        "not-the-person": N_("Not asked by the person or a guardian"),
        "must-be-kept": N_("The law has it kept"),
        "legal-hold": N_("A legal hold"),
        "not-founded": N_("Not founded"),
        "others-rights": N_("Rights of others"),
        # why it is held
        "dispute": N_("Dispute"),
        "inspection": N_("Inspection"),
        "court-order": N_("Court order"),
        "complaint": N_("Complaint"),
        # breaches
        "lost-device": N_("Lost device"),
        "stolen-device": N_("Stolen device"),
        "wrong-recipient": N_("Sent to the wrong person"),
        "intrusion": N_("Intrusion"),
        "misuse": N_("Misuse by somebody with a right"),
        "loss": N_("Data lost"),
        "other": N_("Other"),
        "identity": N_("Identity numbers and papers"),
        "contact": N_("Contact details"),
        "health": N_("Health data"),
        "images": N_("Pictures and sound"),
        "credentials": N_("Passwords and keys"),
        "note": N_("Note"),
        "notified": N_("The authority has been told"),
        "people_told": N_("The people concerned have been told"),
        "closed": N_("Closed"),
    }
)
