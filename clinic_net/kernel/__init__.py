"""The technical base of the hub: settings, clock, ids, errors, database, jobs, Redis, logging, HTTP seams.

It knows nothing of health care.
"""
