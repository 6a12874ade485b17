"""The web pages of doctors, coordinators and operators: server-rendered, small modules where a browser must act.

Vietnamese first, English second. Pages know use cases (``service`` of the capabilities below), never tables.
"""

from clinic_net.console.pages import refusal_page
from clinic_net.console.routes import mount

__all__ = ["mount", "refusal_page"]
