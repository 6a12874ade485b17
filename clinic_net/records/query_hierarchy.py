"""``:above`` and ``:below`` of references: what lies over or under a resource by its own "part of", link by link.

Every link is a resource of its own, so each is bound to the caller's scope: a part that the caller may not see hides
what lies behind it.
"""

from collections.abc import Iterable

from sqlalchemy import BigInteger, Integer, Select, exists, literal, select
from sqlmodel import col

from clinic_net.fhir.criteria import ReferenceCriterion
from clinic_net.fhir.search_terms import HIERARCHICAL
from clinic_net.records import rules
from clinic_net.records.index import address_of
from clinic_net.records.keys import parameter_id
from clinic_net.records.model import LinkRow, Resource
from clinic_net.records.query_compare import Condition
from clinic_net.records.query_setting import Setting
from clinic_net.records.store import visible

MAX_LEVELS = 12
"""How far up or down a hierarchy is followed: a national organisation has six levels."""


def within(
    values: Iterable[ReferenceCriterion], modifier: str, p: int, *, resource: type[Resource], setting: Setting
) -> Condition:
    """Whether a resource refers, by parameter ``p``, to one of these or to what is above or below it."""
    addresses = {
        target: address_of(*target)
        for value in values
        for key in value.keys
        if (target := rules.local_reference(key)) is not None
    }
    reached = [
        _reached(rtype, address, modifier, setting) for (rtype, _), address in sorted(addresses.items())
    ]
    found = reached[0].union(*reached[1:]) if len(reached) > 1 else reached[0]
    return (
        exists()
        .where(col(LinkRow.rid) == col(resource.rid), col(LinkRow.p) == p, col(LinkRow.address).in_(found))
        .correlate(resource)
    )


def _reached(rtype: str, address: int, modifier: str, setting: Setting) -> Select[tuple[int]]:
    start = select(literal(address, BigInteger).label("address"), literal(0, Integer).label("level"))
    if rtype not in HIERARCHICAL:
        return select(start.subquery().c.address)
    walk = start.cte(recursive=True)
    there = (~col(Resource.deleted), visible(setting.scope, setting.now), walk.c.level < MAX_LEVELS)
    part_of = col(LinkRow.p) == parameter_id(rtype, HIERARCHICAL[rtype])
    if modifier == "below":
        step = (
            select(col(Resource.address), walk.c.level + 1)
            .select_from(walk)
            .join(LinkRow, col(LinkRow.address) == walk.c.address)
            .join(Resource, col(Resource.rid) == col(LinkRow.rid))
        )
    else:
        step = (
            select(col(LinkRow.address), walk.c.level + 1)
            .select_from(walk)
            .join(Resource, col(Resource.address) == walk.c.address)
            .join(LinkRow, col(LinkRow.rid) == col(Resource.rid))
        )
    whole = walk.union(step.where(part_of, *there))
    return select(whole.c.address)
