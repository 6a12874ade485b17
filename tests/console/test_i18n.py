"""Every word on a page can be read in Vietnamese, and every code has a word."""

import re
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from jinja2 import Environment

import clinic_net.console
from clinic_net.access.principals import PURPOSES, Role
from clinic_net.clinical.specialties import SPECIALTIES
from clinic_net.clinical.triage import SIGNS, Colour
from clinic_net.console import i18n, words
from clinic_net.consultations import rules as consultations
from clinic_net.consultations.documents import SECTIONS
from clinic_net.referrals import rules as referrals
from tools.translations import catalogues, problems

TEMPLATES = sorted((Path(clinic_net.console.__file__).parent / "templates").iterdir())
NAMES = {"clinic-net", "News", "NEWS2", "SpO", "kg", "mmHg", "min", "html", "Tiếng", "Việt", "English"}
"""What is the same in every language."""

READ_ALOUD = ("alt", "aria-label", "placeholder", "title", "value")


class Literal(HTMLParser):
    """Collects what a template says or reads aloud by itself, without the catalogue."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._tag = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._tag = tag
        spoken = READ_ALOUD if tag not in ("button", "option", "input", "li") else READ_ALOUD[:-1]
        self.found += [value for name, value in attrs if name in spoken and value]

    def handle_data(self, data: str) -> None:
        if self._tag not in ("script", "style"):
            self.found.append(data)


def written_out(source: str) -> list[str]:
    """Return the words of a template's own text; what an expression gives is a blank."""
    pieces = Environment(extensions=["jinja2.ext.i18n"]).lex(source)
    reader = Literal()
    reader.feed("".join(value if kind == "data" else " " for _, kind, value in pieces))
    return [word for text in reader.found for word in re.findall(r"[^\W\d_]{3,}[\w-]*", text)]


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_a_template_says_nothing_that_the_catalogue_does_not_know(template: Path) -> None:
    assert [word for word in written_out(template.read_text("utf-8")) if word not in NAMES] == []


def test_the_lint_finds_words_in_text_and_in_what_is_read_aloud() -> None:
    found = written_out(
        '<p title="Hello">{{ _("fine") }} there{% if x %} again{% endif %}</p><script>var</script>'
    )
    assert found == ["Hello", "there", "again"]


@pytest.mark.parametrize(
    "catalogue", catalogues(), ids=lambda path: path.relative_to(path.parents[5]).parts[0]
)
def test_every_message_of_the_code_is_translated(catalogue: Path) -> None:
    assert problems(catalogue) == []


@pytest.mark.parametrize(
    ("codes", "table"),
    [
        (consultations.State, words.STATES),
        (consultations.RANK, words.URGENCIES),
        (consultations.OUTCOMES, words.OUTCOMES),
        (set(consultations._NEXT_STEP.values()), words.NEXT_STEPS),
        (Colour, words.COLOURS),
        (SECTIONS, words.SECTIONS),
        (referrals.State, words.REFERRAL_STATES),
        (Role, words.ROLES),
        ({code for codes in PURPOSES.values() for code in codes}, words.PURPOSES),
        (referrals.REASONS, words.REFERRAL_REASONS),
    ],
)
def test_every_code_that_a_page_shows_has_a_word(codes: Iterable[str], table: words.Words) -> None:
    assert {str(code) for code in codes} <= table.keys()


def test_specialties_and_danger_signs_are_named_in_both_languages() -> None:
    for code in SPECIALTIES:
        assert words.specialty(code, "vi") != words.specialty(code, "en")
    for code in SIGNS:
        assert words.sign(code, "vi") != words.sign(code, "en")


def test_a_code_without_a_word_is_shown_as_it_is() -> None:
    filters = words.filters("vi", i18n.translations("vi").gettext)
    assert filters["state"]("hovering") == "hovering"
    assert filters["specialty"]("astrology") == "astrology"
    assert filters["state"](None) == ""


def test_words_are_in_the_language_of_the_page() -> None:
    vietnamese = words.filters("vi", i18n.translations("vi").gettext)
    english = words.filters("en", i18n.translations("en").gettext)
    assert (vietnamese["urgency"]("red"), english["urgency"]("red")) == ("Cấp cứu", "Emergency")
    assert vietnamese["detail"]("not_my_specialty", "declined") == "Không đúng chuyên khoa"
