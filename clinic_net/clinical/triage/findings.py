"""What a look at a patient found: each finding with its colour, and which signs are accounted for."""

from dataclasses import dataclass, field

from clinic_net.clinical.triage.result import Colour, Reason, worst
from clinic_net.clinical.triage.signs import SIGNS


@dataclass(slots=True)
class Findings:
    """Findings of one chart, in the order in which they were made."""

    chart: str
    items: list[tuple[Colour, Reason]] = field(default_factory=list)
    counted: set[str] = field(default_factory=set)
    """Codes of the recorded signs that already made a finding."""

    def add(self, colour: Colour, name: str, text: str, text_vi: str) -> None:
        """Note a finding; its reason has the code ``chart-colour-name``."""
        code = f"{self.chart}-{colour}-{name}".replace("_", "-")
        self.items.append((colour, Reason(code=code, text=text, text_vi=text_vi)))

    def add_sign(self, colour: Colour, code: str) -> None:
        """Note a recorded sign."""
        sign = SIGNS[code]
        self.counted.add(code)
        self.add(colour, code, sign.en, sign.vi)

    def add_signs(self, colour: Colour, codes: frozenset[str], recorded: frozenset[str]) -> None:
        """Note every recorded sign that is among ``codes``, in the order of the catalogue."""
        for code in SIGNS:
            if code in codes and code in recorded:
                self.add_sign(colour, code)

    def add_uncounted(self, colour: Colour, recorded: frozenset[str]) -> None:
        """Note the recorded signs that made no finding: a recorded danger sign is never nothing."""
        for code in SIGNS:
            if code in recorded and code not in self.counted:
                self.add_sign(colour, code)

    @property
    def colour(self) -> Colour:
        """The most severe colour found; NONE if nothing was."""
        return worst(colour for colour, _ in self.items)

    def reasons(self) -> list[Reason]:
        """All reasons, the most severe first."""
        ranked = sorted(self.items, key=lambda item: -item[0].severity)
        return list({reason.code: reason for _, reason in ranked}.values())
