"""Use cases of administration, under one name for their callers."""

from clinic_net.access.administration.approvals import (
    MOST_SITES,
    Request,
    ask_for_codes,
    ask_for_role,
    ask_to_reset_factors,
    collect_codes,
    decide,
    open_requests,
)
from clinic_net.access.administration.people import (
    BY_ONE,
    Person,
    add,
    disable,
    facilities_of,
    new_password,
    normal_name,
    people_of,
    person,
    reset_factors,
    set_role,
    sign_out,
)

__all__ = [
    "BY_ONE",
    "MOST_SITES",
    "Person",
    "Request",
    "add",
    "ask_for_codes",
    "ask_for_role",
    "ask_to_reset_factors",
    "collect_codes",
    "decide",
    "disable",
    "facilities_of",
    "new_password",
    "normal_name",
    "open_requests",
    "people_of",
    "person",
    "reset_factors",
    "set_role",
    "sign_out",
]
