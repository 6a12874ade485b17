"""Consultations: a station asks, those on duty are rung, the first to accept takes the patient and decides.

Every case has a state, an owner and a next step with a date in PostgreSQL until it is closed, and a worker
carries it on, so no call for help depends on a process that may die. Use cases are in ``service``; the news
is ``consultation.changed``, ``consultation.rung``, ``consultation.unrung`` and ``consultation.media_reset``.
"""
