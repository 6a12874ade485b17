"""Compile the official FHIR R4 (4.0.1) definitions into ``clinic_net/fhir/definitions/r4.json``, and the hierarchies of
their code systems into ``hierarchies.json`` beside it.

Usage: ``python -m tools.compile_fhir JAR``, where JAR is ``hapi-fhir-validation-resources-r4``, which carries the files
that HL7 publishes, unchanged. The README beside the compiled file says how to fetch it. The same input always gives the
same bytes.

The compiled file has one line per type and per search parameter list. An element is one string::

    "Reference(Patient,Group)|CodeableConcept 0..* s @condition-clinical"

that is: types (a path with a dot is a backbone element), cardinality, flags (``s`` summary, ``m`` modifier, ``-`` none)
and the required binding when its codes can be listed.
"""

import json
import sys
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

VERSION = "4.0.1"
TARGET = Path(__file__).parent.parent / "clinic_net" / "fhir" / "definitions" / "r4.json"
HIERARCHIES = TARGET.with_name("hierarchies.json")
CORE = "http://hl7.org/fhir/StructureDefinition/"
VALUE_SET = "http://hl7.org/fhir/ValueSet/"
FHIR_TYPE = CORE + "structuredefinition-fhir-type"
REGEX = CORE + "regex"
LISTS = frozenset({"element", "extension", "targetProfile", "include", "concept"})
"""Repeating elements that are read here; ``type`` repeats inside an element only."""
IGNORED = frozenset({"text", "differential", "mapping", "designation", "constraint"})
ANY_TARGET = 100
"""A reference that may point to more types than this may point to every type."""

Json = dict[str, Any]


class ValueSets:
    """Value sets whose codes can be listed from the definitions alone."""

    def __init__(self, resources: Iterable[Json]) -> None:
        self._by_url = {resource["url"]: resource for resource in resources}
        self.used: dict[str, dict[str, list[str]]] = {}

    def bind(self, url: str) -> str | None:
        """Return the short name of a value set, or None where an outside code system is needed."""
        url = url.split("|")[0]
        name = url.removeprefix(VALUE_SET)
        if name not in self.used:
            codes = self._expand(url)
            if codes is None:
                return None
            self.used[name] = codes
        return name

    def _expand(self, url: str) -> dict[str, list[str]] | None:
        value_set = self._by_url.get(url)
        if value_set is None or "exclude" in value_set["compose"]:
            return None
        found: dict[str, list[str]] = {}
        for include in value_set["compose"]["include"]:
            if "filter" in include or "valueSet" in include:
                return None
            system = include["system"]
            concepts = include.get("concept") or self._by_url.get(system, {}).get("concept")
            if not concepts:
                return None
            found.setdefault(system, []).extend(_codes(concepts))
        return found


def _codes(concepts: Iterable[Json]) -> Iterator[str]:
    for concept in concepts:
        yield concept["code"]
        yield from _codes(concept.get("concept", ()))


def _parents(concepts: Iterable[Json], parent: str | None = None) -> Iterator[tuple[str, str]]:
    for concept in concepts:
        if parent is not None:
            yield concept["code"], parent
        yield from _parents(concept.get("concept", ()), concept["code"])


def compile_hierarchies(jar: zipfile.ZipFile) -> str:
    """Return the text of the compiled hierarchies: by code system, the parents of each code that has any."""
    found: dict[str, dict[str, list[str]]] = {}
    for resource in _terminology(jar):
        if resource["resourceType"] != "CodeSystem":
            continue
        for code, parent in _parents(resource.get("concept", ())):
            parents = found.setdefault(resource["url"], {}).setdefault(code, [])
            if parent not in parents:
                parents.append(parent)
    lines = (
        f"{_line(url)}:{_line({code: sorted(found[url][code]) for code in sorted(found[url])})}"
        for url in sorted(found)
    )
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _terminology(jar: zipfile.ZipFile) -> list[Json]:
    return _resources(jar, "valueset/valuesets.xml") + _resources(jar, "valueset/v3-codesystems.xml")


def _line(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _type_code(element: Json, code: Json) -> str:
    name: str = code["code"]
    if name.startswith("http"):
        for extension in code.get("extension", ()):
            if extension["url"] == FHIR_TYPE:
                name = extension.get("valueUrl") or extension["valueUri"]
    if element["path"].count(".") == 1 and element["base"]["path"] == "Resource.id":
        return "id"  # the published definition says string; the data type of a logical id is id
    if name == "Reference":
        targets = [profile.removeprefix(CORE) for profile in code.get("targetProfile", ())]
        if targets and "Resource" not in targets and len(targets) < ANY_TARGET:
            return f"Reference({','.join(targets)})"
    return name


def _element(element: Json, value_sets: ValueSets) -> str:
    path: str = element["path"]
    codes = element.get("type", [])
    if "contentReference" in element:
        types = element["contentReference"].split("#")[1]
    elif codes and codes[0]["code"] in ("BackboneElement", "Element") and path.count(".") >= 1:
        types = path
    else:
        types = "|".join(_type_code(element, code) for code in codes)
    flags = ("s" if element.get("isSummary") == "true" else "") + (
        "m" if element.get("isModifier") == "true" else ""
    )
    text = f"{types} {element['min']}..{element['max']} {flags or '-'}"
    binding = element.get("binding", {})
    if binding.get("strength") == "required":
        name = value_sets.bind(binding["valueSet"])
        if name:
            text += f" @{name}"
    return text


def _tables(definition: Json, value_sets: ValueSets) -> dict[str, Json]:
    """Return the element tables of one definition: its own and one per backbone element."""
    name = definition["type"]
    base = definition.get("baseDefinition", "").removeprefix(CORE)
    tables: dict[str, Json] = {name: {"kind": definition["kind"], "base": base, "elements": {}}}
    if definition["kind"] == "resource":
        tables[name]["abstract"] = definition["abstract"] == "true"
    for element in definition["snapshot"]["element"][1:]:
        path: str = element["path"]
        owner, _, key = path.rpartition(".")
        codes = [code["code"] for code in element.get("type", ())]
        if codes and codes[0] in ("BackboneElement", "Element"):
            tables[path] = {"kind": "backbone", "base": codes[0], "elements": {}}
        if element["base"]["path"] in (
            path,
            f"Quantity.{key}",
        ):  # Age and its like repeat what a Quantity has
            tables[owner]["elements"][key] = _element(element, value_sets)
    return tables


def _primitive_regex(definition: Json) -> str:
    for element in definition["snapshot"]["element"]:
        for code in element.get("type", ()):
            for extension in code.get("extension", ()):
                if extension["url"] == REGEX:
                    return str(extension["valueString"])
    return ""


def _search(parameters: Iterable[Json]) -> dict[str, dict[str, Json]]:
    by_url = {parameter["url"]: parameter for parameter in parameters}
    found: dict[str, dict[str, Json]] = {}
    for parameter in by_url.values():
        for base in parameter["base"]:
            entry: Json = {"type": parameter["type"]}
            if parameter["id"] != f"{base}-{parameter['code']}":
                entry["id"] = parameter["id"]
            expression = _for_base(parameter.get("expression", ""), base)
            if expression:
                entry["expression"] = expression
            targets = sorted(parameter.get("target", ()))
            if targets and len(targets) < ANY_TARGET:
                entry["targets"] = targets
            if parameter["type"] == "composite":
                entry["components"] = [
                    [
                        by_url[part["definition"]]["code"],
                        by_url[part["definition"]]["type"],
                        part["expression"],
                    ]
                    for part in parameter["component"]
                ]
            found.setdefault(base, {})[parameter["code"]] = entry
    return found


def _for_base(expression: str, base: str) -> str:
    """Keep the branches of a shared expression that speak of ``base``."""
    branches = [branch.strip() for branch in expression.split("|") if branch.strip()]
    if branches and branches[0][0].islower():
        branches = [f"{base}.{branch}" for branch in branches]  # InsurancePlan's name leaves the type out
    own = [branch for branch in branches if branch.lstrip("(").split(".")[0].split(" ")[0] == base]
    return " | ".join(own)


def _from_xml(node: ElementTree.Element) -> Any:
    """Return FHIR XML as plain data: a primitive as its text, everything else as members."""
    if "value" in node.attrib:
        return node.attrib["value"]
    found: Json = {"url": node.attrib["url"]} if "url" in node.attrib else {}
    for child in node:
        name = child.tag.split("}")[1]
        repeats = name in LISTS or (name == "type" and node.tag.endswith("}element"))
        if name in IGNORED:
            continue
        if repeats:
            found.setdefault(name, []).append(_from_xml(child))
        else:
            found[name] = _from_xml(child)
    return found


def _resources(jar: zipfile.ZipFile, name: str) -> list[Json]:
    content = jar.read(f"org/hl7/fhir/r4/model/{name}")
    if name.endswith(".json"):
        return [entry["resource"] for entry in json.loads(content)["entry"]]
    root = ElementTree.fromstring(content)  # noqa: S314 - HL7's own files, read once by a developer
    found = []
    for node in root.iterfind("{http://hl7.org/fhir}entry/{http://hl7.org/fhir}resource/*"):
        found.append({**_from_xml(node), "resourceType": node.tag.split("}")[1]})
    return found


def compile_definitions(jar: zipfile.ZipFile) -> str:
    """Return the text of the compiled file."""
    value_sets = ValueSets(_terminology(jar))
    definitions = [
        resource
        for name in ("profile/profiles-types.xml", "profile/profiles-resources.xml")
        for resource in _resources(jar, name)
        if resource["resourceType"] == "StructureDefinition"
        and resource["fhirVersion"] == VERSION
        and resource["kind"] != "logical"
        and resource.get("derivation") != "constraint"
    ]
    primitives = {d["type"]: _primitive_regex(d) for d in definitions if d["kind"] == "primitive-type"}
    types: dict[str, Json] = {}
    for definition in definitions:
        if definition["kind"] != "primitive-type":
            types.update(_tables(definition, value_sets))
    search = _search(_resources(jar, "sp/search-parameters.json"))
    return _pretty({"primitives": primitives, "types": types, "valueSets": value_sets.used, "search": search})


def _pretty(sections: dict[str, dict[str, Any]]) -> str:
    parts = [f'"fhirVersion":{_line(VERSION)}']
    for name, section in sections.items():
        body = ",\n".join(f"{_line(key)}:{_line(section[key])}" for key in sorted(section))
        parts.append(f"{_line(name)}:{{\n{body}\n}}")
    return "{" + ",\n".join(parts) + "}\n"


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m tools.compile_fhir JAR")
    with zipfile.ZipFile(sys.argv[1]) as jar:
        texts = {TARGET: compile_definitions(jar), HIERARCHIES: compile_hierarchies(jar)}
    for target, text in texts.items():
        target.write_text(text, encoding="utf-8")
        print(f"{target.name}: {len(text.encode())} bytes")


if __name__ == "__main__":
    main()
