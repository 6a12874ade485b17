"""``clinicnet.signal.v1``: its messages, and the two halves of the conversation as pure objects.

A peer (a page, a station) drives :class:`PeerHalf`; whoever keeps mailboxes (the hub, a station for its own
pages) drives one :class:`HubHalf` a socket, with a :class:`Mailbox` or a table behind it.
"""

from clinic_net.protocol.signalling.hub_half import Acked, Asked, Closing, Greeted, HubEvent, HubHalf
from clinic_net.protocol.signalling.mailbox import Answers, Mailbox
from clinic_net.protocol.signalling.messages import (
    SUBPROTOCOL,
    CloseCode,
    Envelope,
    ErrorCode,
    SignalError,
    decode,
)
from clinic_net.protocol.signalling.peer_half import Answered, Delivered, PeerEvent, PeerHalf, Phase, Welcomed
from clinic_net.protocol.signalling.rates import TokenBucket, backoff

__all__ = [
    "SUBPROTOCOL", "Acked", "Answered", "Answers", "Asked", "CloseCode", "Closing", "Delivered", "Envelope",
    "ErrorCode", "Greeted", "HubEvent", "HubHalf", "Mailbox", "PeerEvent", "PeerHalf", "Phase", "SignalError",
    "TokenBucket", "Welcomed", "backoff", "decode",
]  # fmt: skip
