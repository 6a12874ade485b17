"""Use cases of access, under one name for its callers."""

from clinic_net.access.attempts import attempted, trying_to_enrol, trying_to_sign_in
from clinic_net.access.care import end_care, grant_care, relations_of
from clinic_net.access.devices import (
    DeviceView,
    Enrolment,
    active_devices,
    devices_of,
    enrol,
    issue_code,
    revoke_device,
)
from clinic_net.access.granting import (
    add_client,
    bearer,
    client_of_token,
    disable_client,
    grant_to_client,
    grant_to_station,
    grant_to_system,
    names_a_device,
    still_valid,
)
from clinic_net.access.oauth.clients import NewClient
from clinic_net.access.oauth.clients import register as register_client
from clinic_net.access.oauth.discovery import openid_configuration, smart_configuration
from clinic_net.access.oauth.issuer import TOKEN_PATH, Issuer
from clinic_net.access.people import (
    Credentials,
    NewUser,
    SignedIn,
    add_account,
    add_user,
    disable_user,
    people,
    sign_in,
    sign_out,
    signed_in,
    user,
)
from clinic_net.access.rules import CODE_PREFIX_LENGTH, normal_code

__all__ = [
    "CODE_PREFIX_LENGTH",
    "TOKEN_PATH",
    "Credentials",
    "DeviceView",
    "Enrolment",
    "Issuer",
    "NewClient",
    "NewUser",
    "SignedIn",
    "active_devices",
    "add_account",
    "add_client",
    "add_user",
    "attempted",
    "bearer",
    "client_of_token",
    "devices_of",
    "disable_client",
    "disable_user",
    "end_care",
    "enrol",
    "grant_care",
    "grant_to_client",
    "grant_to_station",
    "grant_to_system",
    "issue_code",
    "names_a_device",
    "normal_code",
    "openid_configuration",
    "people",
    "register_client",
    "relations_of",
    "revoke_device",
    "sign_in",
    "sign_out",
    "signed_in",
    "smart_configuration",
    "still_valid",
    "trying_to_enrol",
    "trying_to_sign_in",
    "user",
]
