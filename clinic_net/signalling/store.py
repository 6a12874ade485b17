"""Every query of signalling. A session is read by its own address only; messages go to addresses, never by search."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import CursorResult, Executable, delete, func, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.protocol.signalling.messages import MAX_MAIL
from clinic_net.signalling.model import SignallingAnswer, SignallingMail, SignallingSession


class Letter(NamedTuple):
    sid: str
    seq: int
    body: str


async def _run(session: AsyncSession, statement: str, **parameters: Any) -> CursorResult[Any]:
    return await (await session.connection()).execute(text(statement), parameters)


async def _do(session: AsyncSession, statement: Executable) -> CursorResult[Any]:
    result = await (await session.connection()).execute(statement)
    assert isinstance(result, CursorResult)
    return result


# -- sessions


def add_session(session: AsyncSession, new: SignallingSession) -> None:
    session.add(new)


async def lock_session(
    session: AsyncSession, sid: str, *, address: str, now: datetime
) -> SignallingSession | None:
    """Return and hold a session of this address that may still be resumed."""
    statement = (
        select(SignallingSession)
        .where(SignallingSession.sid == sid, SignallingSession.address == address)
        .where(col(SignallingSession.expires_at) > now)
        .with_for_update()
    )
    return (await session.exec(statement)).one_or_none()


async def hold_address(session: AsyncSession, address: str) -> None:
    """Hold every session of an address, so that what is read next and sent then is in the order of its truth."""
    statement = select(SignallingSession.sid).where(SignallingSession.address == address)
    await session.exec(statement.order_by(col(SignallingSession.sid)).with_for_update())


async def release(session: AsyncSession, sid: str, *, fence: int, expires_at: datetime) -> bool:
    """Note that a socket is gone; False when another socket has taken the session over."""
    statement = (
        update(SignallingSession)
        .where(col(SignallingSession.sid) == sid, col(SignallingSession.fence) == fence)
        .values(node=None, expires_at=expires_at)
    )
    return bool((await _do(session, statement)).rowcount)


async def keep(session: AsyncSession, sids: Collection[str], *, expires_at: datetime) -> None:
    """Move the end of sessions that have a socket."""
    await _do(
        session,
        update(SignallingSession).where(col(SignallingSession.sid).in_(sids)).values(expires_at=expires_at),
    )


async def fences(session: AsyncSession, sids: Collection[str]) -> Mapping[str, int]:
    """Return the number of each session's newest socket; one that is missing has ended."""
    statement = select(SignallingSession.sid, SignallingSession.fence).where(
        col(SignallingSession.sid).in_(sids)
    )
    return dict((await session.exec(statement)).all())


async def online(session: AsyncSession, addresses: Collection[str], *, now: datetime) -> frozenset[str]:
    statement = (
        select(SignallingSession.address)
        .where(col(SignallingSession.address).in_(addresses))
        .where(col(SignallingSession.expires_at) > now)
    )
    return frozenset((await session.exec(statement.distinct())).all())


async def has_socket(session: AsyncSession, sid: str, *, now: datetime) -> bool:
    statement = (
        select(SignallingSession.sid)
        .where(SignallingSession.sid == sid, col(SignallingSession.node).is_not(None))
        .where(col(SignallingSession.expires_at) > now)
    )
    return (await session.exec(statement)).first() is not None


async def remove_ended(session: AsyncSession, *, now: datetime) -> list[str]:
    """Delete sessions that may not be resumed any more or that read nothing; return their addresses."""
    overflowed = select(SignallingMail.sid).group_by(SignallingMail.sid).having(func.count() > MAX_MAIL)
    statement = (
        delete(SignallingSession)
        .where((col(SignallingSession.expires_at) <= now) | col(SignallingSession.sid).in_(overflowed))
        .returning(col(SignallingSession.address))
    )
    addresses = list((await _do(session, statement)).scalars())
    if addresses:
        living = select(SignallingSession.sid)
        await _do(session, delete(SignallingMail).where(col(SignallingMail.sid).not_in(living)))
    return addresses


async def one_at_a_time(session: AsyncSession, key: str) -> None:
    """Hold off whoever else asks for ``key`` until this transaction ends."""
    await _run(session, "select pg_advisory_xact_lock(hashtextextended(:key, 0))", key=f"signalling {key}")


# -- mail


async def append(
    session: AsyncSession, body: str, *, address: str, sid: str | None, now: datetime
) -> list[str]:
    """Append a message to the mailbox of every living session of an address (or of one); return their sids.

    The session rows are locked, in one order, until the transaction ends: numbers appear in the order of
    commits and without gaps.
    """
    result = await _run(
        session,
        """
        with held as (
            select sid from signalling_session
            where address = :address and expires_at > :now and (cast(:sid as varchar) is null or sid = :sid)
            order by sid for update
        ), numbered as (
            update signalling_session s set last_seq = last_seq + 1 from held where s.sid = held.sid
            returning s.sid, s.last_seq
        )
        insert into signalling_mail (sid, seq, body) select sid, last_seq, :body from numbered returning sid
        """,
        address=address,
        sid=sid,
        body=body,
        now=now,
    )
    return list(result.scalars())


async def count_mail_after(session: AsyncSession, sid: str, seq: int) -> int:
    statement = select(func.count()).where(col(SignallingMail.sid) == sid, col(SignallingMail.seq) > seq)
    return (await session.exec(statement)).one()


async def mail_of(session: AsyncSession, sids: Collection[str]) -> Sequence[Letter]:
    """Return what these sessions have not acknowledged, in order."""
    result = await _run(
        session,
        "select sid, seq, body from signalling_mail where sid = any(:sids) order by sid, seq",
        sids=list(sids),
    )
    return [Letter(row.sid, row.seq, row.body) for row in result]


async def mail_at(session: AsyncSession, node: str) -> Sequence[Letter]:
    """Return what the sessions with a socket at this node have not acknowledged, in order."""
    result = await _run(
        session,
        """
        select m.sid, m.seq, m.body from signalling_mail m join signalling_session s on s.sid = m.sid
        where s.node = :node order by m.sid, m.seq
        """,
        node=node,
    )
    return [Letter(row.sid, row.seq, row.body) for row in result]


async def drop_mail(session: AsyncSession, acked: Mapping[str, int]) -> None:
    """Delete what sessions have acknowledged: each up to a number."""
    await _run(
        session,
        """
        delete from signalling_mail m
        using unnest(cast(:sids as varchar[]), cast(:seqs as bigint[])) as a (sid, seq)
        where m.sid = a.sid and m.seq <= a.seq
        """,
        sids=list(acked.keys()),
        seqs=list(acked.values()),
    )


# -- answers


async def claim(session: AsyncSession, address: str, request: UUID, *, now: datetime) -> bool:
    """Note a request. False when it was answered before; a twin at the same instant waits for the first."""
    statement = insert(SignallingAnswer).values(address=address, request=request, at=now)
    return bool((await _do(session, statement.on_conflict_do_nothing())).rowcount)


async def answer_to(session: AsyncSession, address: str, request: UUID) -> str | None:
    statement = select(SignallingAnswer.body).where(
        SignallingAnswer.address == address, SignallingAnswer.request == request
    )
    return (await session.exec(statement)).one()


async def remember(session: AsyncSession, address: str, request: UUID, body: str) -> None:
    await _do(
        session,
        update(SignallingAnswer)
        .where(col(SignallingAnswer.address) == address, col(SignallingAnswer.request) == request)
        .values(body=body),
    )


async def forget_answers(session: AsyncSession, *, before: datetime) -> None:
    await _do(session, delete(SignallingAnswer).where(col(SignallingAnswer.at) < before))
