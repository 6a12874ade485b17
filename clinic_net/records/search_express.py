"""Searches that one index leads straight to, many of one form in one statement.

The form of the statement leaves the database no choice: it walks the rows of the driving hash, newest first, looks at
the other criteria row by row, and stops when the page is full. (``offset 0`` keeps a subquery from being turned into a
join. Left to statistics, which are missing for a value that is new, the planner walks the whole table instead.)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import literal_column

from clinic_net.access.policy import RecordScope
from clinic_net.fhir import Search
from clinic_net.fhir.criteria import DateCriterion
from clinic_net.fhir.search import Clause
from clinic_net.kernel.links import Database, fetch
from clinic_net.records import query_compare
from clinic_net.records.keys import Keys, parameter_id
from clinic_net.records.query_hashes import hashes_of
from clinic_net.records.store import HEAD, Head, head_of

_EXACT = frozenset({"", "exact", "identifier", "of-type"})
_DATES = frozenset({"eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"})
"""``ap`` depends on the time."""
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Form:
    """What searches in one statement share: the type, and the kind of each criterion but the driving one.

    ``others`` holds "one" or "some" for hashes, and the prefix for a date.
    """

    rtype: str
    others: tuple[str, ...]


@dataclass(frozen=True)
class Straight:
    """A search in this form: its driving hash, and the values of its other criteria in the form's order.

    ``limit`` is how many rows it wants, ``before`` the ``rid`` behind which its page begins.
    """

    form: Form
    driver: int
    values: tuple[Any, ...]
    limit: int
    before: int = 2**62


def straight(search: Search, keys: Keys, *, limit: int) -> Straight | None:
    """Return a search in its express form, or None where it has none: it must be asked the long way.

    Only for a caller who sees every tenant.
    """
    more = search.sort or search.links or search.includes or search.revincludes or search.count == 0
    if more or search.total is not None or search.summary is not None:
        return None
    rtype = search.resource_type
    hashed: list[tuple[str, list[int]]] = []
    rest: list[tuple[str, Any]] = []
    for clause in search.clauses:
        if (hashes := _hashes(rtype, clause, keys)) is not None:
            hashed.append((clause.type, hashes))
        elif (date := _date(rtype, clause)) is not None:
            rest.append(date)
        else:
            return None
    # A reference is the narrowest guess; only one hash streams in order.
    hashed.sort(key=lambda pair: (len(pair[1]) != 1, pair[0] != "reference"))
    if not hashed or len(hashed[0][1]) != 1:
        return None
    (_, (driver,)), *others = hashed
    rest = [("one", found[0]) if len(found) == 1 else ("some", found) for _, found in others] + rest
    return Straight(
        Form(rtype, tuple(kind for kind, _ in rest)),
        driver,
        tuple(value for _, value in rest),
        limit,
    )


def _hashes(rtype: str, clause: Clause, keys: Keys) -> list[int] | None:
    if clause.modifier not in _EXACT or clause.parameter in ("_id", "_lastUpdated"):
        return None
    found: list[int] = []
    for value in clause.values:
        hashes = hashes_of(keys, rtype, clause, value)
        if hashes is None:
            return None
        found += hashes
    return found or None


def _date(rtype: str, clause: Clause) -> tuple[str, Any] | None:
    if (
        clause.type != "date"
        or clause.modifier
        or clause.parameter == "_lastUpdated"
        or len(clause.values) != 1
    ):
        return None
    (value,) = clause.values
    if not isinstance(value, DateCriterion) or value.prefix not in _DATES:
        return None
    return value.prefix, (parameter_id(rtype, clause.parameter), value.lo, value.hi)


@cache
def statement(form: Form) -> str:
    """Return the SQL of a form. Its parameters are arrays, an item for each search."""
    given = ["cast(%(driver)s as bigint[])", "cast(%(before)s as bigint[])", "cast(%(most)s as int[])"]
    names = ["driver", "before", "most"]
    criteria = []
    for number, kind in enumerate(form.others):
        if kind in ("one", "some"):
            given.append(f"cast(%(h{number})s as {'bigint' if kind == 'one' else 'text'}[])")
            names.append(f"h{number}")
            wanted = f"q.h{number}" if kind == "one" else f"any(cast(q.h{number} as bigint[]))"
            criteria.append(
                f"exists (select from records_ix_token x where x.h = {wanted} and x.rid = t.rid offset 0)"
            )
        else:
            given += [f"cast(%({name}{number})s as {type_}[])" for name, type_ in _DATE_VALUES.items()]
            names += [f"{name}{number}" for name in _DATE_VALUES]
            criteria.append(
                f"exists (select from records_ix_date x where x.rid = t.rid and x.p = q.p{number} "
                f"and ({_compared(kind, number)}) offset 0)"
            )
    columns = ", ".join(f"r.{column.key}" for column in HEAD)
    return f"""
        select q.no, f.* from unnest({", ".join(given)}) with ordinality as q ({", ".join(names)}, no)
        cross join lateral (
            select {columns} from (
                select t.rid from records_ix_token t
                where {" and ".join(["t.h = q.driver", "t.rid < q.before", *criteria])} order by t.rid desc
            ) d cross join lateral (
                select * from records_resource r where r.rid = d.rid and not r.deleted offset 0) r
            order by d.rid desc limit q.most
        ) f order by q.no, f.rid desc
    """  # noqa: S608 -- names that this module makes


_DATE_VALUES = {"p": "int", "lo": "bigint", "hi": "bigint"}


def _compared(prefix: str, number: int) -> str:
    a, b, lo, hi = map(_column, (f"q.lo{number}", f"q.hi{number}", "x.lo", "x.hi"))
    return str(query_compare.date(DateCriterion(prefix, a, b), lo, hi, _NEVER))


def _column(name: str) -> Any:
    return literal_column(name)


def _literal(numbers: Sequence[int]) -> str:
    return "{" + ",".join(map(str, numbers)) + "}"


def parameters(asked: Sequence[Straight]) -> dict[str, Any]:
    """Return what the statement of searches of one form asks for."""
    found: dict[str, Any] = {
        "driver": _literal([one.driver for one in asked]),
        "before": _literal([one.before for one in asked]),
        "most": _literal([one.limit for one in asked]),
    }
    for number, kind in enumerate(asked[0].form.others):
        values = [one.values[number] for one in asked]
        if kind == "one":
            found[f"h{number}"] = _literal(values)
        elif kind == "some":
            found[f"h{number}"] = [_literal(value) for value in values]
        else:
            for name, column in zip(_DATE_VALUES, zip(*values, strict=True), strict=True):
                found[f"{name}{number}"] = _literal(column)
    return found


async def pages(s: Database, asked: Sequence[Straight], *, scope: RecordScope) -> list[list[Head]]:
    """Return the rows of each search, newest first: one statement for all that have the same form."""
    assert scope.tenants is None, "this form of a search looks into every tenant"
    answers: list[list[Head]] = [[] for _ in asked]
    forms: dict[Form, list[int]] = {}
    for position, one in enumerate(asked):
        forms.setdefault(one.form, []).append(position)
    for form, positions in forms.items():
        values = parameters([asked[position] for position in positions])
        for row in await fetch(s, statement(form), values):
            answers[positions[row[0] - 1]].append(head_of(row[1:]))
    return answers
