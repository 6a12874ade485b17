"""Narratives: what may be shown as it is passes, what runs, fetches or says nothing does not."""

import pytest

from clinic_net.fhir import check
from clinic_net.fhir.narrative import problem

OPEN = '<div xmlns="http://www.w3.org/1999/xhtml">'


def div(inside: str) -> str:
    return f"{OPEN}{inside}</div>"


@pytest.mark.parametrize(
    "markup",
    [
        div("Huyết áp <b class='x'>150/90</b> &amp; mạch 72<br/>"),
        div(
            '<table summary="a" style="color: red"><tbody><tr><td colspan="2">1 &lt; 2</td></tr></tbody></table>'
        ),
        div('<a href="Patient/1">An</a> <a name="x">b</a> <a href="https://a.vn/?b=c&amp;d=e">c</a>'),
        div('<img src="data:image/png;base64,AA==" alt=""/>'),
        div("<p xml:lang='vi' lang='vi'>a</p><!-- said by nobody -->"),
        '<x:div xmlns:x="http://www.w3.org/1999/xhtml"><x:p>a</x:p></x:div>',
        div("<span>" * 63 + "a" + "</span>" * 63),
        div("<b>a</b>" * 500),
    ],
)
def test_basic_formatting_passes(markup: str) -> None:
    assert problem(markup) is None


@pytest.mark.parametrize(
    ("markup", "words"),
    [
        (div("<script>alert(1)</script>"), "txt-1"),
        (div("<iframe src='https://a.vn'>a</iframe>"), "txt-1"),
        (div("<form>a</form>"), "txt-1"),
        (div("<style>b</style>"), "txt-1"),
        (div("<blink>b</blink>"), "txt-1"),
        (div("<b onclick='f()'>b</b>"), "txt-1"),
        (div("<b ONCLICK='f()'>b</b>"), "txt-1"),
        (div("<a href='javascript:f()'>b</a>"), "txt-1"),
        (div("<a href=' java&#10;script:f()'>b</a>"), "txt-1"),
        (div("<a href='data:text/html,b'>b</a>"), "txt-1"),
        (div("<img src='vbscript:f()'/>"), "txt-1"),
        (div("<p style='width: expression(f())'>b</p>"), "txt-1"),
        (div("<p style='-moz-binding: url(a)'>b</p>"), "txt-1"),
        (div('<svg xmlns="http://www.w3.org/2000/svg">a</svg>'), "txt-1"),
        ("<div>a</div>", "must be a div"),
        ('<p xmlns="http://www.w3.org/1999/xhtml">a</p>', "must be a div"),
        (div(""), "txt-2"),
        (div(" <p>\n</p> &#160;"), "txt-2"),
        (div("a&nbsp;b"), "not well-formed"),
        (div("<b>a</i>"), "not well-formed"),
        ("a", "not well-formed"),
        ("<!DOCTYPE div [<!ENTITY a 'b'>]>" + div("&a;"), "not well-formed"),
        (div("<span>" * 64 + "a" + "</span>" * 64), "levels"),
        (div("<b>" * 100_000 + "</b>" * 100_000), "levels"),
        (div("<b>" * 100_000), "not well-formed"),
    ],
)
def test_anything_else_is_refused_and_said_why(markup: str, words: str) -> None:
    assert words in str(problem(markup))


def test_the_refusal_names_the_narrative_and_quotes_nothing() -> None:
    patient = {
        "resourceType": "Patient",
        "text": {"status": "generated", "div": div("<script>SECRET</script>")},
    }
    [issue] = check(patient)
    assert (issue.code, issue.expression) == ("invariant", "Patient.text.div")
    assert "SECRET" not in issue.diagnostics
