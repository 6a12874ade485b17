"""Two versions side by side, and what a person made of them. Hub and station show the same and decide alike."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from clinic_net.protocol.sync.merge import Clash, Members, Resource, Side
from clinic_net.protocol.sync.merge_policy import Sound, reconciled
from clinic_net.protocol.sync.merge_values import Json, element_of, same

_STAMPS = ("resourceType", "id", "meta", "text")
_CODED = frozenset(
    {
        "active", "clinicalStatus", "criticality", "deceasedBoolean", "gender", "severity", "status",
        "verificationStatus",
    }
)  # fmt: skip
"""Elements whose values are codes or truth values."""


class UndecidedError(Exception):
    """A question was left open, or the answers do not go together: take one version as a whole."""


@dataclass(frozen=True)
class Line:
    """One thing that a version says: the names of the members above it, and the value. ``differs``: the other version
    does not say it."""

    names: tuple[str, ...]
    value: str
    differs: bool = False

    @property
    def is_code(self) -> bool:
        """Whether the value is a code that pages have a word for: what somebody typed is never translated."""
        return not _CODED.isdisjoint(self.names) and self.names[-1] not in ("text", "display", "system")


@dataclass(frozen=True)
class Difference:
    """An element in which two versions differ. ``number`` is the question's, None where nobody needs to be asked:
    then ``taken`` is the side whose change it is, None for both."""

    path: str
    number: int | None
    taken: Side | None
    base: tuple[Line, ...]
    ours: tuple[Line, ...]
    theirs: tuple[Line, ...]


def compare(
    base: Resource | None, ours: Resource, theirs: Resource, *, sound: Sound = lambda _: True
) -> tuple[Difference, ...]:
    """Return in what two versions differ, questions first; nothing when a person has nothing to decide."""
    clashes = reconciled(base, ours, theirs, sound=sound).clashes
    asked = [_difference(number, clash) for number, clash in enumerate(clashes)]
    names = {name for clash in clashes for name in (*clash.base, *clash.ours, *clash.theirs)}
    names |= {clash.path.partition("[")[0].partition(".")[0] for clash in clashes}
    return (*asked, *_settled(base or {}, ours, theirs, {element_of(name) for name in names}))


def _settled(base: Resource, ours: Resource, theirs: Resource, asked: set[str]) -> Iterator[Difference]:
    for element in dict.fromkeys(map(element_of, (*ours, *theirs))):
        b, o, t = (
            {n: v for n, v in side.items() if element_of(n) == element} for side in (base, ours, theirs)
        )
        if element in asked or element in _STAMPS or same(o, t):
            continue
        taken = Side.THEIRS if same(b, o) else Side.OURS if same(b, t) else None
        plain = {name.removeprefix("_") for name in (*o, *t)}
        path = plain.pop() if len(plain) == 1 else element.removesuffix("[x]")
        yield Difference(path, None, taken, _lines(b), *_marked(o, t))


def _difference(number: int, clash: Clash) -> Difference:
    return Difference(clash.path, number, None, _lines(clash.base), *_marked(clash.ours, clash.theirs))


def _marked(ours: Members, theirs: Members) -> tuple[tuple[Line, ...], tuple[Line, ...]]:
    one, other = _lines(ours), _lines(theirs)
    return (
        tuple(Line(line.names, line.value, line not in other) for line in one),
        tuple(Line(line.names, line.value, line not in one) for line in other),
    )


def _lines(members: Members) -> tuple[Line, ...]:
    shown = {name: value for name, value in members.items() if name not in _STAMPS}
    return tuple(_walk((), shown))


def _walk(names: tuple[str, ...], value: Json) -> Iterator[Line]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _walk((*names, name), item)
    elif isinstance(value, list):
        for item in value:
            yield from _walk(names, item)
    elif value is not None:
        yield Line(names, str(value).lower() if isinstance(value, bool) else str(value))


def decide(
    base: Resource | None,
    ours: Resource,
    theirs: Resource,
    *,
    whole: Side | None,
    answers: Mapping[int, Side],
    sound: Sound = lambda _: True,
) -> Resource:
    """Return the resource that a person decided on: one version, or both merged with an answer to each question.

    Raises:
        UndecidedError: a question has no answer, or what comes out is not valid.
    """
    if whole is not None:
        return ours if whole is Side.OURS else theirs
    merged = reconciled(base, ours, theirs, sound=sound, choose=lambda number, _: answers.get(number))
    if merged.resource is None:
        raise UndecidedError
    return merged.resource
