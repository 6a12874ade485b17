"""Clinical rules that the hub and every station share: who may be whom, and who must be seen first.

Pure like ``protocol``: standard library and pydantic, no I/O and no clock, so that a station without a
network gives the same answer as the hub. Times and dates are arguments. Import from the modules:
``identifiers``, ``names``, ``dates``, ``specialties`` and ``triage``.
"""
