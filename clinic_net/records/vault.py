"""The records' secret key: kept, sealed, in the database beside the rows it made, remembered by the process."""

import secrets
from weakref import WeakKeyDictionary

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.kernel.data_keys import keyring_of, unsealed
from clinic_net.records.fragments import Fragments
from clinic_net.records.keys import Keys
from clinic_net.records.model import IndexKey

_ROW = 1
_BYTES = 32
_BOUND = b"records-index-key"
_made_by = "records.keys_made_here"

_known: WeakKeyDictionary[object, Keys] = WeakKeyDictionary()
_fragments: WeakKeyDictionary[Keys, Fragments] = WeakKeyDictionary()
"""By engine: a process may speak to several databases."""


def known_keys(engine: AsyncEngine) -> Keys | None:
    """Return the hashes of a database that this process has asked for before."""
    return _known.get(engine.sync_engine)


async def keys_of(s: AsyncSession) -> Keys:
    """Return the hashes of this session's database.

    The key is made by whoever needs it first; others wait for that transaction. It is remembered only once it is
    sure to have been committed: a key that is rolled back must not make another index row.
    """
    engine = s.get_bind()
    if (known := _known.get(engine)) is not None:
        return known
    connection = await s.connection()
    transaction = s.sync_session.get_transaction()
    read = select(col(IndexKey.key)).where(col(IndexKey.id) == _ROW)
    secret = (await connection.execute(read)).scalar_one_or_none()
    if secret is None:
        sealed = keyring_of(s).seal(secrets.token_bytes(_BYTES), bound=_BOUND)
        made = {"id": _ROW, "key": sealed}
        ours = insert(IndexKey).values(made).on_conflict_do_nothing().returning(col(IndexKey.id))
        if (await connection.execute(ours)).first() is not None:
            s.info[_made_by] = transaction
        secret = (await connection.execute(read)).scalar_one()
    if len(secret) == _BYTES:  # of an older release, which kept it as it is
        sealed = keyring_of(s).seal(secret, bound=_BOUND)
        row = col(IndexKey.id) == _ROW, col(IndexKey.key) == secret
        await connection.execute(update(IndexKey).where(*row).values(key=sealed))
    else:
        secret = unsealed(secret, bound=_BOUND)
    keys = Keys(secret)
    if s.info.get(_made_by) is not transaction:
        _known[engine] = keys
    return keys


def fragments_of(keys: Keys) -> Fragments:
    """Return what this process remembers of index rows made with these keys."""
    found = _fragments.get(keys)
    if found is None:
        found = _fragments[keys] = Fragments(keys)
    return found
