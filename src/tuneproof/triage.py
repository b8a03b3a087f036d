"""Pressures → whether a tune makes sense at all, by the first rule that applies, before any data.

Prompting rents behaviour, retrieval supplies knowledge, a tune installs behaviour. The words of the goal are
read too: who wants a tune "so it knows our product docs" has claimed no pressure, and needs retrieval.
"""

from __future__ import annotations

import re
from decimal import Decimal

from tuneproof.artifacts import Triage
from tuneproof.artifacts.case import Advice, PressureSection

SMALL_USD_A_MONTH = 100
"""Below this sum volume alone is no reason: a tune saves at most twelve times as much in a year (0022)."""

PRESSURES = {
    "exact_format": "the output must have one exact form",
    "high_volume": "the task is called at volume, where the price of a call adds up",
    "low_latency": "answers are needed faster than an API gives them",
    "privacy": "the inputs must not leave the house",
    "own_label_scheme": "the labels follow a scheme of your own that a prompt conveys badly",
}
"""Key of `pressures:` → the reason; any of them can make a tune pay."""
_FORM = ("exact_format", "own_label_scheme")
"""Pressures that a prompt with examples and a schema may relieve."""

_ADVICE: dict[Advice, str] = {
    "fine-tune": "A tune can pay here; the comparison decides whether it does.",
    "RAG": "A tune installs behaviour and not knowledge: supply the facts by retrieval instead.",
    "better prompt": "A prompt with examples and a schema gives a form without training: try that first.",
    "rent a bigger model": "Rent the biggest model you can: open-ended reasoning is what small ones lack.",
    "not yet": "Nothing presses: improve the prompt first and come back when one of the pressures is real.",
}
_PROMPT_FAILED = "a prompt with examples and a schema was tried and falls short"
_SMALL_VOLUME = "Volume alone pays for a tune only where the sum is large: come back when it is."
_FORM_BY_SCHEMA = "The form needs no tune either: a JSON Schema or a grammar holds the replies to it."
_OWN_MACHINE = "The inputs must not leave the house, so that is an open model on a machine you own or rent."


def triage_of(pressures: PressureSection) -> Triage:
    """Decide by the first rule that applies.

    Knowledge → RAG; open-ended reasoning → a bigger model; no pressure, or volume alone at a small sum →
    not yet; form alone and a prompt that nobody tried → better prompt; else fine-tune.
    """
    if knowledge := _knowledge(pressures):
        return Triage(advice="RAG", reasons=knowledge)
    if reasoning := _reasoning(pressures):
        return Triage(advice="rent a bigger model", reasons=reasoning)
    named = [name for name in PRESSURES if getattr(pressures, name)]
    if not named:
        return Triage(advice="not yet", reasons=("no pressure applies",))
    if named == ["high_volume"] and (small := _small_sum(pressures)):
        return Triage(advice="not yet", reasons=(small,))
    reasons = tuple(PRESSURES[name] + _numbers(name, pressures) for name in named)
    if set(named) <= set(_FORM) and pressures.prompt_tried is False:
        return Triage(advice="better prompt", reasons=(*reasons, "no prompt was tried for it yet"))
    if pressures.prompt_tried and not set(named).isdisjoint(_FORM):
        reasons += (_PROMPT_FAILED,)
    return Triage(advice="fine-tune", reasons=reasons)


def advice_text(pressures: PressureSection, triage: Triage) -> str:
    """Say the advice, its reasons and what follows, as sentences of the case's paragraph."""
    said = [f"Advice before any data: {triage.advice}, because {'; '.join(triage.reasons)}."]
    small = triage.advice == "not yet" and pressures.high_volume
    said.append(_SMALL_VOLUME if small else _ADVICE[triage.advice])
    if triage.advice == "RAG" and any(getattr(pressures, name) for name in _FORM):
        said.append(_FORM_BY_SCHEMA)
    if triage.advice == "rent a bigger model" and pressures.privacy:
        said.append(_OWN_MACHINE)
    return " ".join(said)


def monthly_usd(pressures: PressureSection) -> Decimal | None:
    """Return what the calls of a month cost today in US dollars, or None where a number is missing."""
    calls, price = pressures.calls_per_month, pressures.usd_per_1000_calls
    if calls is None or price is None:
        return None
    return Decimal(calls) * Decimal(repr(price)) / 1000


def documents_in(goal: str) -> str | None:
    """Return the words of a goal that ask for knowledge of documents, products or policies, if any do."""
    text = _folded(goal)
    for found in _KNOWING.finditer(text):
        between, after = found["between"] or found["between_too"] or "", text[found.end() :]
        form = _FORM_WORDS.search(between) or _FORM_FOLLOWS.match(after) or _HOW_TO.match(between)
        if not form and not _NO_NEED.search(text[: found.start()]):
            return found[0].strip()
    return None


def fresh_facts_in(goal: str) -> str | None:
    """Return the words of a goal that ask for facts that change, if any do."""
    text = _folded(goal)
    for found in _FRESH.finditer(text):
        if not _FORM_WORDS.search(found[0]) and not _FORM_FOLLOWS.match(text[found.end() :]):
            return found[0].strip()
    return None


def reasoning_in(goal: str) -> str | None:
    """Return the words of a goal that ask for open-ended reasoning, if any do."""
    found = _REASON.search(_folded(goal))
    return found[0].strip(" ,;:.") if found else None


def _knowledge(pressures: PressureSection) -> tuple[str, ...]:
    reasons = []
    if pressures.documents:
        reasons.append("it should know documents, products or policies")
    if pressures.fresh_facts:
        reasons.append("the right answer depends on facts that change or differ by user")
    if reasons:
        return tuple(reasons)
    if words := documents_in(pressures.goal):
        return (f"the goal asks for knowledge: “{words}”",)
    if words := fresh_facts_in(pressures.goal):
        return (f"the goal asks for facts that change: “{words}”",)
    return ()


def _reasoning(pressures: PressureSection) -> tuple[str, ...]:
    if pressures.broad_reasoning:
        return ("the task needs open-ended reasoning",)
    words = reasoning_in(pressures.goal)
    return (f"the goal asks for open-ended reasoning: “{words}”",) if words else ()


def _small_sum(pressures: PressureSection) -> str:
    sum_ = monthly_usd(pressures)
    if sum_ is None or sum_ >= SMALL_USD_A_MONTH - Decimal("0.005"):  # 99.999 is printed as 100.00
        return ""
    return (
        f"volume is the only pressure, and {_calls_and_price(pressures)}, "
        f"which is less than the {SMALL_USD_A_MONTH} USD a month from which volume alone counts"
    )


def _numbers(name: str, pressures: PressureSection) -> str:
    if name == "high_volume" and pressures.calls_per_month is not None:
        return f" ({_calls_and_price(pressures)})"
    if name == "low_latency" and pressures.latency_ms is not None:
        return f" (within {pressures.latency_ms:,} ms)"
    return ""


def _calls_and_price(pressures: PressureSection) -> str:
    sum_ = monthly_usd(pressures)
    calls = f"{pressures.calls_per_month:,} calls a month"
    if sum_ is None:
        return f"{calls}, at a price that is not said"
    price = Decimal(repr(pressures.usd_per_1000_calls))
    return f"{calls} at {_usd(price)} USD a thousand are {_usd(sum_)} USD a month"


def _usd(amount: Decimal) -> str:
    """Write cents, or two digits that are not 0 where an amount is smaller."""
    if amount == 0 or amount >= Decimal("0.01"):
        return f"{amount:,.2f}"
    return f"{amount:.{1 - amount.adjusted()}f}"


def _folded(goal: str) -> str:
    return " ".join(goal.replace("’", "'").split())


# The words of a goal. English only: a person who writes another language answers the questions instead.

_DOCUMENTS = r"""
    docs?|documents?|documentation|manuals?|handbooks?|guides?|wikis?|faqs?|knowledge\ base|polic(?:y|ies)|
    catalog(?:ue)?s?|products?|price\ lists?|articles?|help\ cent(?:er|re)|confluence|sharepoint|intranet|
    pdfs?|procedures?|regulations?|laws?|release\ notes|codebase|repos?(?:itory|itories)?|runbooks?|
    playbooks?|specs?|specifications?|compan(?:y|ies)|terms\ and\ conditions|warrant(?:y|ies)|
    contracts?|papers?
"""
_OTHER_THINGS = r"""
    services?|pric(?:es|ing)|reports?|inventory|stock|business|industry|databases?|records?|customers?|accounts?|
    orders?|histor(?:y|ies)|news|facts?|research|literature|employees?|menu|curriculum|domain
"""
_KNOWING = re.compile(
    rf"""
    \b(?:
       (?:kno(?:ws?|wing)|knowledge|knowledgeable|familiar|memori[sz]es?|remembers?|aware|up[-\ ]to[-\ ]date|
          looks?\ up|cites?|chats?|questions?\ about|q\s?&\s?a|
          answers?\ (?:\w+\ ){{0,3}}?(?:questions?|from|about))
       (?P<between>(?:\s+[\w'&/-]+){{0,5}}?)(?:\s+(?:{_DOCUMENTS}|{_OTHER_THINGS}))+
      |(?:learns?|understands?|expert|teach(?:es)?\ it|trained|train\ it)
       (?P<between_too>(?:\s+[\w'&/-]+){{0,5}}?)(?:\s+(?:{_DOCUMENTS}))+
    )\b
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""A word of knowing, and at most five words on, in the same sentence, a thing that is known.

Who learns or understands orders and customers may well mean to sort them; who knows them does not.
"""

_FORM_NAMES = (
    r"label\w*|scheme|class(?:es)?|classif\w+|categor(?:y|ies)|codes?|types?|kinds?|formats?|style|tone|voice|"
    r"taxonomy|templates?|layouts?|tags?|schemas?|names?|queues?|ids?|numbers?|syntax|structure|abbreviations|"
    r"rules?|conventions?|jargon|vocabulary|terminology"
)
_FORM_WORDS = re.compile(rf"\b(?:{_FORM_NAMES}|lists?\s+of|closed|json|fields?|columns?)\b", re.IGNORECASE)
_FORM_FOLLOWS = re.compile(
    rf"[\s-]+(?:{_FORM_NAMES}|e?-?mails?|requests?|messages?|complaints?|reviews?|tickets?|sentiments?|intents?)\b",
    re.IGNORECASE,
)
"""Product categories and document types are labels, and no knowledge of products and documents."""
_HOW_TO = re.compile(
    r"\s+(?:when|which|whether|if|where|to|from\s+past|how\s+to|how\s+long|how\s+many)\b", re.IGNORECASE
)
_NO_NEED = re.compile(
    r"(?:n't|\bnot|\bnever|\bno)\s+(?:need|have|want|required|supposed)\b[^.;!?]{0,20}$"
    r"|\b(?:need|must|should)(?:n't|\s+not)\s+(?:\w+\s+){0,2}$|\bwithout\s+(?:\w+\s+){0,2}$"
    r"|\bnot\s+(?:so|because|that|about|for)\b[^.;!?]{0,20}$",
    re.IGNORECASE,
)
"""Before the word of knowing: it need not know. `Does not know our docs` is a complaint, so it is a wish."""

_FRESH = re.compile(
    r"""
    (?:(?<![\w'-])[\w'-]+\s+){0,4}\bup[-\ ]to[-\ ]date\b(?:\s+(?:with|on|about)(?:\s+[\w'-]+){1,4})?
    |\b(?:latest|newest|current|today's|this\ week's|real[-\ ]time)\s+(?:[\w'-]+\s+){0,2}?
     (?:prices?|stock|inventory|availability|news|rates|facts|events|catalog(?:ue)?|polic(?:y|ies)|docs|
        documentation|balances?|weather)\b(?!\s+(?:is|are|of|per)\b)
    """,
    re.VERBOSE | re.IGNORECASE,
)

_REASON = re.compile(
    r"""
    (?:^|\b(?:it|to|can|could|must|should|and|that|will|model|they|who)\s+)
       (?:reasons?|thinks?)\s+(?:like|through|about|over|across|step|better|for\ itself)\b(?:\s+\w+){0,3}
    |\breasoning\s+(?:like|about|across|over|skills?|ability|abilities)\b|\b(?:open-ended|general)\s+reasoning\b
    |\b(?:be|being|is|gets?|becomes?|makes?\ it)\s+(?:(?:much|even)\s+)?
       (?:smarter|cleverer|more\s+intelligent)\b
    |\b(?:smarter|cleverer|more\s+intelligent)\s+than\b|\bas\s+smart\s+as\b
    |\bplans?\s+(?:ahead|the\s+(?:work|steps|next|trip|project)|tasks|steps|trips|projects)\b
    |\b(?:it|can|should|must|will|model)\s+plans?\b(?!\s+(?:codes?|names?|types?|labels?))|\bmulti-?step\s+plan
    |(?:^|\b(?:build|make|be|become|want|need|create|have|as|get|into|is)\s+)
       (?:(?:an?|our\s+own|one)\s+)?(?:[\w-]+\s+){0,3}?agents?\s+(?:that|which|who|to)\b(?:\s+\w+){0,3}
    |\bgeneral[-\ ]purpose\s+(?:assistant|model)\b
    |\b(?:answers?|solves?|handles?|do(?:es)?)\s+(?:any|every|all\s+kinds?\s+of)\s+(?:question|task|problem)s?\b
    """,
    re.VERBOSE | re.IGNORECASE,
)
