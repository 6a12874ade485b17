"""Batches are taken once each and in their order; a copied database is found out, a hub that lost some says so."""

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from clinic_net.protocol.sync.chain import Chain, Link

contents = st.lists(st.binary(max_size=3), max_size=12)


class Hub:
    """The smallest hub that keeps to the chain."""

    def __init__(self) -> None:
        self.chain = Chain()
        self.taken: list[bytes] = []

    def push(self, seq: int, content: bytes) -> Link:
        digest = sha256(content).digest()
        known = sha256(self.taken[seq - 1]).digest() if seq <= len(self.taken) else None
        link = self.chain.link(seq, digest, known)
        if link is Link.NEXT:
            self.taken.append(content)
            self.chain = self.chain.with_next()
        return link


@given(contents, st.data())
def test_whatever_is_sent_again_of_a_chain_each_batch_is_taken_once_and_in_order(
    batches: list[bytes], data: st.DataObject
) -> None:
    hub = Hub()
    for seq, content in enumerate(batches, 1):
        for again in data.draw(st.lists(st.integers(1, seq), max_size=3)):
            if again < seq:
                assert hub.push(again, batches[again - 1]) is Link.AGAIN
        assert hub.push(seq, content) is Link.NEXT
    assert hub.taken == batches


@given(contents, st.integers(1, 20), st.binary(min_size=4, max_size=5))
def test_another_content_under_a_taken_number_is_a_fork_and_changes_nothing(
    batches: list[bytes], seq: int, other: bytes
) -> None:
    hub = Hub()
    for number, content in enumerate(batches, 1):
        hub.push(number, content)
    link = hub.push(seq, other)
    if seq <= len(batches):
        assert link is Link.FORK
        assert hub.taken == batches
    else:
        assert link is (Link.NEXT if seq == len(batches) + 1 else Link.GAP)


@given(contents.filter(bool), st.data())
def test_a_hub_that_was_restored_asks_for_all_that_it_lost_and_then_has_it(
    batches: list[bytes], data: st.DataObject
) -> None:
    hub = Hub()
    for seq, content in enumerate(batches[: data.draw(st.integers(0, len(batches) - 1))], 1):
        hub.push(seq, content)
    seq = data.draw(st.integers(hub.chain.expected, len(batches)))
    while seq <= len(batches):
        if hub.push(seq, batches[seq - 1]) is Link.GAP:
            seq = hub.chain.expected
        else:
            seq += 1
    assert hub.taken == batches
