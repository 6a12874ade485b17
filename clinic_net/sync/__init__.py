"""Records between stations and the hub: what they push, once in effect for ever; what they pull, gap-free.

The wire is ``clinicnet.sync.v1`` (``clinic_net/protocol/README.md``).
"""
