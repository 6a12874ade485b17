"""Turn a template and facts into a page, in the reader's language."""

from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.requests import Request

from clinic_net.access.principals import UserPrincipal
from clinic_net.access.proof.errors import VerificationNeeded
from clinic_net.console import access_words, i18n, words
from clinic_net.console.permission import KINDS
from clinic_net.kernel.errors import Refusal, Unauthenticated

_HERE = Path(__file__).parent


@cache
def _environment(language: str) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=select_autoescape(("html", "svg")),
        extensions=["jinja2.ext.i18n"],
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.install_gettext_translations(i18n.translations(language), newstyle=True)  # type: ignore[attr-defined]
    environment.filters.update(local_time=i18n.local_time, clock_time=i18n.clock_time, duration=i18n.duration)
    environment.filters.update(written_time=i18n.written_time)
    environment.filters.update(
        kind=lambda rtype: i18n.translations(language).gettext(KINDS.get(rtype, rtype))
    )
    environment.filters.update(words.filters(language, i18n.translations(language).gettext))
    environment.filters.update(access_words.filters(i18n.translations(language).gettext))
    environment.globals.update(language=language, languages=i18n.LANGUAGES)
    return environment


def render(
    request: Request, template: str, *, user: UserPrincipal | None, status: int = 200, **facts: Any
) -> HTMLResponse:
    """Return a page or a fragment. ``facts`` are what its template names; a missing one is an error."""
    environment = _environment(i18n.language_of(request, default=user.language if user else ""))
    told = {"user": user, "path": request.url.path, **facts}
    text = environment.get_template(template).render(**told)
    return HTMLResponse(text, status)


def is_fragment(request: Request) -> bool:
    """Whether htmx asks for a part of a page."""
    return request.headers.get("hx-request") == "true"


def page_before(request: Request) -> str:
    """Return the path of this hub's page that sent a form; empty for any other site's."""
    before = urlsplit(request.headers.get("referer", ""))
    here = request.headers.get("host", "").lower()
    return before.path if before.netloc.lower() == here and before.path.startswith("/") else ""


def safe_path(path: str) -> str:
    """Return a path of this hub that somebody may be led to; ``/`` in place of anything else."""
    fine = (
        path.startswith("/")
        and not path.startswith(("//", "/\\"))
        and path.isprintable()
        and len(path) <= 2_000
    )
    return path if fine else "/"


def _to_verify(request: Request) -> Response:
    """Lead somebody to prove that it is them, and then back to where they were."""
    query = f"?{request.url.query}" if request.url.query else ""
    asked = request.method == "GET" and not is_fragment(request)
    back = request.url.path + query if asked else page_before(request)
    to = "/verify?" + urlencode({"next": safe_path(back)})
    if is_fragment(request):
        return Response(status_code=403, headers={"HX-Redirect": to})
    return RedirectResponse(to, 303)


def refusal_page(request: Request, refusal: Refusal, *, status: int, headers: dict[str, str]) -> Response:
    """Say a refusal to a person; whoever is not signed in is sent to sign in, whoever must prove it to verify."""
    if isinstance(refusal, VerificationNeeded):
        return _to_verify(request)
    if isinstance(refusal, Unauthenticated) and request.method == "GET" and request.url.path != "/sign-in":
        if is_fragment(request):
            return Response(status_code=status, headers={"HX-Redirect": "/sign-in"})
        return RedirectResponse("/sign-in", 303)
    page = render(
        request,
        "refusal.html",
        user=None,
        status=status,
        code=refusal.code,
        http_status=status,
        places=[place.path for place in refusal.places],
        back="" if request.method == "GET" else page_before(request),
    )
    page.headers.update(headers)
    return page
