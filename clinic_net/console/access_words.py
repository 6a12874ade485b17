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


def emergency_reason(code: str) -> str:
    return EMERGENCY_REASONS.get(code, code)


def emergency_outcome(code: str) -> str:
    return EMERGENCY_OUTCOMES.get(code, code)


_WORDS: tuple[Callable[[str], str], ...] = (emergency_reason, emergency_outcome)


def filters(translate: Callable[[str], str]) -> dict[str, Callable[[str | None], str]]:
    """Return the words as filters of a page, in its language."""

    def said(word: Callable[[str], str]) -> Callable[[str | None], str]:
        return lambda code: translate(word(code)) if code else ""

    return {word.__name__: said(word) for word in _WORDS}
