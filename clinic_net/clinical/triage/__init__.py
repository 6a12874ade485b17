"""Triage: who must be seen first, by published charts whose tables are data.

Scores raise a clinician's priority and never lower it. What was not assessed is named, never taken as
normal, and GREEN is only said when everything required was assessed. ``read_vitals`` reads input without
mercy, ``assess`` applies a chart (``auto``: those that fit); both raise nothing but InvalidVitals.
"""

from clinic_net.clinical.triage.charts import CHARTS, Chart, assess
from clinic_net.clinical.triage.result import Applied, Colour, Reason, TriageResult
from clinic_net.clinical.triage.signs import SIGNS, Sign
from clinic_net.clinical.triage.vitals import GlasgowComa, InvalidVitals, Vitals, VitalsIssue, read_vitals

__all__ = [
    "CHARTS",
    "SIGNS",
    "Applied",
    "Chart",
    "Colour",
    "GlasgowComa",
    "InvalidVitals",
    "Reason",
    "Sign",
    "TriageResult",
    "Vitals",
    "VitalsIssue",
    "assess",
    "read_vitals",
]
