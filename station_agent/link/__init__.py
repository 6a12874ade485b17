"""The one connection to the hub: records up, records down (``sync``), and calls (``signal``). It fails all the time.

Nothing here may lose a record: an operation is forgotten only when the hub has answered it.
"""
