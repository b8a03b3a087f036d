"""A small text file → the secrets and personal data in it, masked.

Made for files that are about to be published and for pairs that a model will learn, so it prefers a false
alarm in a card to a key on the Hub. Numbers that carry a checksum are checked, and numbers without one need a
word before them that says what they are, so digests and sizes stay quiet.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple


class Finding(NamedTuple):
    """One secret or piece of personal data; `excerpt` shows at most three characters of it."""

    where: str
    line: int
    """Counted from 1."""
    kind: str
    excerpt: str


Check = Callable[[re.Match[str]], bool]


def _always(match: re.Match[str]) -> bool:
    return True


class _Rule(NamedTuple):
    kind: str
    pattern: re.Pattern[str]
    holds: Check = _always


def scan_text(text: str, *, where: str, allow: frozenset[str] = frozenset()) -> tuple[Finding, ...]:
    """Find secrets and personal data, in line order.

    Args:
        text: content of one file.
        where: its name, repeated in every finding.
        allow: values that may be published, for example an address that is part of a public attribution;
            compared without regard to case.
    """
    allowed = {value.casefold() for value in allow}
    return tuple(
        Finding(where, number, kind, _masked(value))
        for number, line in enumerate(text.translate(_INVISIBLE).split("\n"), start=1)
        for kind, value in _in_line(line)
        if value.casefold() not in allowed
    )


def _in_line(line: str) -> list[tuple[str, str]]:
    """Give the kind and value of every hit; where two rules hit the same characters, the first rule wins."""
    taken = bytearray(len(line))
    found: list[tuple[int, str, str]] = []
    for start, end, kind in (*_by_rule(line), *_national_phones(line)):
        if taken.find(1, start, end) >= 0:
            continue
        taken[start:end] = b"\x01" * (end - start)
        found.append((start, kind, line[start:end]))
    return [(kind, value) for _, kind, value in sorted(found)]


def _by_rule(line: str) -> Iterator[tuple[int, int, str]]:
    for rule in _RULES:
        for match in rule.pattern.finditer(line):
            if rule.holds(match):
                yield (*match.span("value"), rule.kind)


def _national_phones(line: str) -> Iterator[tuple[int, int, str]]:
    """Numbers without a country code that are valid in one of `_REGIONS`, behind a word for telephone.

    Source of the numbering plans: Google's libphonenumber, as the package `phonenumbers`.
    """
    windows = _phone_windows(line)
    if not windows:
        return
    from phonenumbers import Leniency, PhoneNumberMatcher

    for start, end in windows:
        for region in _REGIONS:
            for match in PhoneNumberMatcher(line[start:end], region, Leniency.VALID, max_tries=50):
                yield start + match.start, start + match.end, "phone number"


def _phone_windows(line: str) -> list[tuple[int, int]]:
    """Stretches behind a word for telephone, those that overlap joined; only such with enough digits."""
    windows: list[tuple[int, int]] = []
    for match in _PHONE_WORD.finditer(line):
        start, end = match.end(), match.end() + _PHONE_NEAR
        if windows and start <= windows[-1][1]:
            start = windows.pop()[0]
        windows.append((start, end))
    return [(s, e) for s, e in windows if len(_DIGIT.findall(line, s, e)) >= _LEAST_PHONE_DIGITS]


def _masked(value: str) -> str:
    shown = value[: min(3, len(value) // 4)]
    return f"{shown}… ({len(value)} characters)"


def _entropy(value: str) -> float:
    """Shannon entropy in bits a character, from the value's own letter counts."""
    counts = Counter(value)
    return -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values())


def _looks_secret(match: re.Match[str]) -> bool:
    """Whether an assigned value is a real secret: not a placeholder, and not an ordinary word."""
    value = match["value"]
    if _PLACEHOLDER.search(value) or _entropy(value) < 2.5:
        return False
    return bool(match["quote"]) or (any(c.isdigit() for c in value) and any(c.isalpha() for c in value))


def _digits(match: re.Match[str]) -> str:
    return "".join(c for c in match["value"] if c.isdigit())


def _is_card_number(match: re.Match[str]) -> bool:
    """Luhn's checksum; separators must be all spaces, all hyphens or none."""
    digits = _digits(match)
    if not 13 <= len(digits) <= 19 or len(set(match["value"]) & {" ", "-"}) > 1 or len(set(digits)) == 1:
        return False
    doubled = (int(d) * (1 + i % 2) for i, d in enumerate(reversed(digits)))
    return sum(n - 9 * (n > 9) for n in doubled) % 10 == 0


def _is_iban(match: re.Match[str]) -> bool:
    """ISO 13616: the country's length, then the remainder by 97 must be 1."""
    compact = match["value"].replace(" ", "")
    length = _IBAN_LENGTHS.get(compact[:2], 0)
    compact = compact[:length]
    if not length or len(compact) < length:
        return False
    return int("".join(str(int(c, 36)) for c in compact[4:] + compact[:4])) % 97 == 1


def _is_phone_number(match: re.Match[str]) -> bool:
    """E.164 allows at most 15 digits; `+12.3456789` is a decimal number."""
    return 8 <= len(_digits(match)) <= 15 and not re.fullmatch(r"\+\d+\.\d+", match["value"])


def _is_cpf(match: re.Match[str]) -> bool:
    """Brazil's CPF: two check digits, each a weighted sum modulo 11 (Receita Federal)."""
    digits = [int(c) for c in _digits(match)]
    if len(set(digits)) == 1:
        return False
    for length in (9, 10):
        total = sum(d * (length + 1 - i) for i, d in enumerate(digits[:length]))
        if total * 10 % 11 % 10 != digits[length]:
            return False
    return True


def _is_spanish_id(match: re.Match[str]) -> bool:
    """Spain's DNI and NIE: the letter is the number modulo 23 in a fixed table (Ministerio del Interior)."""
    value = match["value"].replace("-", "")
    number = int(value[:-1].translate(str.maketrans("XYZ", "012")))
    return "TRWAGMYFPDXBNJZSQVHLCKE"[number % 23] == value[-1]


def _is_public_address(match: re.Match[str]) -> bool:
    """A private or reserved address says nothing about a person."""
    import ipaddress

    try:
        return ipaddress.ip_address(match["value"]).is_global
    except ValueError:
        return False


def _has_digit(match: re.Match[str]) -> bool:
    return any(c.isdigit() for c in match["value"])


def _rule(kind: str, pattern: str, holds: Check = _always, *, left: str = r"(?<!\w)") -> _Rule:
    return _Rule(kind, re.compile(f"{left}(?P<value>{pattern})"), holds)


def _beside(kind: str, said: str, pattern: str, holds: Check = _always) -> _Rule:
    """A value that only a word before it makes personal; case matters in the value alone."""
    return _Rule(kind, re.compile(rf"(?<!\w)(?i:{said})(?!\w)(?i:{_BESIDE})(?P<value>{pattern})"), holds)


_INVISIBLE = dict.fromkeys((0x00AD, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF))
_PLACEHOLDER = re.compile(
    r"(?i)^[<$%{\[]|\*{3}|x{4}|\.{3}|…|example|placeholder|changeme|redacted|your[_-]|^sha\d*:|^https?://"
)
_ASSIGNED = re.compile(
    r"(?i)(?:passw(?:or)?d|passphrase|pwd|secret|token|credentials?"
    r"|(?:api|access|account|private|auth)[ _-]?key)"
    r"[\"']?\s{0,4}(?::=|=>|[:=])\s{0,4}(?P<quote>[\"']?)(?P<value>[^\s\"'`,;]{8,512})"
)
_AUTHORIZATION = re.compile(r"(?i)\b(?:bearer|basic)\s+(?P<quote>)(?P<value>[A-Za-z0-9._~+/=-]{16,2048})")
_IBAN_LENGTHS = {
    **{"NO": 15, "BE": 16, "DK": 18, "FI": 18, "NL": 18, "SI": 19, "AT": 20, "EE": 20, "LT": 20, "LU": 20},
    **{"CH": 21, "HR": 21, "LI": 21, "LV": 21, "BG": 22, "DE": 22, "GB": 22, "GE": 22, "IE": 22, "ME": 22},
    **{"RS": 22, "AE": 23, "GI": 23, "IL": 23, "AD": 24, "CZ": 24, "ES": 24, "MD": 24, "PK": 24, "RO": 24},
    **{"SA": 24, "SE": 24, "SK": 24, "TN": 24, "VA": 22, "PT": 25, "IS": 26, "TR": 26, "FR": 27, "GR": 27},
    **{"IT": 27, "MC": 27, "SM": 27, "AL": 28, "AZ": 28, "CY": 28, "HU": 28, "LB": 28, "PL": 28, "BR": 29},
    **{"QA": 29, "UA": 29, "JO": 30, "KW": 30, "MU": 30, "MT": 31, "XK": 20, "BA": 20, "KZ": 20, "MK": 19},
}
_TLD = r"[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){0,5}\.[A-Za-z]{2,24}"

_REGIONS = ("US", "GB", "DE", "FR", "ES", "IT")
_PHONE_WORD = re.compile(
    r"(?i)(?<!\w)(?:tel(?:ephone|efon|\u00e9fono|efono|\u00e9phone)?|phone|mobile|cell(?:phone)?|fax|call|dial|ring"
    r"|reach|text|sms|whatsapp|handy|mobil|rufnummer|m\u00f3vil|cellulare|portable)(?!\w)"
)
_PHONE_NEAR, _LEAST_PHONE_DIGITS = 60, 8
_DIGIT = re.compile(r"\d")
_DATE = (
    r"(?:\d{4}-\d{2}-\d{2}|\d{1,2}[./-]\d{1,2}[./-](?:19|20)?\d{2}"
    r"|\d{1,2}(?:st|nd|rd|th)? [A-Z][a-z]{2,8},? (?:19|20)\d{2}|[A-Z][a-z]{2,8} \d{1,2},? (?:19|20)\d{2})"
)
_BESIDE = r"[\s:=#]{0,4}(?:(?:no|nr|number|is|was|on|am|the|from|address)\b[\s.:=#]{0,4}){0,3}"

# Order matters: the narrower rule claims the characters first.
_RULES = (
    _rule("private key", r"-----BEGIN (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)?-----", left=""),
    _rule("private key", r"PuTTY-User-Key-File-[23]"),
    _rule("private key", r"AGE-SECRET-KEY-1[A-Z0-9]{20,}"),
    _rule("AWS key id", r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?!\w)"),
    _rule("GitHub token", r"(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{22,})"),
    _rule("GitLab token", r"gl(?:pat|ptt|dt|rt|cbt)-[A-Za-z0-9_-]{20,}"),
    _rule("Hugging Face token", r"(?:hf|api_org)_[A-Za-z0-9]{24,}"),
    _rule("Anthropic key", r"sk-ant-[A-Za-z0-9_-]{16,}"),
    _rule("OpenRouter key", r"sk-or-v1-[a-f0-9]{32,}"),
    _rule("OpenAI key", r"sk-(?:proj|svcacct|admin|None)-[A-Za-z0-9_-]{16,}"),
    _rule("OpenAI key", r"sk-[A-Za-z0-9]{20,}"),
    _rule("Groq key", r"gsk_[A-Za-z0-9]{32,}"),
    _rule("Slack token", r"(?:xox[abceoprs]|xapp)-[A-Za-z0-9.-]{10,}"),
    _rule("Slack webhook", r"hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/_]{20,}"),
    _rule("Discord webhook", r"discord(?:app)?\.com/api/webhooks/\d{10,}/[\w-]{20,}"),
    _rule("Google API key", r"AIza[A-Za-z0-9_-]{35}"),
    _rule("Google OAuth", r"(?:GOCSPX-[A-Za-z0-9_-]{20,}|ya29\.[A-Za-z0-9_-]{20,}|1//0[A-Za-z0-9_-]{30,})"),
    _rule("Stripe key", r"(?:[sr]k_(?:live|test)|whsec)_[A-Za-z0-9]{16,}"),
    _rule("PyPI token", r"pypi-[A-Za-z0-9_-]{32,}"),
    _rule("npm token", r"npm_[A-Za-z0-9]{30,}"),
    _rule("SendGrid key", r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
    _rule("Twilio key", r"(?:SK|AC)[a-f0-9]{32}(?!\w)"),
    _rule("Telegram bot token", r"\d{8,10}:AA[A-Za-z0-9_-]{32,34}(?![\w-])"),
    _rule("DigitalOcean token", r"do[opr]_v1_[a-f0-9]{40,}"),
    _rule("Databricks token", r"dapi[a-f0-9]{32}(?:-\d)?(?!\w)"),
    _rule(
        "JWT",
        r"eyJ[A-Za-z0-9_-]{8,4096}\.[A-Za-z0-9_-]{8,16384}\.[A-Za-z0-9_-]{8,4096}",
        left=r"(?<![\w-])",  # one start a run: from every `eyJ` in it, the time would grow as its square
    ),
    _rule("password in a URL", r"[a-z][a-z0-9+.-]{1,20}://[^\s/:@\"'<>]{1,128}:[^\s/@\"'<>]{3,256}@"),
    _Rule("assigned secret", _ASSIGNED, _looks_secret),
    _Rule("authorization header", _AUTHORIZATION, _looks_secret),
    _rule("email address", rf"[A-Za-z0-9._%+'-]{{1,64}}@{_TLD}", left=r"(?<![A-Za-z0-9._%+'-])"),
    _rule(
        "email address",
        rf"[A-Za-z0-9._%+-]{{1,64}} ?[\[(<{{] ?(?:at|AT|@) ?[\])>}}] ?{_TLD}",
        left=r"(?<![\w.%+-])",
    ),
    _rule("IBAN", r"[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}", _is_iban),
    _rule(
        "card number",
        r"(?:4\d|5[1-5]|2[2-7]|3\d|6\d)\d\d(?:[ -]?\d){9,15}(?![\w-]|\.\d)",
        _is_card_number,
        left=r"(?<![\w.+/-])",
    ),
    _rule("phone number", r"\+[1-9](?:[ .()/-]{0,2}\d){7,14}(?!\w)", _is_phone_number, left=r"(?<![\w+])"),
    _rule(
        "US social security number",
        r"(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-])",
        left=r"(?<![\w.+-])",
    ),
    _rule("CPF", r"\d{3}\.\d{3}\.\d{3}-\d{2}(?![\w-])", _is_cpf, left=r"(?<![\w.+-])"),
    _rule(
        "Spanish identity number",
        r"(?:\d{8}|[XYZ]\d{7})-?[A-Z](?![\w-])",
        _is_spanish_id,
        left=r"(?<![\w.-])",
    ),
    _rule(
        "UK national insurance number",
        r"(?![DFIQUV])(?!BG|GB|KN|NK|NT|TN|ZZ)[A-Z](?![DFIQUVO])[A-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D](?![\w-])",
        left=r"(?<![\w-])",
    ),
    _rule(
        "MAC address",
        r"(?:[0-9A-Fa-f]{2}(?P<sep>[:-]))(?:[0-9A-Fa-f]{2}(?P=sep)){4}[0-9A-Fa-f]{2}(?![\w:-])",
        left=r"(?<![\w:-])",
    ),
    _beside("date of birth", r"born|birth|birthday|birthdate|dob|d\.o\.b\.|geboren|geb\.", rf"{_DATE}(?!\w)"),
    _beside("passport number", r"passport|reisepass|passeport", r"[A-Z0-9]{6,9}(?!\w)", _has_digit),
    _beside(
        "driving licence number",
        r"driv(?:er'?s?|ing) licen[cs]e|driver'?s id",
        r"[A-Z0-9][A-Z0-9-]{5,17}(?!\w)",
        _has_digit,
    ),
    _beside(
        "IP address",
        r"ip|ipv4|client|visitor|login from|logged in from",
        r"\d{1,3}(?:\.\d{1,3}){3}(?![\w.]\w)",
        _is_public_address,
    ),
)

PERSONAL = frozenset(
    {
        "CPF",
        "IBAN",
        "IP address",
        "MAC address",
        "Spanish identity number",
        "UK national insurance number",
        "US social security number",
        "card number",
        "date of birth",
        "driving licence number",
        "email address",
        "passport number",
        "phone number",
    }
)
"""Kinds that are personal data; every other kind is a secret."""
