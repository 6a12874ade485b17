"""Vietnamese personal names: how they split, sort and are searched for.

Names are written family, middle, given (họ, đệm, tên) and people are addressed and listed by the *given*
name. Two spellings of one name are common: the tone mark may sit on either vowel of an open diphthong (hòa,
hoà), and y and i alternate as the only vowel after some consonants (Lý, Lí). Many people type no marks.
Sources: domain §2.3; Ministry of Education decision 1989/QĐ-BGDĐT for the spelling variants.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

_TONES = {"\u0300": "1", "\u0309": "2", "\u0303": "3", "\u0301": "4", "\u0323": "5"}
"""Tone marks in collation order: (level), huyền, hỏi, ngã, sắc, nặng."""

_I_OR_Y = re.compile(r"^([hklmstv]|qu)y$")
"""Syllables in which a final y and a final i are one word. ``thuy``/``thui``, ``tay``/``tai`` differ."""

_APOSTROPHES = re.compile("['’‘ʼ`´]")
_WORD = re.compile(r"[^\s,.;/\-_'’‘ʼ`´]+")
"""An apostrophe parts a sex marker from the name, so that ``hen`` finds ``H'Hen``."""

_SEX_MARKERS = frozenset({"y", "h", "h'", "a", "k'", "ka"})
"""First words that tell the bearer's sex in Ê-đê, Xơ Đăng, Giẻ Triêng, Mạ and Cơ Ho: no family names."""

_ATTACHED_MARKER = re.compile(r"^[hk]['’‘ʼ`´]\w", re.IGNORECASE)

_TRAILING_CLANS = frozenset(
    [
        "niê kdăm",
        "niê kđăm",
        "buôn yă",
        "buôn krông",
        "buôn dap",
        "niê",
        "êban",
        "ayun",
        "ayŭn",
        "mlô",
        "kbuôr",
        "kđoh",
        "kdoh",
        "knul",
        "hmok",
        "hđơk",
        "hwing",
        "hwĭng",
        "ênuôl",
        "eñuôl",
        "êñuôl",
        "kpơr",
        "ktla",
        "ktul",
        "kriêng",
        "adrơng",
        "arul",
        "bkrông",
        "bya",
        "byă",
        "jră",
        "kmăn",
        "ksơr",
        "rcăm",
        "êung",
        "kđăm",
        "kdăm",
    ]
)
"""Ê-đê clans, written last. Only a clan on this list is the family name of a name with a sex marker."""

_COMPOUND_FAMILIES = frozenset(
    [
        "rơ châm",
        "rơ mah",
        "rơ lan",
        "rơ ô",
        "rah lan",
        "rơ chăm",
        "tôn thất",
        "tôn nữ",
        "âu dương",
        "tư đồ",
        "thượng quan",
        "công tôn",
    ]
)


@dataclass(frozen=True, slots=True)
class PersonName:
    """A name as FHIR HumanName wants it: ``text`` as written, ``given`` = middle names, then the given name.

    ``family`` is None when the name has none or when a guess would be wrong; ``text`` is always what to show.
    """

    text: str
    family: str | None
    given: tuple[str, ...]


class MatchRank(IntEnum):
    """How well a query fits a name; higher is better, NONE is no match."""

    NONE = 0
    FOLDED = 1
    """Equal without marks, or the query's word begins a word of the name."""
    TONE_VARIANT = 2
    """The same words in another accepted spelling."""
    EXACT = 3


def fold(text: str) -> str:
    """The text without case and marks, white space collapsed: ``Nguyễn  Thị Hoà`` → ``nguyen thi hoa``.

    đ becomes d (Unicode does not decompose it). Vowel signs of other scripts, Khmer for one, are kept.
    Folding twice changes nothing.
    """
    lowered = unicodedata.normalize("NFC", text).lower()
    marks_apart = unicodedata.normalize("NFD", lowered)
    bare = "".join(letter for letter in marks_apart if not unicodedata.combining(letter))
    return " ".join(bare.replace("đ", "d").split())


def tone_key(text: str) -> str:
    """A key that is equal for the accepted spellings of the same words and different for different words.

    The tone is taken from wherever it sits and put behind its syllable: ``hòa`` and ``hoà`` → ``hoa1``.
    """
    return " ".join(_syllable_key(word) for word in unicodedata.normalize("NFC", text).lower().split())


def _syllable_key(word: str) -> str:
    letters, tones = _without_tones(word)
    return _I_OR_Y.sub(r"\1i", letters) + "".join(tones)


def _without_tones(word: str) -> tuple[str, list[str]]:
    letters: list[str] = []
    tones: list[str] = []
    for letter in unicodedata.normalize("NFD", word):
        if letter in _TONES:
            tones.append(_TONES[letter])
        else:
            letters.append(letter)
    return unicodedata.normalize("NFC", "".join(letters)), tones


def split_name(text: str) -> PersonName:
    """Split a full name written in the Vietnamese order; never guesses a family name from a sex marker.

    ``Y Moan Êban`` is given ``Y``, ``Moan`` and clan ``Êban``; ``A Sáng`` has no family name at all.
    An empty text gives no names.
    """
    words = tuple(unicodedata.normalize("NFC", text).split())
    whole = " ".join(words)
    if not words:
        return PersonName(whole, None, ())
    if words[0].lower().replace("’", "'") in _SEX_MARKERS or _ATTACHED_MARKER.match(words[0]):
        return _split_marked(whole, words)
    if len(words) == 1:
        return PersonName(whole, None, words)
    size = 2 if len(words) > 2 and " ".join(words[:2]).lower() in _COMPOUND_FAMILIES else 1
    return PersonName(whole, " ".join(words[:size]), words[size:])


def _split_marked(whole: str, words: tuple[str, ...]) -> PersonName:
    least = 1 if _ATTACHED_MARKER.match(words[0]) else 2  # the marker and a name remain before any clan
    for size in (2, 1):
        if len(words) >= least + size and " ".join(words[-size:]).lower() in _TRAILING_CLANS:
            return PersonName(whole, " ".join(words[-size:]), words[:-size])
    return PersonName(whole, None, words)


def match_rank(query: str, name: str) -> MatchRank:
    """How well the words of ``query`` fit ``name``, in any order, each on a word of its own.

    The weakest word decides. A word that only begins a word of the name counts as FOLDED. An empty query fits
    nothing.
    """
    asked, present = _words(query), _words(name)
    if not asked or len(asked) > len(present):
        return MatchRank.NONE
    ranks = [[_word_rank(word, other) for other in present] for word in asked]
    for floor in (MatchRank.EXACT, MatchRank.TONE_VARIANT, MatchRank.FOLDED):
        if _all_placed(ranks, floor):
            return floor
    return MatchRank.NONE


def _words(text: str) -> list[str]:
    return _WORD.findall(unicodedata.normalize("NFC", text).lower())


def _word_rank(asked: str, present: str) -> MatchRank:
    if asked == present:
        return MatchRank.EXACT
    if _syllable_key(asked) == _syllable_key(present):
        return MatchRank.TONE_VARIANT
    bare_asked, bare_present = fold(asked), fold(present)
    same = _I_OR_Y.sub(r"\1i", bare_asked) == _I_OR_Y.sub(r"\1i", bare_present)
    begins = bool(bare_asked) and bare_present.startswith(bare_asked)
    return MatchRank.FOLDED if same or begins else MatchRank.NONE


def _all_placed(ranks: Sequence[Sequence[MatchRank]], floor: MatchRank) -> bool:
    """Whether every asked word finds a word of its own with at least this rank (bipartite matching)."""
    holder: dict[int, int] = {}

    def place(asked: int, tried: set[int]) -> bool:
        for present, rank in enumerate(ranks[asked]):
            if rank >= floor and present not in tried:
                tried.add(present)
                if present not in holder or place(holder[present], tried):
                    holder[present] = asked
                    return True
        return False

    return all(place(asked, set()) for asked in range(len(ranks)))


_ALPHABET = {letter: chr(index + 1) for index, letter in enumerate(" aăâbcdđeêfghijklmnoôơpqrstuưvwxyz")}


def sort_key(name: str) -> tuple[str, ...]:
    """Sort full names as a Vietnamese list does: by given name, then family, then middle names.

    Letters in the order a ă â … d đ …; tones level, huyền, hỏi, ngã, sắc, nặng, where the letters are equal.
    """
    parts = split_name(name)
    given = parts.given[-1] if parts.given else ""
    key: list[str] = []
    for part in (given, parts.family or "", " ".join(parts.given[:-1])):
        key.extend(_collation(part))
    return tuple(key)


def _collation(text: str) -> tuple[str, str]:
    letters: list[str] = []
    tones: list[str] = []
    for word in _APOSTROPHES.sub("", text.lower()).split():
        bare, found = _without_tones(word)
        letters.append("".join(_ALPHABET.get(letter, letter) for letter in bare))
        tones.append("".join(found) or "0")
    return _ALPHABET[" "].join(letters), "".join(tones)
