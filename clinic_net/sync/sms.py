"""The most urgent lane by SMS: what a gateway hands in becomes the case that the record will belong to.

No record is made here. The case has the id of the ServiceRequest that is still on its way, and a case of an id is
made once: when the record arrives by the ordinary lane it finds its case open.
"""

import hashlib
import unicodedata
from datetime import datetime
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import audit
from clinic_net.access import StationPrincipal
from clinic_net.access import service as access
from clinic_net.access.keys import Use, keyed_digest
from clinic_net.clinical.specialties import SPECIALTIES
from clinic_net.consultations import service as consultations
from clinic_net.consultations.errors import UnknownConsultation
from clinic_net.consultations.rules import RANK
from clinic_net.kernel.settings import HubSettings
from clinic_net.protocol.signalling.messages import CallView
from clinic_net.protocol.sync.sms import (
    Answer,
    Ask,
    Cancel,
    Forged,
    SmsKey,
    Status,
    Unreadable,
    decode,
    device_of,
    encode_answer,
)
from clinic_net.sync import sms_store as store
from clinic_net.sync.files_errors import SmsRefused
from clinic_net.sync.files_model import TakenSms

LEAST_URGENT = "yellow"
"""An SMS costs a station money and a try at everything else: who sends one is not green."""


def key_for(station: StationPrincipal, settings: HubSettings) -> SmsKey:
    """Return a device's key for SMS, and the number to send to."""
    key = keyed_digest(settings.token_key, Use.SMS, str(station.device))
    return SmsKey(key=key.hex(), number=settings.sms_number)


async def take(session: AsyncSession, text: str, *, settings: HubSettings, by: str, now: datetime) -> str:
    """Take what a gateway received and return the SMS that answers it.

    A copy has no second effect and gets the answer of today. A cancellation that overtakes its request holds.

    Raises:
        SmsRefused: it is no message of an active device, was changed, or reuses a counter.
        UnknownSite: the directory does not know the device's site any more.
    """
    try:
        device = await access.active_device(session, device_of(text))
    except Unreadable:
        raise SmsRefused from None
    if device is None:
        raise SmsRefused
    message, key = _verified(text, device.id, settings)
    taken = TakenSms(
        device=device.id,
        counter=message.counter,
        site=device.site,
        request=message.request,
        kind="ask" if isinstance(message, Ask) else "cancel",
        digest=hashlib.sha256(text.strip().encode()).digest(),
        at=now,
    )
    if not await store.take(session, taken):
        raise SmsRefused
    await audit.record(
        session, actor=by, action="sms.take", subject=f"ServiceRequest/{message.request}", at=now
    )
    call = await _carry_out(session, message, device.site, settings=settings, now=now)
    return encode_answer(_answer(message.counter, call), device=device.id, key=key)


def _verified(text: str, device: UUID, settings: HubSettings) -> tuple[Ask | Cancel, bytes]:
    """Return the message and the key it was made with: of this token key or, while that changes, the one before."""
    for token_key in (settings.token_key, settings.token_key_before):
        if token_key is None:
            continue
        key = keyed_digest(token_key, Use.SMS, str(device))
        try:
            return decode(text, key), key
        except (Forged, Unreadable):
            continue
    raise SmsRefused


async def _carry_out(
    session: AsyncSession, message: Ask | Cancel, site: str, *, settings: HubSettings, now: datetime
) -> CallView | None:
    """Do what a message asks for; return the case, None if there is none (it was taken back before it came)."""
    if isinstance(message, Cancel):
        try:
            await consultations.withdraw_request(session, message.request, site=site, now=now)
        except UnknownConsultation:
            return None
    elif not await store.was_cancelled(session, message.device, message.request):
        await consultations.request(session, _request(message, site, settings), now)
    else:
        return None
    return await consultations.view(session, message.request)


def _request(message: Ask, site: str, settings: HubSettings) -> consultations.ConsultRequest:
    urgent = (
        message.colour
        if message.colour in RANK and RANK[message.colour] < RANK[LEAST_URGENT]
        else LEAST_URGENT
    )
    return consultations.ConsultRequest(
        id=message.request,
        site=site,
        tenant=site,
        patient=str(message.patient),
        encounter=None if message.encounter is None else str(message.encounter),
        specialty=message.specialty if message.specialty in SPECIALTIES else "general",
        urgency=urgent,
        requested_at=message.asked,
        ring_after=settings.ring_tier_after,
        triage_score=message.score,
    )


def _answer(counter: int, call: CallView | None) -> Answer:
    """Return what the nurse is told, in Vietnamese without marks: GSM 7 bit has none of them."""
    if call is None or call.state == "ended":
        return Answer(counter, Status.OVER, "Yeu cau da duoc huy hoac ket thuc.")
    if call.accepted_by:
        return Answer(counter, Status.ANSWERED, f"Bac si {_plain(call.accepted_by)} da nhan ca benh.")
    return Answer(counter, Status.RECEIVED, "Tuyen tren da nhan, dang goi bac si.")


def _plain(name: str) -> str:
    spelled = unicodedata.normalize("NFD", name.replace("đ", "d").replace("Đ", "D"))
    return "".join(letter for letter in spelled if letter.isascii())[:40]
