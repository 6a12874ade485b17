"""What people read in place of the codes of access: why a record was opened, how a review ended, what was looked at."""

from collections.abc import Callable

from clinic_net.console.i18n import N_
from clinic_net.console.words import Words

EMERGENCY_REASONS: Words = {
    "life-threat": N_("Life in danger"),
    "unconscious": N_("Cannot be asked: unconscious or confused"),
    "handover": N_("Taking over care from another place"),
    "follow-up": N_("Question about earlier treatment"),
}
EMERGENCY_OUTCOMES: Words = {
    "justified": N_("Justified"),
    "explained": N_("Explained, not to be repeated"),
    "misuse": N_("Misuse"),
}


PURPOSES: Words = {
    "TREAT": N_("Treatment"),
    "ETREAT": N_("Treatment in an emergency"),
    "BTG": N_("Opened in an emergency"),
    "COC": N_("Arranging care"),
    "HOPERAT": N_("Running the service"),
    "PUBHLTH": N_("Public health"),
    "PATRQT": N_("At your own request"),
    "FAMRQT": N_("At your family's request"),
}
REQUEST_STATES: Words = {
    "requested": N_("Asked for"),
    "accepted": N_("Being looked at"),
    "in-progress": N_("Being looked at"),
    "completed": N_("Done"),
    "rejected": N_("Not done"),
}


def purpose(code: str) -> str:
    return PURPOSES.get(code, code)


def request_status(code: str) -> str:
    return REQUEST_STATES.get(code, code)


def emergency_reason(code: str) -> str:
    return EMERGENCY_REASONS.get(code, code)


def emergency_outcome(code: str) -> str:
    return EMERGENCY_OUTCOMES.get(code, code)


_WORDS: tuple[Callable[[str], str], ...] = (emergency_reason, emergency_outcome, purpose, request_status)


def filters(translate: Callable[[str], str]) -> dict[str, Callable[[str | None], str]]:
    """Return the words as filters of a page, in its language."""

    def said(word: Callable[[str], str]) -> Callable[[str | None], str]:
        return lambda code: translate(word(code)) if code else ""

    return {word.__name__: said(word) for word in _WORDS}
