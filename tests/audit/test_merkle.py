"""The tree against RFC 6962's published vectors, and proofs against a slow tree that follows the RFC's words."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic_net.audit import merkle

LEAVES = [
    bytes.fromhex(leaf)
    for leaf in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
"""Of the first 1 to 8 leaves: the tree of certificate-transparency-go's test vectors."""
PROOFS = {
    (1, 1): [],
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}


def slow_root(leaves: list[bytes]) -> bytes:
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\0" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\1" + slow_root(leaves[:k]) + slow_root(leaves[k:])).digest()


def subtree_of(leaves: list[bytes]) -> merkle.Subtree:
    return lambda height, place: slow_root(leaves[place << height : (place + 1) << height])


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_are_those_of_the_published_tree(size: int) -> None:
    growing = merkle.Growing()
    for leaf in LEAVES[:size]:
        growing.add(leaf)
    assert merkle.root(size, subtree_of(LEAVES)).hex() == growing.root.hex() == ROOTS[size - 1]


def test_the_root_of_nothing_is_the_hash_of_nothing() -> None:
    assert merkle.root(0, subtree_of([])) == merkle.Growing().root == sha256(b"").digest()


@pytest.mark.parametrize(("old", "new"), PROOFS)
def test_proofs_are_those_of_the_published_tree(old: int, new: int) -> None:
    proof = merkle.consistency_proof(old, new, subtree_of(LEAVES))
    assert [step.hex() for step in proof] == PROOFS[old, new]


@given(st.integers(0, 70), st.integers(0, 70), st.data())
def test_a_proof_shows_one_history_and_no_other(first: int, second: int, data: st.DataObject) -> None:
    old, new = sorted((first, second))
    leaves = [bytes([number]) for number in range(new)]
    old_root, new_root = slow_root(leaves[:old]), slow_root(leaves)
    proof = merkle.consistency_proof(old, new, subtree_of(leaves))
    assert merkle.consistent(old, new, old_root, new_root, proof)
    if 0 < old < new:
        changed = data.draw(st.integers(0, old - 1))
        other = [*leaves]
        other[changed] = b"forged"
        forged = merkle.consistency_proof(old, new, subtree_of(other))
        assert not merkle.consistent(old, new, old_root, slow_root(other), forged)
        assert not merkle.consistent(old, new, old_root, new_root, [*proof, old_root])
        assert not merkle.consistent(old, new, old_root, new_root, proof[:-1])


@given(st.integers(0, 40), st.integers(0, 40))
def test_a_tree_grows_on_from_its_whole_subtrees(begin: int, more: int) -> None:
    leaves = [bytes([number]) for number in range(begin + more)]
    subtree = subtree_of(leaves)
    growing = merkle.Growing(
        (height, subtree(height, place)) for height, place in merkle.whole_subtrees(0, begin)
    )
    for leaf in leaves[begin:]:
        growing.add(leaf)
    assert (growing.size, growing.root) == (begin + more, slow_root(leaves))
