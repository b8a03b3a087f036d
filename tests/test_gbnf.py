"""The grammar and the pattern must hold the same texts; a reader of GBNF stands here to say so."""

from __future__ import annotations

import random
import re
import warnings
from functools import cache

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tuneproof.gbnf import ANY_TEXT, MOST_REPEATS, gbnf_of
from tuneproof.metrics.text import normalise

LICENCES = r"[a-z0-9][a-z0-9.+-]*(?: (?:AND|OR|WITH) [a-z0-9][a-z0-9.+-]*)*"
PATTERNS = [
    LICENCES,
    r"yes|no|maybe so",
    r"^(?:a|b)+$|^c?$",
    r"\s*\d{1,3}(?:\.\d+)? ?%\s*",
    r"[a-b ]{2,4}",
    r"(a*)*b??",
    r"(?:a ?){2,3}",
    r"(?P<name>[^,]+)(?:, *[^,]+)*",
    r"a\s+b",
    r"(?: a|a |b)*",
    r"\w+-\W+",
    r"(?i)mit|a-[^b]s",
    r"(?i:ab)b",
    r"\A[\]\-^\\\"a]+\Z",
    r"(?x) a b \  1 ",
    r"(?s)a.b",
    r"-?(?:[1-9]|1[0-9])",
    r"(?:(?:a|b 1){2}-?){1,2}",
    r"[^a]{3}",
    r"a{2,}?(?: b{3,})*",
    r"(?:a?b?){2,3}",
    r"(?:a ?|b?)+(?:1?){2}",
    r".{2,}",
]
LATIN = st.characters(min_codepoint=1, max_codepoint=0xFF)
ALPHABET = 'aAbBcdimtsS19 -+.,%^\\"]é\n'

Ways = tuple[tuple[tuple[str, str], ...], ...]


def rules_of(grammar: str) -> dict[str, Ways]:
    """Read what gbnf_of writes: rules of alternatives of literals, classes and names."""
    rules: dict[str, Ways] = {}
    atom = re.compile(r'"((?:[^"\\]|\\.)*)"|\[((?:[^\]\\]|\\.)*)\]|([a-z][a-z0-9]*)|(\|)')
    for line in grammar.splitlines():
        name, _, body = line.partition(" ::= ")
        ways: list[list[tuple[str, str]]] = [[]]
        read = 0
        for found in atom.finditer(body):
            assert not body[read : found.start()].strip()
            read = found.end()
            if found[4]:
                ways.append([])
            else:
                kind = next(k for k in (1, 2, 3) if found[k] is not None)
                ways[-1].append((("", "literal", "class", "rule")[kind], found[kind]))
        assert not body[read:].strip()
        rules[name] = tuple(map(tuple, ways))
    return rules


def literal(text: str) -> str:
    return re.sub(
        r"\\(?:x(..)|u(....)|U(.{8})|n|(.))",
        lambda m: m[4] or (chr(int(m[1] or m[2] or m[3], 16)) if m[1] or m[2] or m[3] else "\n"),
        text,
    )


def spans(text: str) -> list[tuple[str, str]]:
    mark = r"(\\(?:x..|u....|U.{8}|.)|[^\\])"
    return [
        (literal(low), literal(high or low)) for low, high in re.findall(rf"{mark}(?:-{mark})?", text, re.S)
    ]


def accepts(grammar: str, text: str) -> bool:
    rules = rules_of(grammar)

    @cache
    def ends(rule: str, start: int) -> frozenset[int]:
        found: set[int] = set()
        for way in rules[rule]:
            places = {start}
            for kind, value in way:
                places = {end for place in places for end in after(kind, value, place)}
            found |= places
        return frozenset(found)

    def after(kind: str, value: str, place: int) -> frozenset[int]:
        if kind == "rule":
            return ends(value, place)
        if kind == "literal":
            want = literal(value)
            return frozenset([place + len(want)] if text.startswith(want, place) else [])
        inside = place < len(text) and any(low <= text[place] <= high for low, high in spans(value))
        return frozenset([place + 1] if inside else [])

    return len(text) in ends("root", 0)


def sample(rules: dict[str, Ways], chance: random.Random, rule: str = "root", depth: int = 0) -> str:
    """Walk the rules at random; the last way of a repeat ends it."""
    ways = rules[rule]
    way = ways[-1] if depth > 40 else chance.choice(ways)
    text = ""
    for kind, value in way:
        if kind == "rule":
            text += sample(rules, chance, value, depth + 1)
        elif kind == "literal":
            text += literal(value)
        else:
            low, high = chance.choice(spans(value))
            text += chr(chance.choice((ord(low), ord(high), chance.randint(ord(low), ord(high)))))
    return text


def holds(pattern: str, text: str) -> bool:
    return bool(text) and normalise(text) == text and re.fullmatch(pattern, text) is not None


@pytest.mark.parametrize("pattern", PATTERNS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_grammar_holds_a_folded_text_exactly_when_the_pattern_does(
    pattern: str, data: st.DataObject
) -> None:
    near = st.from_regex(pattern, fullmatch=True, alphabet=LATIN).map(normalise)
    text = data.draw(st.one_of(near, st.text(ALPHABET, max_size=8)))
    assert accepts(gbnf_of(pattern), text) == holds(pattern, text), text


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_text_of_the_grammar_matches_the_pattern_as_it_stands(pattern: str) -> None:
    rules, chance = rules_of(gbnf_of(pattern)), random.Random(0)
    texts = [sample(rules, chance) for _ in range(60)]
    assert texts
    for text in texts:
        assert holds(pattern, text), text


SMALL = "ab 1"
PIECES = st.sampled_from(["a", "b", " ", "1", "[ab]", "[^a]", "[a ]", r"\s", r"\w", r"\d", ".", "ab", "a b"])


def grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    marks = st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{0,2}", "{2,}", "*?", "+?"])
    return st.one_of(
        st.lists(inner, min_size=2, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda ways: f"(?:{'|'.join(ways)})"),
        st.builds(lambda body, mark: f"({body}){mark}", inner, marks),
    )


@settings(max_examples=400, deadline=None)
@given(
    st.recursive(PIECES, grow, max_leaves=6), st.lists(st.text(SMALL, max_size=7), min_size=4, max_size=12)
)
def test_a_random_pattern_and_its_grammar_agree_on_random_texts(pattern: str, texts: list[str]) -> None:
    try:
        grammar = gbnf_of(pattern)
    except ValueError as problem:
        if str(problem) == ANY_TEXT:
            assert all(re.fullmatch(pattern, normalise(text)) for text in texts if normalise(text))
        else:
            assert "no reply" in str(problem)
            assert not any(holds(pattern, text) for text in texts)
        return
    for text in texts:
        assert accepts(grammar, text) == holds(pattern, text), (pattern, text, grammar)


def test_no_rule_can_call_itself_before_it_has_taken_a_character() -> None:
    # llama.cpp refuses such grammars: "left recursion detected".
    looked = 0
    for pattern in PATTERNS:
        rules = rules_of(gbnf_of(pattern))
        for rule in rules:
            waiting, seen = [rule], set()
            while waiting:
                for way in rules[waiting.pop()]:
                    kind, value = way[0]
                    if kind == "rule" and value not in seen:
                        assert value != rule
                        seen.add(value)
                        waiting.append(value)
                    looked += 1
    assert looked > 100


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (r"(?=a)a", "looks ahead"),
        (r"a(?<!b)", "looks ahead or behind"),
        (r"(?!)", "never matches|looks ahead"),
        (r"(a|b)\1", "refers back"),
        (r"(a)?(?(1)b|c)", "whether a group matched"),
        (r"(?>a|ab)b", "atomic"),
        (r"a++b", "possessive"),
        (r"\bfoo\b", "word boundary"),
        (r"a^b", "anchor in its middle"),
        (r"(?:a$)+", "anchor in its middle"),
        (r"a\nb", "no reply can match"),
        (r"  ", "no reply can match"),
        (r"a?", None),
        (rf"a{{{MOST_REPEATS + 1}}}", "counts to more"),
        (r".+", ANY_TEXT),
        (r".*", ANY_TEXT),
        (r"^(?:[\s\S]+)$", ANY_TEXT),
        (r"(?s).+?", ANY_TEXT),
        (r"(?:.|\n)*", ANY_TEXT),
    ],
)
def test_a_pattern_without_a_grammar_says_why_in_words(pattern: str, why: str | None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if why is None:
            assert accepts(gbnf_of(pattern), "a")
            return
        with pytest.raises(ValueError, match=why):
            gbnf_of(pattern)


def test_the_empty_text_is_never_in_the_grammar() -> None:
    assert not accepts(gbnf_of("(?:a| b)*"), "")


def test_a_line_break_may_stand_for_a_space_where_lines_count() -> None:
    grammar = gbnf_of(r"Name: \w+ Date: \d+", newlines=True)
    assert accepts(grammar, "Name: Ada\nDate: 1")
    assert accepts(grammar, "Name: Ada Date: 1")
    assert not accepts(grammar, "Name: Ada \nDate: 1")
    assert not accepts(gbnf_of(r"Name: \w+ Date: \d+"), "Name: Ada\nDate: 1")


def test_words_of_other_scripts_are_words() -> None:
    grammar = gbnf_of(r"\w+")
    words = ["straße", "Ελλάδα", "слово", "漢字", "한국어", "कख", "עברית", "عربية"]
    assert words
    for word in words:
        assert accepts(grammar, word), word


@settings(max_examples=300, deadline=None)
@given(
    st.characters(codec="utf-8"), st.sampled_from(["(?i)[^s]", "(?i)[k-m]", r"(?i)\W", "(?ai)k", "(?i)[^é]"])
)
def test_ignoring_case_a_class_holds_what_python_says(mark: str, pattern: str) -> None:
    assume(not mark.isspace() and mark != "\0")
    grammar = gbnf_of(pattern)
    if accepts(grammar, mark):
        assert re.fullmatch(pattern, mark)
    elif ord(mark) < 0x530:
        assert not re.fullmatch(pattern, mark)


def test_letters_that_share_a_lower_form_are_the_same_without_case() -> None:
    marks = "kK\u212a sSſ"
    looked = 0
    for pattern in ("(?i)k", "(?i)s", "(?i)[^k]", "(?i)[^s]", "(?ai)s"):
        for mark in marks.replace(" ", ""):
            assert accepts(gbnf_of(pattern), mark) == bool(re.fullmatch(pattern, mark)), (pattern, mark)
            looked += 1
    assert looked == 30
