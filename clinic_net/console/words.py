"""What people read in place of a code: urgencies, states, steps, outcomes, reasons, specialties, signs.

Each table gives English identifiers of the catalogues. Templates use the filters of :func:`filters`, which speak
the page's language; an unknown code is shown as it is, so that nothing disappears from a doctor's sight.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from clinic_net.clinical.specialties import SPECIALTIES
from clinic_net.clinical.triage import SIGNS
from clinic_net.console.i18n import N_
from clinic_net.console.privacy_words import PRIVACY

Words = Mapping[str, str]

URGENCIES: Words = MappingProxyType(
    {"red": N_("Emergency"), "orange": N_("Very urgent"), "yellow": N_("Urgent"), "green": N_("Routine")}
)
"""By colour; the page shows colour and word together (WCAG 1.4.1)."""

COLOURS: Words = MappingProxyType(
    {
        "red": N_("Red"), "orange": N_("Orange"), "yellow": N_("Yellow"), "green": N_("Green"),
        "none": N_("No colour"),
    }
)  # fmt: skip

STATES: Words = MappingProxyType(
    {
        "requested": N_("Requested"),
        "queued": N_("Waiting for a busy doctor"),
        "ringing": N_("Ringing"),
        "unanswered": N_("Nobody has answered"),
        "accepted": N_("Accepted, entering the call"),
        "connecting": N_("Connecting"),
        "active": N_("In the call"),
        "reconnecting": N_("Reconnecting"),
        "ended": N_("Call ended"),
    }
)

STEPS: Words = MappingProxyType(
    {
        "requested": N_("The station asked for a doctor"),
        "received": N_("The hub received the request"),
        "rung": N_("Doctors were rung"),
        "queued": N_("Waits for a doctor who is busy"),
        "unanswered": N_("Nobody answered"),
        "overdue": N_("The deadline has passed"),
        "seen": N_("A doctor has the case on the screen"),
        "declined": N_("A doctor declined"),
        "assigned": N_("The coordinator chose a doctor"),
        "accepted": N_("A doctor accepted"),
        "released": N_("The doctor did not enter; rung again"),
        "joined": N_("Entered the call"),
        "media": N_("Sound or picture arrives on both sides"),
        "reconnecting": N_("The connection was interrupted"),
        "rebuilt": N_("The connection is being rebuilt"),
        "ended": N_("The call ended"),
        "decided": N_("The doctor decided"),
        "noted": N_("The note was written"),
        "prescribed": N_("Medicines were prescribed"),
        "referred": N_("A referral was written"),
    }
)
"""What a case's timeline can hold."""

NEXT_STEPS: Words = MappingProxyType(
    {
        "ring": N_("Ring a doctor"),
        "next_tier": N_("Ring the next tier"),
        "answer": N_("A doctor must be found"),
        "join": N_("The doctor must enter the call"),
        "connect": N_("The call must connect"),
        "reconnect": N_("The call must reconnect"),
        "decide": N_("The doctor must decide"),
    }
)

OUTCOMES: Words = MappingProxyType(
    {
        "managed_locally": N_("Managed at the station"),
        "transfer": N_("Transfer"),
        "advice": N_("Advice"),
        "follow_up": N_("Follow-up"),
    }
)

END_REASONS: Words = MappingProxyType(
    {
        "completed": N_("Completed"),
        "cancelled": N_("Cancelled"),
        "media_failed": N_("No connection could be made"),
        "media_lost": N_("The connection was lost"),
        "abandoned": N_("Left open too long"),
    }
)

REFERRAL_STATES: Words = MappingProxyType(
    {
        "sent": N_("Sent, not answered yet"),
        "accepted": N_("The hospital takes the patient"),
        "rejected": N_("Rejected"),
        "counter-referred": N_("Sent back with a plan"),
        "withdrawn": N_("Withdrawn"),
    }
)

REFERRAL_REASONS: Words = MappingProxyType(
    {
        "no-bed": N_("No bed"),
        "no-specialist": N_("No specialist"),
        "equipment": N_("No equipment here"),
        "not-indicated": N_("Not indicated"),
        "insufficient-information": N_("Not enough information"),
        "duplicate": N_("Duplicate"),
        "patient-refused": N_("The patient refused"),
        "out-of-scope": N_("Outside what this place treats"),
        "unsafe-to-move": N_("Not safe to move"),
        "no-answer": N_("Did not answer"),
        "better-place": N_("Another place is better suited"),
    }
)
"""Why a referral is rejected or redirected (``referrals.rules.REASONS``)."""

DECLINES: Words = MappingProxyType(
    {
        "busy": N_("Busy"),
        "not_my_specialty": N_("Not my specialty"),
        "no_equipment": N_("No equipment here"),
        "other": N_("Another reason"),
    }
)
"""Why a doctor declines."""

ANSWERS: Words = MappingProxyType(
    {
        **DECLINES,
        "accepted": N_("Accepted"),
        "answered_elsewhere": N_("Another doctor has taken it"),
        "withdrawn": N_("Withdrawn"),
        "timeout": N_("Did not answer"),
        "ended": N_("Call ended"),
        "gone": N_("Went out of reach"),
        "no_show": N_("Accepted but did not enter"),
    }
)
"""What came of a ring, and why a page stops ringing."""

TIERS: Words = MappingProxyType(
    {"0": "–", "1": N_("Supporting facility"), "2": N_("Province"), "3": N_("Whole country")}
)
"""Whom a tier rings (``directory.service.ring_tiers``)."""

SEXES: Words = MappingProxyType(
    {"male": N_("Male"), "female": N_("Female"), "other": N_("Other"), "unknown": N_("Unknown")}
)

SECTIONS: Words = MappingProxyType(
    {
        "history": N_("History of present illness"),
        "findings": N_("Physical findings"),
        "assessment": N_("Assessment"),
        "plan": N_("Plan of treatment"),
        "advice": N_("Instructions"),
    }
)
"""The sections of a note (``consultations.documents.SECTIONS``)."""

VITALS: Words = MappingProxyType(
    {
        "respiratory_rate": N_("Respiratory rate"),
        "spo2": N_("SpO₂"),
        "systolic": N_("Systolic blood pressure"),
        "diastolic": N_("Diastolic blood pressure"),
        "pulse": N_("Pulse"),
        "temperature": N_("Temperature"),
        "weight": N_("Weight"),
        "glucose": N_("Blood glucose"),
    }
)
"""By the keys of ``record.Series``."""

UNITS: Words = MappingProxyType({"/min": N_("/min")})
"""Units that are not the same in every language."""

ROLES: Words = MappingProxyType(
    {
        "doctor": N_("Doctor"),
        "nurse": N_("Nurse"),
        "coordinator": N_("Coordinator"),
        "operator": N_("Operator"),
        "auditor": N_("Auditor"),
        "national": N_("National administrator"),
        "citizen": N_("Citizen"),
    }
)

PURPOSES: Words = MappingProxyType(
    {
        "TREAT": N_("Treatment"),
        "ETREAT": N_("Emergency treatment"),
        "HOPERAT": N_("Running the service"),
        "PUBHLTH": N_("Public health"),
        "PATRQT": N_("My own record"),
        "FAMRQT": N_("My family's record"),
    }
)
"""For what somebody works here (HL7 v3 PurposeOfUse)."""

ASSURANCES: Words = MappingProxyType(
    {"password": N_("Password"), "mfa": N_("Password and code"), "passkey": N_("Passkey")}
)
"""How somebody proved to be who they are."""

ACTORS: Words = MappingProxyType(
    {"user": N_("A colleague"), "station": N_("The station"), "worker": N_("The hub")}
)
"""By the kind of an address; a page that knows the person's name shows that."""


def urgency(code: str) -> str:
    """Return the catalogue's identifier of an urgency's word; like the others here, for a page to translate."""
    return URGENCIES.get(code, code)


def colour(code: str) -> str:
    return COLOURS.get(code, code)


def state(code: str) -> str:
    return STATES.get(code, code)


def step(code: str) -> str:
    return STEPS.get(code, code)


def next_step(code: str) -> str:
    return NEXT_STEPS.get(code, code)


def outcome(code: str) -> str:
    return OUTCOMES.get(code, code)


def end_reason(code: str) -> str:
    return END_REASONS.get(code, code)


def decline(code: str) -> str:
    return DECLINES.get(code, code)


def answer(code: str) -> str:
    return ANSWERS.get(code, code)


def referral_state(code: str) -> str:
    return REFERRAL_STATES.get(code, code)


def referral_reason(code: str) -> str:
    return REFERRAL_REASONS.get(code, code)


def tier(number: int | str) -> str:
    return TIERS.get(str(number), str(number))


def sex(code: str) -> str:
    return SEXES.get(code, code)


def section(code: str) -> str:
    return SECTIONS.get(code, code)


def vital(key: str) -> str:
    return VITALS.get(key, key)


def unit(code: str) -> str:
    return UNITS.get(code, code)


def role(code: str) -> str:
    return ROLES.get(code, code)


def purpose(code: str) -> str:
    return PURPOSES.get(code, code)


def assurance(code: str) -> str:
    return ASSURANCES.get(code, code)


def actor(address: str) -> str:
    """Return the word for who acted, from an address such as ``station:03163-01``."""
    kind = address.partition(":")[0]
    return ACTORS.get(kind, kind)


def detail(step_code: str, code: str | None) -> str:
    """Return the word for a timeline entry's ``detail``, which is a code of its step's own list."""
    if not code:
        return ""
    tables: dict[str, Words] = {
        "declined": DECLINES, "decided": OUTCOMES, "ended": END_REASONS, "released": ANSWERS
    }  # fmt: skip
    return tables.get(step_code, {}).get(code, code)


def specialty(code: str, language: str) -> str:
    """Return a specialty's name in a language."""
    known = SPECIALTIES.get(code)
    return code if known is None else known.vi if language == "vi" else known.en


def sign(code: str, language: str) -> str:
    """Return a danger sign's name in a language."""
    known = SIGNS.get(code)
    return code if known is None else known.vi if language == "vi" else known.en


def privacy(code: str) -> str:
    return PRIVACY.get(code, code)


def filters(language: str, translate: Callable[[str], str]) -> dict[str, Callable[..., str]]:
    """Return the words as filters of a page: ``{{ case.urgency | urgency }}`` is in the page's language."""

    def said(word: Callable[..., str]) -> Callable[..., str]:
        def in_language(*codes: str | int | None) -> str:
            text = "" if codes[0] is None else word(*codes)
            return translate(text) if text else ""

        return in_language

    plain: tuple[Callable[..., str], ...] = (
        urgency, colour, state, step, next_step, outcome, end_reason, decline, answer, referral_state,
        referral_reason, tier, sex, section,
        vital, unit, role, actor, purpose, assurance, privacy,
    )  # fmt: skip
    return {
        **{word.__name__: said(word) for word in plain},
        "detail": lambda code, of: translate(found) if (found := detail(of, code)) else "",
        "specialty": lambda code: specialty(code, language),
        "sign": lambda code: sign(code, language),
    }
