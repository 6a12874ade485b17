"""Signalling: the WebSocket edge of consultations, ``clinicnet.signal.v1``.

A session outlives its sockets and its node: its reliable messages wait, numbered without gaps, in PostgreSQL,
and so do the answers that a repeated request gets again. Any node serves any session. Redis only wakes nodes
early; without it they look every second. What a request means is ``consultations``' business; what happened
there comes back as news (``jobs``). The public names are those of ``service`` and ``edge``.
"""
