"""Use cases of consultations, under one name for their callers."""

from clinic_net.consultations.calls import (
    Joined,
    Party,
    PartyName,
    decide,
    end,
    join,
    media,
    need_offer,
    parties,
    record_step,
    taken_by,
    withdraw_request,
)
from clinic_net.consultations.duty import DutyView, is_on_duty, on_duty, set_duty, set_presence
from clinic_net.consultations.reading import (
    CaseRow,
    TimelineEntry,
    calls_of,
    case,
    invite,
    invites_for,
    open_cases,
    timeline,
    view,
)
from clinic_net.consultations.requests import ConsultRequest
from clinic_net.consultations.ringing import accept, coordinator_ring, reject, request, ringing, seen
from clinic_net.consultations.steps import sweep

__all__ = [
    "CaseRow",
    "ConsultRequest",
    "DutyView",
    "Joined",
    "Party",
    "PartyName",
    "TimelineEntry",
    "accept",
    "calls_of",
    "case",
    "coordinator_ring",
    "decide",
    "end",
    "invite",
    "invites_for",
    "is_on_duty",
    "join",
    "media",
    "need_offer",
    "on_duty",
    "open_cases",
    "parties",
    "record_step",
    "reject",
    "request",
    "ringing",
    "seen",
    "set_duty",
    "set_presence",
    "sweep",
    "taken_by",
    "timeline",
    "view",
    "withdraw_request",
]
