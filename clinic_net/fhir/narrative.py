"""The XHTML of a narrative: well-formed, basic formatting only, nothing that runs or fetches, and something to read.

FHIR R4 narrative §2.6.4 with its constraints txt-1 and txt-2: the elements and attributes of chapters 7 to 11 (without
9.4) and 15 of HTML 4.0, links, images and style attributes. What a reader shows it may put into a page as it is.
"""

import re
from xml.parsers import expat

XHTML = "http://www.w3.org/1999/xhtml"
MAX_DEPTH = 64
"""Levels of elements: what writes XML takes no more."""

_XML = "http://www.w3.org/XML/1998/namespace"
_ELEMENTS = """
a abbr acronym address area b bdo big blockquote br caption center cite code col colgroup dd dfn div dl dt em font
h1 h2 h3 h4 h5 h6 hr i img kbd li map ol p pre q s samp small span strike strong sub sup table tbody td tfoot th
thead tr tt u ul var
"""
_ATTRIBUTE_NAMES = """
abbr accesskey align alt axis bgcolor border cellpadding cellspacing char charoff charset cite class color colspan
compact coords dir face frame headers height href hreflang hspace id ismap lang longdesc name nohref noshade nowrap
rel rev rowspan rules scope shape size span src start style summary tabindex title type usemap valign value vspace
width
"""
_NAMES = frozenset(f"{XHTML} {name}" for name in _ELEMENTS.split())
_IMAGE = f"{XHTML} img"
_ATTRIBUTES = frozenset(_ATTRIBUTE_NAMES.split()) | {f"{_XML} lang", f"{_XML} space"}
_ADDRESSES = frozenset({"href", "src", "cite", "longdesc", "usemap"})
_PLAIN = _ATTRIBUTES - _ADDRESSES - {"style"}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):")
_IGNORED = re.compile(r"[\s\x00-\x20]+")
"""Browsers leave it out before they look for a scheme."""
_SCHEMES = frozenset({"http", "https", "mailto", "tel", "ftp", "urn"})
_STYLE_THAT_ACTS = re.compile(r"\\|@|expression\s*\(|behaviou?r\s*:|-moz-binding|script\s*:", re.IGNORECASE)


class _FoundError(Exception):
    """Carries what is wrong, in words."""


class _Reader:
    """Expat calls back only for what is looked at: for every element, and for text until there is some."""

    def __init__(self, *, deep: bool) -> None:
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.StartElementHandler = self._first
        self._parser.CharacterDataHandler = self._text
        if deep:
            self._parser.EndElementHandler = self._end
        self._depth = 0
        self._says_something = False

    def read(self, markup: str) -> None:
        try:
            self._parser.Parse(markup.encode("utf-8"), True)
        except (expat.ExpatError, ValueError):
            raise _FoundError("is not well-formed XHTML") from None
        if not self._says_something:
            raise _FoundError("txt-2: a narrative needs content")

    def _doctype(self, *_: object) -> None:
        raise _FoundError("is not well-formed XHTML")

    def _first(self, name: str, attributes: dict[str, str]) -> None:
        if name != f"{XHTML} div":
            raise _FoundError("must be a div of XHTML")
        self._parser.StartElementHandler = self._deeper if self._parser.EndElementHandler else self._start
        self._deeper(name, attributes)

    def _deeper(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _FoundError(f"nested more than {MAX_DEPTH} levels deep")
        self._start(name, attributes)

    def _end(self, _: str) -> None:
        self._depth -= 1

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if name not in _NAMES:
            raise _FoundError("txt-1: an element is not allowed in a narrative")
        if attributes:
            for key, value in attributes.items():
                if key not in _PLAIN:
                    self._attribute(name, key, value)
            if name == _IMAGE and attributes.get("src"):
                self._says_something = True

    def _attribute(self, element: str, name: str, value: str) -> None:
        if name not in _ATTRIBUTES:
            raise _FoundError("txt-1: an attribute is not allowed in a narrative")
        if name == "style" and _STYLE_THAT_ACTS.search(value):
            raise _FoundError("txt-1: a style does more than format")
        if name not in _ADDRESSES:
            return
        address = _IGNORED.sub("", value)
        if (match := _SCHEME.match(address)) is not None:
            scheme = match[1].lower()
            pictured = element == _IMAGE and name == "src" and address.lower().startswith("data:image/")
            if scheme not in _SCHEMES and not pictured:
                raise _FoundError("txt-1: an address is not allowed in a narrative")

    def _text(self, text: str) -> None:
        if not text.isspace():
            self._says_something = True
            self._parser.CharacterDataHandler = None


def problem(markup: str) -> str | None:
    """Return in words what is wrong with the markup of a narrative, without quoting it; None when it is sound."""
    try:
        _Reader(deep=markup.count("</") > MAX_DEPTH).read(markup)
    except _FoundError as found:
        return str(found)
    return None
