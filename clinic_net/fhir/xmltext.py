"""FHIR XML in and out of FHIR JSON, driven by the official definitions (FHIR R4 XML format §2.6.1).

Order of elements, the text of numbers, ids and extensions of primitives are kept; comments are not. Expat parses.
A document type declaration is refused where it begins, so that no entity is ever declared, expanded or fetched.
"""

import json
import re
from typing import Any, NoReturn
from xml.parsers import expat

import orjson

from .errors import MalformedXml, ResourceTooLarge
from .jsontext import MAX_BYTES, MAX_DEPTH, MAX_NUMBER_LENGTH, write
from .tables import Slot, Table, tables

FHIR = "http://hl7.org/fhir"
XHTML = "http://www.w3.org/1999/xhtml"
_XML = "http://www.w3.org/XML/1998/namespace"
_SCHEMA_LOCATION = "http://www.w3.org/2001/XMLSchema-instance schemaLocation"
"""A hint for editors that published examples carry; it says nothing of the resource."""

_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_NUMBERS = frozenset({"decimal", "integer", "positiveInt", "unsignedInt"})
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_ESCAPES = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}
)
_ESCAPES_IN_TEXT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})


def read_xml(data: bytes, *, limit: int = MAX_BYTES) -> bytes:
    """Return the JSON text of a resource in XML, for ``parse`` and ``check`` to look at.

    ``limit`` is in bytes. Raises ResourceTooLarge, MalformedXml.
    """
    if len(data) > limit:
        raise ResourceTooLarge(f"more than {limit} bytes")
    return write(_Reader().read(data))


class _Frame:
    """An open element. ``slot`` None: a resource. ``wrapper``: holds a resource, as ``contained`` does."""

    __slots__ = ("content", "slot", "table", "value", "wrapper")

    def __init__(self, slot: Slot | None, table: Table | None, *, wrapper: bool = False) -> None:
        self.slot = slot
        self.table = table
        self.wrapper = wrapper
        self.content: dict[str, Any] = {}
        self.value: Any = None


class _Reader:
    def __init__(self) -> None:
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.buffer_text = True
        self._frames: list[tuple[str, _Frame]] = []
        self._root: dict[str, Any] = {}
        self._markup: list[str] = []
        self._depth = 0
        """Open elements of the narrative."""

    def read(self, data: bytes) -> dict[str, Any]:
        try:
            self._parser.Parse(data, True)
        except expat.ExpatError as error:
            raise MalformedXml("not valid XML", line=error.lineno, column=error.offset + 1) from None
        except (ValueError, LookupError):
            raise MalformedXml("not in an encoding that is known here") from None
        return self._root

    def _refuse(self, message: str) -> NoReturn:
        parser = self._parser
        raise MalformedXml(message, line=parser.CurrentLineNumber, column=parser.CurrentColumnNumber + 1)

    def _doctype(self, *_: object) -> None:
        self._refuse("a document type declaration is not allowed")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        namespace, _, local = name.rpartition(" ")
        if self._depth or (namespace == XHTML and local == "div"):
            self._open_markup(namespace, local, attributes)
            return
        if namespace != FHIR:
            self._refuse("an element is not in the namespace of FHIR")
        if len(self._frames) >= MAX_DEPTH:
            self._refuse(f"more than {MAX_DEPTH} levels")
        self._frames.append((local, self._frame(local, attributes)))

    def _frame(self, local: str, attributes: dict[str, str]) -> _Frame:
        if not self._frames or self._frames[-1][1].wrapper:
            table = tables().get(local)
            wrong = attributes.keys() - ({_SCHEMA_LOCATION} if not self._frames else frozenset())
            if table is None or "resourceType" not in table.slots or wrong:
                self._refuse("a resource is expected here")
            frame = _Frame(None, table)
            frame.content["resourceType"] = local
            return frame
        slot = self._slot(local)
        if slot.resource:
            return _Frame(slot, None, wrapper=True)
        frame = _Frame(slot, slot.table or tables()["Element"])
        for name, value in attributes.items():
            if name == "value" and slot.test is not None:
                frame.value = _typed(slot.primitive, value)
            elif name == "id" or (
                name == "url" and slot.table is not None and slot.table.name == "Extension"
            ):
                frame.content[name] = value
            else:
                self._refuse("there is no such attribute")
        return frame

    def _slot(self, local: str) -> Slot:
        frame = self._frames[-1][1]
        slot = frame.table.slots.get(local) if frame.table is not None else None
        if slot is None or slot.companion or (frame.slot is None and local == "resourceType"):
            self._refuse("there is no such element")
        return slot

    def _end(self, _: str) -> None:
        if self._depth:
            self._close_markup()
            return
        local, frame = self._frames.pop()
        _tidy(frame.content)
        if not self._frames:
            self._root = frame.content
            return
        parent = self._frames[-1][1]
        if parent.wrapper:
            if parent.content:
                self._refuse("one resource is expected here")
            parent.content = frame.content
        else:
            self._attach(parent.content, local, frame)

    def _attach(self, owner: dict[str, Any], local: str, frame: _Frame) -> None:
        slot = frame.slot
        assert slot is not None
        primitive = slot.test is not None
        value = frame.value if primitive else frame.content
        if slot.many:
            owner.setdefault(local, []).append(value)
            if primitive:
                owner.setdefault(f"_{local}", []).append(frame.content or None)
        elif local in owner or f"_{local}" in owner:
            self._refuse("an element is there twice")
        else:
            if value is not None or not primitive:
                owner[local] = value
            if primitive and frame.content:
                owner[f"_{local}"] = frame.content

    def _text(self, text: str) -> None:
        if self._depth:
            self._markup.append(_escaped(text, quote=False))
        elif text.strip():
            self._refuse("text stands where only elements may")

    def _open_markup(self, namespace: str, local: str, attributes: dict[str, str]) -> None:
        if namespace != XHTML:
            self._refuse("an element of the narrative is not XHTML")
        if not self._depth:
            if not self._frames or self._frames[-1][1].table is not tables()["Narrative"]:
                self._refuse("a narrative is not expected here")
            self._markup = []
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._refuse(f"more than {MAX_DEPTH} levels")
        self._markup.append(f"<{local}" + (f' xmlns="{XHTML}"' if self._depth == 1 else ""))
        for name, value in attributes.items():
            space, _, plain = name.rpartition(" ")
            if space not in ("", _XML):
                self._refuse("there is no such attribute")
            self._markup.append(f' {"xml:" if space else ""}{plain}="{_escaped(value)}"')
        self._markup.append(f">\0{local}>")

    def _close_markup(self) -> None:
        self._depth -= 1
        opened = self._markup[-1]
        if opened.startswith(">\0"):
            self._markup[-1] = "/>"
        else:
            name = self._name_of_open()
            self._markup.append(f"</{name}>")
        if not self._depth:
            markup = "".join(re.sub(r"\A>\0[^>]*>", ">", part) for part in self._markup)
            owner = self._frames[-1][1].content
            if "div" in owner:
                self._refuse("an element is there twice")
            owner["div"] = markup

    def _name_of_open(self) -> str:
        """Return the name of the innermost open element of the narrative, and close it."""
        at = next(at for at in range(len(self._markup) - 1, -1, -1) if self._markup[at].startswith(">\0"))
        name = self._markup[at][2:-1]
        self._markup[at] = ">"
        return name


def _typed(primitive: str, value: str) -> Any:
    """Return a primitive as JSON has it; what is not formed so stays text, for the check to refuse."""
    if primitive == "boolean" and value in ("true", "false"):
        return value == "true"
    if primitive in _NUMBERS and len(value) <= MAX_NUMBER_LENGTH and _NUMBER.fullmatch(value):
        return orjson.Fragment(value.encode())  # as it is written: 0.0000001 is not 1E-7, nor 1E2 1E+2
    return value


def _tidy(content: dict[str, Any]) -> None:
    """Drop lists that say nothing: of companions where no value has one, of values where all are absent."""
    empty = [
        name
        for name, value in content.items()
        if isinstance(value, list) and all(item is None for item in value)
    ]
    for name in empty:
        del content[name]


def _escaped(text: str, *, quote: bool = True) -> str:
    text = _ILLEGAL.sub("\ufffd", text)
    return text.translate(_ESCAPES) if quote else text.translate(_ESCAPES_IN_TEXT)


_as_written = json.JSONDecoder(parse_float=str, parse_int=str)
"""Reads numbers as the texts that they are: XML writes them so."""


def to_xml(text: bytes) -> bytes:
    """Return the XML of a resource's JSON text, which must have passed ``check`` or be our own.

    A narrative that is not well-formed XML is written as its text.
    """
    content = _as_written.decode(text.decode())
    parts = ['<?xml version="1.0" encoding="UTF-8"?>']
    _resource(content, parts, root=True)
    return "".join(parts).encode()


_NAME_OF_TYPE = frozenset({"resourceType"})
"""Of a resource; ExampleScenario.instance has an element of this name."""


def _resource(content: dict[str, Any], parts: list[str], *, root: bool = False) -> None:
    rtype = content["resourceType"]
    parts.append(f'<{rtype} xmlns="{FHIR}">' if root else f"<{rtype}>")
    _members(content, tables()[rtype], parts, skipped=_NAME_OF_TYPE)
    parts.append(f"</{rtype}>")


def _members(content: dict[str, Any], table: Table, parts: list[str], *, skipped: frozenset[str]) -> None:
    for member, slot in table.slots.items():
        if slot.companion or member in skipped:
            continue
        if member not in content and f"_{member}" not in content:
            continue
        values, companions = content.get(member), content.get(f"_{member}")
        if not slot.many:
            _element(member, slot, values, companions, parts)
            continue
        count = max(len(values or ()), len(companions or ()))
        for index in range(count):
            companion = companions[index] if companions else None
            _element(member, slot, values[index] if values else None, companion, parts)


def _element(name: str, slot: Slot, value: Any, companion: Any, parts: list[str]) -> None:
    if slot.resource:
        parts.append(f"<{name}>")
        _resource(value, parts)
        parts.append(f"</{name}>")
    elif slot.primitive == "xhtml":
        parts.append(_narrative(value))
    elif slot.test is not None:
        _open(name, tables()["Element"], companion or {}, parts, value=value)
    else:
        assert slot.table is not None
        _open(name, slot.table, value, parts)


_ATTRIBUTES = frozenset({"id"})
_EXTENSION_ATTRIBUTES = frozenset({"id", "url"})


def _open(name: str, table: Table, content: dict[str, Any], parts: list[str], *, value: Any = None) -> None:
    attributes = _EXTENSION_ATTRIBUTES if table.name == "Extension" else _ATTRIBUTES
    parts.append(f"<{name}")
    for attribute in sorted(attributes & content.keys()):
        parts.append(f' {attribute}="{_escaped(str(content[attribute]))}"')
    if value is not None:
        shown = str(value).lower() if isinstance(value, bool) else str(value)
        parts.append(f' value="{_escaped(shown)}"')
    inner: list[str] = []
    _members(content, table, inner, skipped=attributes)
    parts.append("".join((">", *inner, f"</{name}>")) if inner else "/>")


def _narrative(markup: str) -> str:
    reader = _Reader()
    try:
        wrapped = f'<Basic xmlns="{FHIR}"><text>{markup}</text></Basic>'
        read: str = reader.read(wrapped.encode("utf-8", "replace"))["text"]["div"]
    except (MalformedXml, KeyError):
        read = f'<div xmlns="{XHTML}">{_escaped(markup, quote=False)}</div>'
    return read
