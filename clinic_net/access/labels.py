"""Security labels of a resource as one number: which of them a caller may not see is a mask.

Codes: HL7 v3 Confidentiality (``R``, ``V``; whatever is lower restricts nobody) and HL7 v3 ActCode below
``_ActInformationSensitivityPolicy``: https://terminology.hl7.org/CodeSystem-v3-ActCode.html.
"""

from collections.abc import Iterable, Mapping
from typing import Any

CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"

RESTRICTED, VERY_RESTRICTED = 1, 2
HIV, PSYCHIATRY, ADDICTION, SEXUALITY, VIOLENCE, GENETICS, TABOO = 4, 8, 16, 32, 64, 128, 256

PROTECTED = VERY_RESTRICTED | HIV | PSYCHIATRY | ADDICTION | SEXUALITY | VIOLENCE | GENETICS | TABOO
"""What only a relation of treatment opens, however wide a caller's reach is."""
EVERY = RESTRICTED | PROTECTED

_CONFIDENTIAL = {"R": RESTRICTED, "V": VERY_RESTRICTED}
_SENSITIVE = {
    code: bit
    for bit, codes in (
        (HIV, "HIV"),
        (PSYCHIATRY, "PSY PSYTHPN MH BH COGN DVD EMOTDIS SPI"),
        (ADDICTION, "SUD ETH ETHUD OPIOIDUD"),
        (SEXUALITY, "SEX STD"),
        (VIOLENCE, "SDV MST"),
        (GENETICS, "GDIS SCA"),
        (TABOO, "TBOO"),
    )
    for code in codes.split()
}


def labels_of(resource: Mapping[str, Any]) -> int:
    """Return the labels in ``meta.security``; a code that is not known here restricts nobody."""
    meta = resource.get("meta")
    codings = meta.get("security") if isinstance(meta, Mapping) else None
    found = 0
    for coding in codings if isinstance(codings, list) else ():
        if isinstance(coding, Mapping):
            found |= _label(coding.get("system"), coding.get("code"))
    return found


def _label(system: object, code: object) -> int:
    if system == CONFIDENTIALITY:
        return _CONFIDENTIAL.get(str(code), 0)
    return _SENSITIVE.get(str(code), 0) if system == ACT_CODE else 0


def singly(labels: int) -> Iterable[int]:
    """Return each label of a mask."""
    return (bit for bit in (1 << position for position in range(EVERY.bit_length())) if labels & bit)
