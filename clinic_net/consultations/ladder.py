"""Whom to ring: pure rules over who is on duty and the tiers that the directory gives."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from clinic_net.directory.service import Tier


@dataclass(frozen=True)
class Person:
    """One on duty, reachable now. ``busy``: holds another case."""

    user: UUID
    name: str
    facility: str
    province: str
    specialties: frozenset[str]
    busy: bool = False


STAND_IN = frozenset({"general", "emergency"})


def in_tier(tier: Tier, person: Person) -> bool:
    """Whether a person belongs to a tier."""
    return (tier.facilities is None or person.facility in tier.facilities) and (
        tier.province is None or person.province == tier.province
    )


def suited(specialty: str, urgency: str, people: Iterable[Person]) -> list[Person]:
    """Return who of these can answer: the specialty; without it, for a red case, general and emergency doctors.

    A case for ``general`` may be answered by either of the two.
    """
    there = list(people)
    wanted = STAND_IN if specialty == "general" else frozenset({specialty})
    found = [person for person in there if person.specialties & wanted]
    if not found and urgency == "red":
        found = [person for person in there if person.specialties & STAND_IN]
    return found


@dataclass(frozen=True)
class Rung:
    """Whom to ring, in which tier."""

    tier: int
    people: tuple[Person, ...]


@dataclass(frozen=True)
class Nobody:
    """No tier is left to ring; ``busy``: somebody suited holds another case now."""

    busy: bool


@dataclass(frozen=True)
class Need:
    """What a case asks for, and how far its ladder is: ``after`` is the last tier rung, 0 for none."""

    specialty: str
    urgency: str
    after: int


def next_ring(
    need: Need, *, tiers: Sequence[Tier], people: Sequence[Person], refused: Collection[UUID]
) -> Rung | Nobody:
    """Return the next tier that has somebody free; an empty one is skipped at once."""
    busy = False
    for tier in sorted(tiers, key=lambda tier: tier.number):
        if tier.number <= need.after:
            continue
        there = [person for person in people if in_tier(tier, person) and person.user not in refused]
        free = suited(need.specialty, need.urgency, [person for person in there if not person.busy])
        if free:
            return Rung(tier.number, tuple(free))
        busy = busy or bool(suited(need.specialty, need.urgency, there))
    return Nobody(busy)


def tier_of(tiers: Sequence[Tier], person: Person) -> int:
    """Return the first tier that a person belongs to, or 0."""
    return min((tier.number for tier in tiers if in_tier(tier, person)), default=0)
