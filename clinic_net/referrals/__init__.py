"""Referrals: a patient is sent on, somebody answers within the promised time, and the station is told.

One clinical order (ServiceRequest), one negotiation with one receiver at a time (Task; a redirect closes it and
opens the next), and a worklist by urgency and time left. Use cases are in ``service``; the news is
``referral.changed``.
"""
