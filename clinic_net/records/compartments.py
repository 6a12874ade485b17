"""Who is in a compartment, through the index of references: an index range as long as the compartment is large."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import select, union
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access.policy import RecordScope
from clinic_net.fhir.search_compartments import Compartment
from clinic_net.records.index import address_of
from clinic_net.records.keys import parameter_id
from clinic_net.records.model import LinkRow, Resource
from clinic_net.records.store import visible


def referring(compartment: Compartment, fid: str) -> Any:
    """Select the numbers of the resources that a reference puts into the compartment of this resource."""
    numbers = [parameter_id(rtype, code) for rtype, codes in compartment.parameters.items() for code in codes]
    return select(col(LinkRow.rid)).where(
        col(LinkRow.address) == address_of(compartment.rtype, fid), col(LinkRow.p).in_(numbers)
    )


def itself(rtype: str, fid: str) -> Any:
    """Select the number of a resource."""
    return select(col(Resource.rid)).where(col(Resource.address) == address_of(rtype, fid))


async def types_within(
    s: AsyncSession, compartment: Compartment, fid: str, *, scope: RecordScope, now: datetime
) -> Collection[str]:
    """Return the types of what is in the compartment of this resource and within the scope."""
    ways = [referring(compartment, fid)]
    if compartment.whole:
        ways.append(itself(compartment.rtype, fid))
    members = union(*ways).subquery()
    statement = (
        select(col(Resource.rtype))
        .join(members, members.c.rid == col(Resource.rid))
        .where(~col(Resource.deleted), visible(scope, now))
        .distinct()
    )
    return set((await (await s.connection()).execute(statement)).scalars())
