"""Every attack of the checklist is a test: its number stands in a docstring ("#13", "Attack 13", "Attacks 3 and 4")."""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
ALL = frozenset(range(1, 75))
NUMBERS = re.compile(r"\b[Aa]ttacks?\s+((?:\d+)(?:\s*(?:,|and|to|–|-)\s*\d+)*)")
NOT_YET: frozenset[int] = frozenset()
"""Attacks whose tests are not here yet. Only ever smaller: a number that has its test must leave."""


def numbers_in(text: str) -> set[int]:
    """Return the attacks that a docstring names; "33 to 36" and "33-36" are four."""
    found: set[int] = set()
    found |= {int(number) for number in re.findall(r"#(\d+)", text)}
    for listed in NUMBERS.findall(text):
        for first, last in re.findall(r"(\d+)(?:\s*(?:to|–|-)\s*(\d+))?", listed):
            found |= set(range(int(first), int(last or first) + 1))
    return found


def named() -> set[int]:
    found: set[int] = set()
    for path in TESTS.rglob("test_*.py"):
        tree = ast.parse(path.read_text())
        found |= numbers_in(ast.get_docstring(tree) or "")
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                found |= numbers_in(ast.get_docstring(node) or "")
    return found


def test_a_docstring_s_numbers_are_read() -> None:
    assert numbers_in("Attack 13: x. Attacks 33 and 34, attacks 40 to 42; attacks 1, 2 and 9; #7") == {
        7,
        13, 33, 34, 40, 41, 42, 1, 2, 9,
    }  # fmt: skip
    assert numbers_in("An attack of 5 people") == set()


def test_every_attack_of_the_checklist_is_tried() -> None:
    assert ALL - named() == NOT_YET, (
        "an attack without its test, or one that has it and still stands in NOT_YET"
    )
