"""The station's records on its own disk: SQLite, written so that a power cut loses nothing that was called saved.

``database`` opens it and runs transactions, ``records`` holds resources, ``outbox`` what waits for the hub,
``patients`` finds people, ``feed`` takes what came down, ``calls`` and ``settings`` hold the rest.
"""

from station_agent.store.database import Database, Tx

__all__ = ["Database", "Tx"]
