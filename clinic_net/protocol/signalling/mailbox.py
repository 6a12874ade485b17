"""A session's reliable messages until they are acknowledged: the truth that both ends of a resume agree on.

The hub keeps its mailboxes in PostgreSQL (``clinic_net.signalling``); this one lives in memory, for a
station's own pages and for tests.
"""

from collections import OrderedDict
from uuid import UUID

from clinic_net.protocol.signalling.messages import MAX_MAIL, Envelope

MAX_REMEMBERED = 256


class Mailbox:
    """Gap-free ``seq`` 1, 2, 3 … in the order of ``put``."""

    def __init__(self) -> None:
        self.last_seq = 0
        self._mail: OrderedDict[int, Envelope] = OrderedDict()

    @property
    def overflowed(self) -> bool:
        """Whether the peer has left so much unread that the session must start anew."""
        return len(self._mail) > MAX_MAIL

    def put(self, envelope: Envelope) -> Envelope:
        """Number the message, keep it, and return it as it is to be sent."""
        self.last_seq += 1
        numbered = envelope.model_copy(update={"seq": self.last_seq})
        self._mail[self.last_seq] = numbered
        return numbered

    def after(self, seq: int) -> list[Envelope]:
        """Return what is kept with a greater number, in order."""
        return [envelope for number, envelope in self._mail.items() if number > seq]

    def ack(self, seq: int) -> None:
        """Forget what the peer has."""
        for number in [number for number in self._mail if number <= seq]:
            del self._mail[number]

    def can_resume(self, last_seq: int) -> bool:
        """Whether everything after ``last_seq`` is still here, so that a peer that has it misses nothing."""
        if last_seq > self.last_seq or self.overflowed:
            return False
        first = next(iter(self._mail), self.last_seq + 1)
        return first <= last_seq + 1


class Answers:
    """The answers given to a session's requests, so that a repeated request gets the same one. Bounded."""

    def __init__(self, most: int = MAX_REMEMBERED) -> None:
        self._most = most
        self._answers: OrderedDict[UUID, Envelope | None] = OrderedDict()

    def begin(self, request: UUID) -> bool:
        """Note a request. Returns False when it is known: answered, or being worked on."""
        if request in self._answers:
            return False
        self._answers[request] = None
        while len(self._answers) > self._most:
            self._answers.popitem(last=False)
        return True

    def known(self, request: UUID) -> Envelope | None:
        """Return the answer given, or None while there is none."""
        return self._answers.get(request)

    def remember(self, request: UUID, answer: Envelope) -> None:
        self._answers[request] = answer

    def forget(self, request: UUID) -> None:
        """Let the same request be tried again: nothing happened, for a reason that passes."""
        self._answers.pop(request, None)
