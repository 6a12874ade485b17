"""Tables of signalling. Everything here is short-lived: minutes, not records."""

from uuid import UUID

from sqlalchemy import BigInteger, Column
from sqlmodel import Field, SQLModel

from clinic_net.kernel.db import Instant


class SignallingSession(SQLModel, table=True):
    """A peer's session. ``node`` holds its socket, or nobody does; ``fence`` counts its sockets: a node whose
    number is old has been superseded."""

    __tablename__ = "signalling_session"

    sid: str = Field(primary_key=True, max_length=64)
    address: str = Field(max_length=60, index=True)
    node: str | None = Field(default=None, max_length=40, index=True)
    fence: int = 1
    last_seq: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    expires_at: Instant = Field(index=True)
    """Until when it may be resumed; its node moves this on while it has a socket."""


class SignallingMail(SQLModel, table=True):
    """A reliable message that its session has not acknowledged. ``body`` is the envelope without ``seq``."""

    __tablename__ = "signalling_mail"

    sid: str = Field(primary_key=True, max_length=64)
    seq: int = Field(sa_column=Column(BigInteger, primary_key=True))
    body: str


class SignallingAnswer(SQLModel, table=True):
    """The answer that a request got, written in the transaction of its effect: whichever node hears the
    request again, under whichever session, gives the same answer and has no second effect."""

    __tablename__ = "signalling_answer"

    address: str = Field(primary_key=True, max_length=60)
    request: UUID = Field(primary_key=True)
    body: str | None = None
    at: Instant = Field(index=True)
