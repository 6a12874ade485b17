"""Who is in a compartment, through the index of references: an index range as long as the compartment is large."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, and_, or_, select
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access.policy import RecordScope
from clinic_net.fhir.search_compartments import Compartment
from clinic_net.records.index import address_of
from clinic_net.records.keys import parameter_id
from clinic_net.records.model import LinkRow, Resource
from clinic_net.records.store import visible


def members(compartment: Compartment, fid: str) -> ColumnElement[bool]:
    """The condition under which a row of ``records_resource`` is in the compartment of this resource."""
    numbers = [parameter_id(rtype, code) for rtype, codes in compartment.parameters.items() for code in codes]
    here = address_of(compartment.rtype, fid)
    referring = select(col(LinkRow.rid)).where(col(LinkRow.address) == here, col(LinkRow.p).in_(numbers))
    found = col(Resource.rid).in_(referring)
    return or_(found, col(Resource.address) == here) if compartment.whole else found


async def types_within(
    s: AsyncSession, compartment: Compartment, fid: str, *, scope: RecordScope, now: datetime
) -> Collection[str]:
    """Return the types of what is in the compartment of this resource and within the scope."""
    statement = (
        select(col(Resource.rtype))
        .where(and_(members(compartment, fid), ~col(Resource.deleted), visible(scope, now)))
        .distinct()
    )
    return set((await (await s.connection()).execute(statement)).scalars())
