"""Names as Vietnamese people write, sort and look for them (domain §2.3)."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic_net.clinical.names import MatchRank, fold, match_rank, sort_key, split_name, tone_key


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Nguyễn Thị Hoà", "nguyen thi hoa"),
        ("  ĐỖ   Văn\tĐạt ", "do van dat"),
        ("Đặng Thuỷ Tiên", "dang thuy tien"),
        (unicodedata.normalize("NFD", "Phượng Ưu Ơn"), "phuong uu on"),
        ("H'Hen Niê", "h'hen nie"),
        ("", ""),
    ],
)
def test_folding_drops_case_marks_and_spare_space(text: str, folded: str) -> None:
    assert fold(text) == folded


def test_folding_keeps_the_vowels_of_other_scripts() -> None:
    assert fold("សុខា") == "សុខា"


@given(st.text())
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(st.text())
def test_composed_and_decomposed_text_fold_and_key_alike(text: str) -> None:
    composed, decomposed = unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text)
    assert fold(composed) == fold(decomposed)
    assert tone_key(composed) == tone_key(decomposed)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("hòa", "hoà"),
        ("thủy", "thuỷ"),
        ("khỏe", "khoẻ"),
        ("Lý", "Lí"),
        ("Mỹ", "Mĩ"),
        ("Kỳ", "Kì"),
        ("Quý", "Quí"),
    ],
)
def test_accepted_spellings_share_a_key(one: str, other: str) -> None:
    assert tone_key(one) == tone_key(other)
    assert match_rank(one, other) is MatchRank.TONE_VARIANT


@pytest.mark.parametrize(
    ("one", "other"),
    [("hòa", "hóa"), ("hoa", "hoà"), ("Thúy", "Thúi"), ("tay", "tai"), ("Dũng", "Dụng"), ("đo", "do")],
)
def test_different_words_keep_different_keys(one: str, other: str) -> None:
    assert tone_key(one) != tone_key(other)


@pytest.mark.parametrize("name", ["Nguyễn Thị Hoà", "Nguyễn Thị Hòa"])
def test_a_query_without_marks_finds_both_spellings(name: str) -> None:
    assert match_rank("nguyen thi hoa", name) is MatchRank.FOLDED


@pytest.mark.parametrize("name", ["Đỗ", "Đô"])
def test_do_finds_every_word_with_that_skeleton(name: str) -> None:
    assert match_rank("do", name) is MatchRank.FOLDED


def test_the_exact_spelling_ranks_first_then_the_variant_then_the_bare_word() -> None:
    ranks = [match_rank("Hoà", name) for name in ("Hoà", "Hòa", "Hoa", "Huệ")]
    assert ranks == [MatchRank.EXACT, MatchRank.TONE_VARIANT, MatchRank.FOLDED, MatchRank.NONE]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("hoa nguyen", True),
        ("ngu ho", True),
        ("hoa hoa", False),
        ("nguyen thi hoa binh", False),
        ("", False),
        ("   ", False),
        ("oa", False),
    ],
)
def test_words_may_stand_anywhere_and_begin_a_word_each(query: str, found: bool) -> None:
    assert (match_rank(query, "Nguyễn Thị Hoà") > MatchRank.NONE) is found


@pytest.mark.parametrize("query", ["li", "ly"])
def test_y_and_i_do_not_hide_a_name_from_a_bare_query(query: str) -> None:
    assert match_rank(query, "Lý") is MatchRank.FOLDED
    assert match_rank(query, "Lí") is MatchRank.FOLDED


def test_a_name_with_an_attached_sex_marker_is_found_by_the_name_alone() -> None:
    assert match_rank("hen nie", "H'Hen Niê") is MatchRank.FOLDED
    assert match_rank("H’Hen", "H'Hen Niê") is MatchRank.EXACT


@given(st.text(), st.text())
def test_matching_takes_any_text(query: str, name: str) -> None:
    assert match_rank(query, name) in MatchRank


@given(st.text(alphabet="aáàảãạâđeioơuưyhnmt '", min_size=1))
def test_every_name_with_words_matches_itself_exactly(name: str) -> None:
    if any(letter not in " '" for letter in name):
        assert match_rank(name, name) is MatchRank.EXACT


@pytest.mark.parametrize(
    ("text", "family", "names"),
    [
        ("Nguyễn Thị Hoà", "Nguyễn", ("Thị", "Hoà")),
        ("Nguyễn  Văn   An", "Nguyễn", ("Văn", "An")),
        ("Lê Dũng", "Lê", ("Dũng",)),
        ("Hoà", None, ("Hoà",)),
        ("", None, ()),
        ("Y Moan Êban", "Êban", ("Y", "Moan")),
        ("H'Hen Niê", "Niê", ("H'Hen",)),
        ("H’ Lim Niê Kđăm", "Niê Kđăm", ("H’", "Lim")),
        ("Y Thông", None, ("Y", "Thông")),
        ("A Sáng", None, ("A", "Sáng")),
        ("Rơ Châm H'Phik", "Rơ Châm", ("H'Phik",)),
        ("Tôn Nữ Thị Ninh", "Tôn Nữ", ("Thị", "Ninh")),
        ("Vàng A Lử", "Vàng", ("A", "Lử")),
    ],
)
def test_names_split_in_the_vietnamese_order(text: str, family: str | None, names: tuple[str, ...]) -> None:
    split = split_name(text)
    assert (split.family, split.given) == (family, names)


@given(st.text())
def test_splitting_loses_no_word(text: str) -> None:
    split = split_name(text)
    words = [*(split.family.split() if split.family else []), *split.given]
    assert sorted(words) == sorted(unicodedata.normalize("NFC", text).split())


def test_a_list_sorts_by_given_name_then_family() -> None:
    names = ["Trần Bình", "Lê Đạt", "Lê Dạ", "Nguyễn Ân", "Trần An", "Lê An", "Lê Thị Ấn", "Lê Ẩn"]
    assert sorted(names, key=sort_key) == [
        "Lê An", "Trần An", "Nguyễn Ân", "Lê Ẩn", "Lê Thị Ấn", "Trần Bình", "Lê Dạ", "Lê Đạt",
    ]  # fmt: skip


def test_tones_sort_level_huyen_hoi_nga_sac_nang() -> None:
    assert sorted(["mạ", "má", "mã", "mả", "mà", "ma"], key=sort_key) == ["ma", "mà", "mả", "mã", "má", "mạ"]
