"""What a doctor typed into the forms of a consultation, read without judging it: the use cases refuse. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from starlette.datastructures import FormData

from clinic_net.consultations.documents import SECTIONS, Child, Item

LONGEST = 8000
"""Characters of one field of a note; more is cut off by the form already."""

_MOST_ROWS = 20
_SHORT = 200


def _text(form: FormData, name: str, *, longest: int = _SHORT) -> str:
    value = form.get(name, "")
    return value[:longest].strip() if isinstance(value, str) else ""


def note_of(form: FormData) -> dict[str, str]:
    """Return the sections of a note by key, as typed."""
    return {key: _text(form, key, longest=LONGEST) for key in SECTIONS if key in form}


@dataclass(frozen=True)
class Row:
    """One medicine as typed."""

    medicine: str = ""
    dose: str = ""
    frequency: str = ""
    quantity: str = ""
    unit: str = ""
    days: str = ""

    @property
    def item(self) -> Item:
        """The medicine; what cannot be read as a number is 0, which a prescription refuses."""
        whole = self.dose and self.frequency
        return Item(
            medicine=self.medicine,
            dose=f"{self.dose}, {self.frequency}" if whole else "",
            quantity=_number(self.quantity),
            unit=self.unit,
            days=int(self.days) if self.days.isascii() and self.days.isdigit() and len(self.days) < 4 else 0,
        )


@dataclass(frozen=True)
class Sheet:
    """A prescription as typed. ``rows`` holds no empty one, except the single row of a blank sheet."""

    rows: tuple[Row, ...] = (Row(),)
    weight: str = ""
    carer: str = ""

    @property
    def items(self) -> Sequence[Item]:
        return [row.item for row in self.rows if row != Row()]

    @property
    def child(self) -> Child:
        return Child(weight_kg=_number(self.weight) if self.weight else None, carer=self.carer)


BLANK = Sheet()

_COLUMNS = ("medicine", "dose", "frequency", "quantity", "unit", "days")


def prescription_of(form: FormData) -> Sheet:
    """Return the sheet: the columns come as repeated fields, one of each a row."""
    columns = [[str(value)[:_SHORT].strip() for value in form.getlist(name)] for name in _COLUMNS]
    rows = [Row(*values) for values in zip(*columns, strict=False)]
    written = tuple(row for row in rows if row != Row())[:_MOST_ROWS]
    return Sheet(written or BLANK.rows, _text(form, "weight"), _text(form, "carer"))


def _number(text: str) -> Decimal:
    """Return a number written with a point or a comma; 0 where it is none."""
    try:
        number = Decimal(text.replace(",", "."))
    except InvalidOperation:
        return Decimal(0)
    return number if number.is_finite() and 0 < number < 100_000 else Decimal(0)


@dataclass(frozen=True)
class Transfer:
    """A referral as typed: where to, how urgent, why."""

    to_facility: str = ""
    urgency: str = ""
    reason: str = ""


def transfer_of(form: FormData) -> Transfer:
    """Return the referral, as typed."""
    return Transfer(
        _text(form, "to_facility"), _text(form, "urgency"), _text(form, "reason", longest=LONGEST)
    )
