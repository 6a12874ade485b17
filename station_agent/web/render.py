"""Turning data into a page in the reader's language."""

import gettext
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse

from station_agent import __version__, clock
from station_agent.web import words

HERE = Path(__file__).parent
LOCALES = HERE.parent / "locale"
LANGUAGES = ("vi", "en")
LANGUAGE_COOKIE = "station_language"


def language_of(request: Request) -> str:
    """Return the page's language: chosen before, or Vietnamese."""
    chosen = request.cookies.get(LANGUAGE_COOKIE)
    return chosen if chosen in LANGUAGES else LANGUAGES[0]


@cache
def _translations(language: str) -> gettext.NullTranslations:
    return gettext.translation("messages", LOCALES, [language], fallback=True)


def translate(language: str) -> words.Translate:
    """Return the translating function of a language."""
    return _translations(language).gettext


@cache
def _environment(language: str) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=select_autoescape(default=True),
        extensions=["jinja2.ext.i18n"],
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    translations = _translations(language)
    environment.install_gettext_callables(  # type: ignore[attr-defined]  # the i18n extension adds it
        translations.gettext, translations.ngettext, newstyle=True
    )
    environment.globals.update(words=words, version=__version__, lang=language)
    return environment


def page(request: Request, template: str, *, status: int = 200, **context: Any) -> HTMLResponse:
    """Render a template with what every page needs: language, time and station."""
    agent = request.app.state.agent
    language = language_of(request)
    now = clock.now()
    text = (
        _environment(language)
        .get_template(template)
        .render(
            request=request,
            path=request.url.path,
            station=agent.enrolment,
            link=agent.link,
            now=now,
            today=now.astimezone(words.VIETNAM).date(),
            T=translate(language),
            nurse=getattr(request.state, "session", None),
            **context,
        )
    )
    return HTMLResponse(text, status)
