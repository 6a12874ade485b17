"""Words for codes. Every text is a message id in English; its Vietnamese is in ``locale/vi``."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta, timezone

from clinic_net.clinical.dates import InvalidDate, PartialDate, age_range
from clinic_net.clinical.specialties import SPECIALTIES, Specialty

Translate = Callable[[str], str]

VIETNAM = timezone(timedelta(hours=7))


def N_(message: str) -> str:
    """Mark a text for translation; it is translated where it is shown."""
    return message


PROBLEMS: Mapping[str, str] = {
    "name-missing": N_("Write the name."),
    "sex-missing": N_("Choose the sex."),
    "birth-missing": N_("Write the year of birth, or the age."),
    "birth-in-future": N_("This date of birth is in the future."),
    "age-impossible": N_("Nobody is that old: check the year or the age."),
    "date-format": N_("Write the date in digits: day, month, and a year of four digits."),
    "date-impossible": N_("There is no such day."),
    "cccd-characters": N_("An identity number has digits only."),
    "cccd-length": N_("An identity number has 12 digits."),
    "cccd-sex-differs": N_("The identity number was issued for the other sex. Check it; it can be saved."),
    "cccd-birth-year-differs": N_(
        "The identity number holds another year of birth. Check it; it can be saved."
    ),
    "cccd-birth-year-future": N_(
        "The identity number holds a year of birth to come. Check it; it can be saved."
    ),
    "bhyt-length": N_("A card number has 10, 12 or 15 characters."),
    "bhyt-characters": N_("A card number is two letters and 13 digits, or 10 or 12 digits."),
    "bhyt-benefit-level": N_("The third character of the card, the benefit level, is 1 to 5."),
    "phone-characters": N_("A phone number has digits only."),
    "phone-country": N_("Only Vietnamese phone numbers are kept here."),
    "phone-prefix": N_("A phone number begins with 02, 03, 05, 07, 08 or 09."),
    "phone-length": N_("The phone number has too many or too few digits."),
    "wrong-type": N_("Write a number."),
    "impossible": N_("This value cannot be. Check the number and its unit."),
    "pressure-inconsistent": N_("The lower pressure must be below the upper one."),
    "oxygen-inconsistent": N_("Oxygen is marked as not given."),
    "sign-unknown": N_("Unknown danger sign."),
}
OTHER_PROBLEM = N_("This cannot be right.")

SEXES = {"female": N_("Female"), "male": N_("Male"), "other": N_("Other"), "unknown": N_("Unknown")}

COLOURS = {
    "red": N_("RED – immediately"),
    "orange": N_("ORANGE – very urgent"),
    "yellow": N_("YELLOW – urgent"),
    "green": N_("GREEN – can wait"),
    "none": N_("Not enough is known yet"),
}
SHORT_COLOURS = {
    "red": N_("Red"),
    "orange": N_("Orange"),
    "yellow": N_("Yellow"),
    "green": N_("Green"),
    "none": N_("Not triaged"),
}

FIELDS = {
    "respiratory_rate": N_("Breaths a minute"),
    "spo2": N_("Oxygen saturation (SpO2)"),
    "pulse": N_("Pulse"),
    "temperature": N_("Temperature"),
    "systolic": N_("Blood pressure, upper"),
    "diastolic": N_("Blood pressure, lower"),
    "weight": N_("Weight"),
    "height_cm": N_("Height"),
    "glucose": N_("Blood glucose"),
    "capillary_refill": N_("Capillary refill"),
    "consciousness": N_("Consciousness"),
    "oxygen": N_("On oxygen"),
    "mobility": N_("Walking"),
    "trauma": N_("Injured"),
    "pregnant": N_("Pregnant"),
    "signs": N_("Danger signs"),
    "sex": N_("Sex"),
    "age_years": N_("Age"),
    "pain": N_("Pain"),
    "gcs": N_("Glasgow coma scale"),
    "respiratory_effort": N_("Work of breathing"),
}

CONSCIOUSNESS = {
    "A": N_("Awake and clear"),
    "C": N_("Newly confused"),
    "V": N_("Reacts to voice only"),
    "P": N_("Reacts to pain only"),
    "U": N_("Does not react"),
}
MOBILITIES = {"walking": N_("Walks"), "with_help": N_("Walks with help"), "stretcher": N_("Cannot walk")}

STAFF = {
    "wrong": N_("Name and PIN do not fit. Try again."),
    "locked": N_("Too many wrong PINs. This account rests for some minutes; others are not concerned."),
    "busy": N_("Too many are signing in. Wait a moment."),
    "pin-digits": N_("A PIN has digits only."),
    "pin-length": N_("A PIN has 6 to 12 digits."),
    "pin-easy": N_("This PIN would be guessed first. Choose another."),
    "pin-again": N_("The two new PINs differ."),
    "pin-same": N_("Choose another PIN than the one until now."),
    "name-missing": N_("Write the name."),
    "not-first": N_("There are accounts here already."),
    "first-here": N_("The first account is made at the station's own computer."),
    "last-lead": N_("Somebody else must lead the station first."),
    "unknown": N_("There is no such account."),
}
STAFF_EVENTS = {
    "came": N_("signed in"),
    "refused": N_("gave a wrong PIN"),
    "added": N_("added"),
    "pin-given": N_("gave a new PIN to"),
    "pin-changed": N_("chose a new PIN"),
    "let-go": N_("let go"),
    "taken-back": N_("took back"),
}

LINKS = {
    "unenrolled": N_("Not enrolled"),
    "connecting": N_("Connecting"),
    "online": N_("Online"),
    "offline": N_("No network"),
    "revoked": N_("Blocked by the network"),
    "outdated": N_("Program too old"),
}
LINK_HELP = {
    "unenrolled": N_("This computer has not been enrolled."),
    "connecting": N_("Looking for the network. Everything you save is kept on this computer."),
    "online": N_("The records reach the hospital."),
    "offline": N_("Go on working: everything you save is kept on this computer and leaves by itself later."),
    "revoked": N_(
        "The network no longer accepts this computer. You can go on working here; nothing leaves it. "
        "Call the person responsible for the network."
    ),
    "outdated": N_(
        "This program is too old for the network. You can go on working here; nothing leaves it. "
        "Call the person responsible for the network."
    ),
}

LANES = {0: N_("Urgent"), 1: N_("Care"), 2: N_("Routine"), 3: N_("Large")}

VERDICTS = {
    "needs-you": N_("Something needs you: see below. Everything is kept on this computer."),
    "urgent-waits": N_("An urgent request has not been taken yet. It leaves first, before anything else."),
    "first-copy": N_("The records of the commune are coming in. You can work meanwhile."),
    "waits": N_("Not everything has been taken yet. It is kept here and leaves by itself."),
    "never": N_("The network has never been reached. Everything is kept on this computer."),
    "all-there": N_("Everything that was saved here has been taken by the network."),
}

RECORDS = {
    "Patient": N_("Patient"),
    "Encounter": N_("Visit"),
    "Observation": N_("Measurement"),
    "AllergyIntolerance": N_("Allergy"),
    "MedicationStatement": N_("Medicine taken"),
    "ServiceRequest": N_("Request for a doctor"),
}

SMS_SENT = {
    "ask": N_("Sent by SMS at %(time)s, reference %(reference)s."),
    "cancel": N_("Taken back by SMS at %(time)s, reference %(reference)s."),
}
SMS_ANSWERS = {
    "received": N_("The hospital network has it and calls a doctor."),
    "answered": N_("A doctor has taken the case."),
    "over": N_("The case is closed."),
}
PICTURE_PROBLEMS = {
    "too-large": N_("The file is larger than 1 MB. Take a picture of it instead."),
    "not-taken": N_("Only pictures (JPEG, PNG) and PDF documents can be added."),
    "upload-active": N_("The network did not take it: the document holds a program or another file."),
    "upload-damaged": N_("The network did not take it: it cannot be read."),
    "upload-too-many-pixels": N_("The network did not take it: it has too many pixels."),
    "other": N_("The network did not take it. It is kept on this computer."),
}
CASES = {
    "waiting": N_("Waiting for the network. The request leaves first, before anything else."),
    "received": N_("The hospital network has received the request."),
    "requested": N_("The hospital network has received the request."),
    "queued": N_("All doctors on duty are busy. The request waits in the queue."),
    "ringing": N_("A doctor is being called."),
    "unanswered": N_("No doctor has answered yet. The coordinator has been told; calling goes on."),
    "accepted": N_("A doctor has accepted."),
    "connecting": N_("Connecting picture and sound."),
    "active": N_("In the call."),
    "reconnecting": N_("The connection was interrupted. Trying again."),
    "ended": N_("The call is over."),
    "refused": N_("The hospital network could not read this request."),
}
STEPS = ("waiting", "received", "ringing", "accepted", "active", "ended")
STEP_NAMES = {
    "waiting": N_("Saved here"),
    "received": N_("Received"),
    "ringing": N_("Calling a doctor"),
    "accepted": N_("Accepted"),
    "active": N_("In the call"),
    "ended": N_("Over"),
}
STEP_OF = {
    "waiting": 0, "refused": 0, "received": 1, "requested": 1, "queued": 1, "ringing": 2, "unanswered": 2,
    "accepted": 3, "connecting": 3, "active": 4, "reconnecting": 4, "ended": 5,
}  # fmt: skip
END_REASONS = {
    "completed": N_("The call was completed."),
    "cancelled": N_("The request was taken back."),
    "media_failed": N_("Picture and sound could not be connected. The coordinator has been told."),
    "media_lost": N_("The connection was lost. The coordinator has been told."),
    "abandoned": N_("The call ended without a word. The coordinator has been told."),
}

REFUSALS = {
    "required": N_("Something is missing in this record."),
    "value": N_("A value in this record is not accepted."),
    "invalid": N_("A value in this record is not accepted."),
    "structure": N_(
        "This record is built in a way the network does not know. The program may need an update."
    ),
    "code-invalid": N_("A code in this record is not known."),
    "not-found": N_("Something this record refers to is not known to the network."),
    "too-long": N_("This record is too large."),
    "forbidden": N_("This station may not change this record."),
    "not-supported": N_("The network does not accept this kind of record. The program may need an update."),
}
OTHER_REFUSAL = N_("The network could not store this record.")

LETTERS = {"note": N_("Doctor's note"), "prescription": N_("Prescription"), "referral": N_("Referral")}


def problem_text(code: str, _: Translate) -> str:
    """Return what to do about a problem in a form."""
    return _(PROBLEMS.get(code, OTHER_PROBLEM))


def birth_text(birth: str | None) -> str:
    """Return a FHIR date as people here write it: 15/03/1985, 03/1985 or 1985."""
    return "/".join(reversed((birth or "").split("-")))


def age_text(birth: str | None, on: date, _: Translate) -> str:
    """Return an age in words: days below a month, months below three years, then years; "about" if uncertain."""
    try:
        partial = PartialDate.parse(birth or "")
        ages = age_range(partial, on)
    except InvalidDate:
        return _("age unknown")
    if partial.day is not None and ages.max_months < 1:
        return _("%(number)s days") % {"number": ages.max_days}
    if ages.max_months < 36 and ages.max_months - ages.min_months < 2:
        return _("%(number)s months") % {"number": ages.max_months}
    if ages.certain:
        return _("%(number)s years") % {"number": ages.max_years}
    return _("about %(number)s years") % {"number": ages.max_years}


def local_time(text: str | None) -> datetime | None:
    """Return an ISO instant in Vietnam's time, or None."""
    try:
        at = datetime.fromisoformat((text or "").replace("Z", "+00:00"))
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(VIETNAM)


def clock_text(text: str | None, today: date) -> str:
    """Return an instant as people read it: 09:14, or 09:14 20/11, or 09:14 20/11/2025."""
    at = local_time(text)
    if at is None:
        return (text or "")[:10]
    if at.date() == today:
        return at.strftime("%H:%M")
    return at.strftime("%H:%M %d/%m" if at.year == today.year else "%H:%M %d/%m/%Y")


def ago_text(text: str | None, now: datetime, _: Translate) -> str:
    """Return how long ago something was, roughly."""
    at = local_time(text)
    if at is None:
        return _("never")
    minutes = int((now - at).total_seconds() // 60)
    if minutes < 1:
        return _("just now")
    if minutes < 60:
        return _("%(number)s minutes ago") % {"number": minutes}
    if minutes < 48 * 60:
        return _("%(number)s hours ago") % {"number": minutes // 60}
    return _("%(number)s days ago") % {"number": minutes // (24 * 60)}


def specialty(code: str) -> Specialty:
    """Return a specialty by its code; ``general`` for an unknown one."""
    return SPECIALTIES.get(code, SPECIALTIES["general"])


def size_text(size: int, lang: str) -> str:
    """Return bytes as people read them: 820 B, 3,4 kB, 12,0 MB; the comma in Vietnamese."""
    if size < 1000:
        return f"{size} B"
    for unit in ("kB", "MB", "GB"):
        scaled = size / {"kB": 1e3, "MB": 1e6, "GB": 1e9}[unit]
        if scaled < 1000 or unit == "GB":
            break
    text = f"{scaled:.1f}"
    return f"{text.replace('.', ',') if lang == 'vi' else text} {unit}"
