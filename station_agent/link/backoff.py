"""How long to wait before trying again: the rules of the protocol, for the link's other conversations."""

from clinic_net.protocol.sync.station_half import honoured, wait_before

__all__ = ["honoured", "wait_before"]
