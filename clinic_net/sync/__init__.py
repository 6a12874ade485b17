"""Records between stations and the hub: what they push, once in effect for ever; what they pull, gap-free.

The wire is ``clinicnet.sync.v1`` (``clinic_net/protocol/README.md``). A push goes ``push_routes`` → ``batches`` (read)
→ ``inbox`` → ``taking`` (durable: chains, copies) → ``portions`` → ``applying`` (records, outcomes) → ``answers``.
"""
