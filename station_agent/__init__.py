"""The agent of a commune health station: local records, a queue to the hub, the nurse's pages.

It works with the network down. What a page calls "saved" is committed to SQLite on this computer together with the
operation that will carry it to the hub. Of clinic-net it knows ``clinic_net.protocol`` and ``clinic_net.clinical``.
"""

__version__ = "0.1.0"
