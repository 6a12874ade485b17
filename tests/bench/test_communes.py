"""What the benchmark sends: invented, the same every time, of the size that life has, and taken by the hub's check."""

import itertools

from clinic_net.bench import framed
from clinic_net.bench.communes import PER_PERSON, Commune, text
from clinic_net.fhir.jsontext import parse
from clinic_net.fhir.structure import check
from clinic_net.protocol.sync import Lane, OpHead, PushHead, codec, frames

PEOPLE = 300


def test_the_same_seed_is_the_same_commune_and_another_is_another() -> None:
    first, again, other = (
        [text(each) for each in itertools.islice(Commune(seed, people=20).records(), 100)]
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_a_person_has_about_as_many_records_as_in_life_and_a_record_about_as_many_bytes() -> None:
    sizes = [len(text(each)) for each in Commune(1, people=PEOPLE).records()]
    assert abs(len(sizes) / PEOPLE - PER_PERSON) < 0.6
    assert abs(sum(sizes) / len(sizes) - 899) < 25


def test_the_hub_finds_nothing_wrong_in_any_of_them() -> None:
    work = itertools.chain.from_iterable(itertools.islice(Commune(2).work(), 60))
    for resource in (*Commune(1, people=40).records(), *work):
        assert check(parse(text(resource))) == []


def test_everybody_in_a_communes_work_was_registered_by_it() -> None:
    known = set()
    for saved in itertools.islice(Commune(3).work(), 200):
        for resource in saved:
            if resource["resourceType"] == "Patient":
                known.add(f"Patient/{resource['id']}")
            else:
                about = resource["patient" if resource["resourceType"] == "Immunization" else "subject"]
                assert about["reference"] in known


def test_a_batch_is_read_back_as_it_was_written_and_the_dictionary_halves_what_is_left_of_it() -> None:
    work = itertools.islice(Commune(4).work(), 12)
    stream = next(framed.batches(work, station="00004-01", epoch=framed.epoch_of(4)))
    head, start = frames.first_of(stream, PushHead)
    assert (head.lane, head.seq, head.count) == (Lane.CARE, 1, framed.BATCH)
    assert len(list(frames.frames_of(stream, start, OpHead, head.count))) == framed.BATCH

    plain, _ = codec.compress(stream, None)
    packed, coding = codec.compress(stream, codec.newest())
    assert coding == codec.DCZ
    assert len(packed) < 0.7 * len(plain)
    assert codec.decompress(packed, coding, limit=len(stream)) == stream
