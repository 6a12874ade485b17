"""Which hashes of ``records_ix_token`` a searched value asks for."""

from dataclasses import replace
from itertools import chain

from clinic_net.fhir.criteria import (
    CompositeCriterion,
    Criterion,
    OfTypeCriterion,
    ReferenceCriterion,
    StringCriterion,
    TokenCriterion,
    UriCriterion,
)
from clinic_net.fhir.index_extras import ancestors
from clinic_net.fhir.search import Clause
from clinic_net.fhir.unions import parts_of
from clinic_net.records.index import Pairs, of_type_hash, version_hashes
from clinic_net.records.keys import Keys


def hashes_of(keys: Keys, rtype: str, clause: Clause, value: Criterion) -> list[int] | None:
    """Return the hashes of which a resource must have one, or None for what is not looked up by hash."""
    parts = parts_of(rtype, clause.parameter)
    if len(parts) == 1:
        return _hashes_of(keys, rtype, clause, value)
    found = [_hashes_of(keys, rtype, replace(clause, parameter=part), value) for part in parts]
    together = [hashes for hashes in found if hashes is not None]
    return list(chain.from_iterable(together)) if together else None


def _hashes_of(keys: Keys, rtype: str, clause: Clause, value: Criterion) -> list[int] | None:
    name = f"{clause.parameter}:identifier" if clause.modifier == "identifier" else clause.parameter
    match value:
        case TokenCriterion(system=system, code=code):
            return [keys.token(rtype, name, system, code)]
        case ReferenceCriterion(keys=references):
            return _references(keys, rtype, clause, references)
        case UriCriterion(uri=uri):
            return _uris(keys, rtype, clause, uri)
        case OfTypeCriterion():
            return [of_type_hash(keys, rtype, name, value.system, value.code, value.value)]
        case CompositeCriterion(parts=(TokenCriterion() as first, TokenCriterion() as second)):
            pairs = Pairs(keys, rtype, name)
            return [pairs.both(code_of(pairs, first), code_of(pairs, second))]
        case StringCriterion(text=text) if clause.modifier == "exact":
            return [keys.value(rtype, name, text.exact)]
        case _:
            return None


def code_of(pairs: Pairs, token: TokenCriterion) -> tuple[str, ...]:
    """Return how a composite's pairs name a code that is searched for."""
    return pairs.code(token.system, token.code or "")


def _references(keys: Keys, rtype: str, clause: Clause, references: tuple[str, ...]) -> list[int] | None:
    if clause.modifier not in ("above", "below"):
        return [keys.value(rtype, clause.parameter, reference) for reference in references]
    if ":" not in references[0]:
        return None  # a hierarchy of resources, walked link by link
    return version_hashes(keys, rtype, clause.parameter, references[0], clause.modifier)


def _uris(keys: Keys, rtype: str, clause: Clause, uri: str) -> list[int]:
    name = clause.parameter
    if clause.modifier == "above":
        return [keys.value(rtype, name, address) for address in ancestors(uri) or [uri]]
    if clause.modifier == "below" and ancestors(uri):
        return [keys.value(rtype, f"{name}:below", uri.rstrip("/"))]
    return [keys.value(rtype, name, uri)]
