"""The scanner finds planted secrets and personal data, stays quiet on notices, and never repeats a secret."""

from __future__ import annotations

import random
import string
import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuneproof.cases.licenses import licence_pairs
from tuneproof.outside import licensedcode
from tuneproof.scan import PERSONAL as PERSONAL_KINDS
from tuneproof.scan import scan_text

WORD = string.ascii_letters + string.digits


def made(length: int, alphabet: str = WORD, seed: int = 0) -> str:
    """Random characters made at run time, so that no file here holds anything that looks like a secret."""
    chosen = random.Random(seed).choices(alphabet, k=length - 2)
    return "".join(("a" if "a" in alphabet else alphabet[0], *chosen, "7"))


HEX = "0123456789abcdef"
UP = string.ascii_uppercase + string.digits
DASH = "-" * 5

SECRETS: dict[str, tuple[str, str]] = {
    "rsa": ("private key", f"{DASH}BEGIN RSA PRIVATE " + f"KEY{DASH}"),
    "pkcs8": ("private key", f"{DASH}BEGIN PRIVATE " + f"KEY{DASH}"),
    "openssh": ("private key", f"{DASH}BEGIN OPENSSH PRIVATE " + f"KEY{DASH}"),
    "encrypted": ("private key", f"{DASH}BEGIN ENCRYPTED PRIVATE " + f"KEY{DASH}"),
    "pgp": ("private key", f"{DASH}BEGIN PGP PRIVATE " + f"KEY BLOCK{DASH}"),
    "putty": ("private key", "PuTTY-User-" + "Key-File-3"),
    "age": ("private key", "AGE-SECRET-" + "KEY-1" + made(58, UP)),
    "aws": ("AWS key id", "AK" + "IA" + made(16, UP)),
    "aws temporary": ("AWS key id", "AS" + "IA" + made(16, UP)),
    "aws secret": ("assigned secret", "aws_secret_access_" + "key = " + made(40)),
    "github classic": ("GitHub token", "gh" + "p_" + made(36)),
    "github oauth": ("GitHub token", "gh" + "o_" + made(36)),
    "github server": ("GitHub token", "gh" + "s_" + made(36)),
    "github fine": ("GitHub token", "github" + "_pat_" + made(82, WORD + "_")),
    "gitlab": ("GitLab token", "gl" + "pat-" + made(20)),
    "hugging face": ("Hugging Face token", "h" + "f_" + made(34)),
    "hugging face organisation": ("Hugging Face token", "api_" + "org_" + made(34)),
    "openai": ("OpenAI key", "s" + "k-" + made(48)),
    "openai project": ("OpenAI key", "s" + "k-proj-" + made(100, WORD + "_-")),
    "openai service": ("OpenAI key", "s" + "k-svcacct-" + made(60, WORD + "_-")),
    "anthropic": ("Anthropic key", "s" + "k-ant-api03-" + made(90, WORD + "_-")),
    "openrouter": ("OpenRouter key", "s" + "k-or-v1-" + made(64, HEX)),
    "groq": ("Groq key", "gs" + "k_" + made(52)),
    "slack bot": ("Slack token", "xo" + "xb-" + made(40, WORD + "-")),
    "slack user": ("Slack token", "xo" + "xp-" + made(40, WORD + "-")),
    "slack app": ("Slack token", "xa" + "pp-1-" + made(40)),
    "slack webhook": ("Slack webhook", "https://hooks." + "slack.com/services/T0/B0/" + made(24)),
    "google": ("Google API key", "AI" + "za" + made(35)),
    "google oauth": ("Google OAuth", "GOC" + "SPX-" + made(28)),
    "stripe": ("Stripe key", "sk_" + "live_" + made(24)),
    "pypi": ("PyPI token", "py" + "pi-" + made(80, WORD + "_-")),
    "npm": ("npm token", "np" + "m_" + made(36)),
    "sendgrid": ("SendGrid key", "S" + "G." + made(22) + "." + made(43)),
    "twilio": ("Twilio key", "S" + "K" + made(32, HEX)),
    "telegram": ("Telegram bot token", "123456789:" + "AA" + made(33)),
    "jwt": ("JWT", "ey" + "J" + made(20) + "." + "ey" + "J" + made(40) + "." + made(43)),
    "url": ("password in a URL", "postgres://admin:" + made(12) + "@db.internal/x"),
    "password": ("assigned secret", "pass" + "word=" + made(14)),
    "quoted password": ("assigned secret", 'pass' + 'word: "' + "correcthorsebattery" + '"'),
    "api key": ("assigned secret", "api_" + 'key: "' + made(24) + '"'),
    "json token": ("assigned secret", '{"auth_' + 'token": "' + made(24) + '"}'),
    "bearer": ("authorization header", "Authorization: Bea" + "rer " + made(40)),
}  # fmt: skip

PERSONAL: dict[str, tuple[str, str]] = {
    "email": ("email address", "jane.doe" + "@" + "mail.example.org"),
    "email with a tag": ("email address", "j+list" + "@" + "example.co.uk"),
    "email in angle brackets": ("email address", "<jane" + "@" + "example.org>"),
    "email in a mailto": ("email address", "mailto:jane" + "@" + "example.org"),
    "email spelled out": ("email address", "jane (at" + ") example.org"),
    "german iban": ("IBAN", "DE89 3704 0044 0532" + " 0130 00"),
    "british iban": ("IBAN", "GB29NWBK6016" + "1331926819"),
    "french iban": ("IBAN", "FR14 2004 1010 0505" + " 0001 3M02 606"),
    "visa": ("card number", "4111 1111 1111" + " 1111"),
    "mastercard": ("card number", "5500-0000-0000" + "-0004"),
    "american express": ("card number", "3782822463" + "10005"),
    "american phone": ("phone number", "+1 (415) 555" + "-0132"),
    "british phone": ("phone number", "+44 (0)2" + "0 7946 0958"),
    "plain phone": ("phone number", "+493" + "01234567"),
    "social security number": ("US social security number", "078-05" + "-1120"),
    "american phone at home": ("phone number", "call me on (617) 542" + "-2652"),
    "british phone at home": ("phone number", "Tel: 020 7946" + " 0958"),
    "german phone at home": ("phone number", "Telefon 030 901" + "820"),
    "french phone at home": ("phone number", "fax 01 42 68" + " 53 00"),
    "cpf": ("CPF", "529.982.247" + "-25"),
    "dni": ("Spanish identity number", "1234" + "5678Z"),
    "nie": ("Spanish identity number", "X1234" + "567L"),
    "national insurance": ("UK national insurance number", "AB 12 34" + " 56 C"),
    "mac address": ("MAC address", "00:1b:44:11" + ":3a:b7"),
    "date of birth": ("date of birth", "born on 14.03" + ".1987"),
    "date of birth in words": ("date of birth", "DOB: 3 March" + " 1987"),
    "passport": ("passport number", "passport no. C01X0" + "0T47"),
    "driving licence": ("driving licence number", "driver's license number D123" + "-4567-8901"),
    "ip address": ("IP address", "client 93.184" + ".216.34"),
}

SENTENCES = ("{}", "before {} after", 'x = "{}"', "- {}.", "| a | {} |")
PLANTED = [(f"{name} in {s}", *hit, s) for name, hit in {**SECRETS, **PERSONAL}.items() for s in SENTENCES]


def test_there_are_enough_planted_formats() -> None:
    assert len(SECRETS) >= 30
    assert len(PERSONAL) >= 10
    assert len({kind for kind, _ in PERSONAL.values()}) >= 10


def test_every_kind_is_either_a_secret_or_personal() -> None:
    assert {kind for kind, _ in PERSONAL.values()} == PERSONAL_KINDS
    assert not {kind for kind, _ in SECRETS.values()} & PERSONAL_KINDS


@pytest.mark.parametrize(
    ("kind", "planted", "sentence"), [p[1:] for p in PLANTED], ids=[p[0] for p in PLANTED]
)
def test_a_planted_value_is_found_on_its_line_and_masked(kind: str, planted: str, sentence: str) -> None:
    found = scan_text(f"First line.\n{sentence.format(planted)}\nLast line.", where="README.md")
    assert [(f.where, f.line, f.kind) for f in found] == [("README.md", 2, kind)]
    for start in range(len(planted) - 3):
        assert planted[start : start + 4] not in found[0].excerpt.split(" (")[0]


NOTICES = """
Copyright (c) 1989, 1991 Free Software Foundation, Inc., 51 Franklin
Street, Fifth Floor, Boston, MA 02110-1301 USA
Copyright 1999-2004, 2007-2011 The Example Authors. All rights reserved.
Redistribution and use in source and binary forms, with or without
modification, are permitted provided that the
following conditions are met: 1. Redistributions of source code must retain the above copyright notice.
Licensed under the Apache License, Version 2.0 (the "License"); you
may not use this file except in compliance with
the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
SPDX-License-Identifier: GPL-2.0-or-later WITH Classpath-exception-2.0
$Id: file.c,v 1.23.4.5 2004/05/06 07:08:09 user Exp $ @version 10.2.3.4 @author the team
This token: a licence expression. The secret: there is none. Password
protection is not covered. Keys: see below.
ISBN 978-0-13-110362-7, ISO/IEC 9899:1999, RFC 2119, CVE-2021-44228,
patent US 6,393,474, build 20040506070809
THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND,
EXPRESS OR IMPLIED. EVEN IF ADVISED OF SUCH DAMAGE.
sha256:b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
144811072 bytes, 0.7250 [0.6593, 0.7825]
PARAMETER stop "<|im_end|>"  eos_token: "<|im_end|>" 
answer_tokens=18204  api_key: "<your key>"  token: ${HF_TOKEN}
The loss is +0.123456789012 lower, difference +55.5 points [+48.3,
+62.7], +12.3456789 ms, p = 1.5e-09, 1,412 rows.
commit 0123456789012345678901234567890123456789, uuid
12345678-1234-1234-1234-123456789012, 2004-05-06T07:08:09Z
git@ is a user, @media print, user@host, foo at bar dot baz, a@b,
Call 2004-05-06 to 2011-12-13; fax: 4.5, reach 1234567890 rows; text 20040506070809; phone 555-0132.
See passport photos, the client 10.2.3.4, version 93.184.216.34, born in the USA 1987, birth of Unix 1.1.
12345678A, 529.982.247-26, AB123456E, 00:1b:44:11:3a, driver license: see LICENSE-2.0, ip is not set.
hf_hub_download, sk-learn, risk-assessment-process
See https://web.archive.org/web/20021024121806/http://example.org/licences/
"""


def test_ordinary_notices_raise_no_alarm() -> None:
    lines = NOTICES.strip().splitlines()
    assert len(lines) >= 12
    assert scan_text(NOTICES, where="NOTICE") == ()


def test_an_address_that_belongs_to_an_attribution_can_be_allowed() -> None:
    address = "Jane" + "@" + "Example.org"
    assert len(scan_text(address, where="NOTICE")) == 1
    assert scan_text(address, where="NOTICE", allow=frozenset({address.lower()})) == ()


def test_allowing_one_address_does_not_allow_its_neighbour() -> None:
    one, two = "jane" + "@" + "example.org", "june" + "@" + "example.org"
    assert len(scan_text(f"{one}, {two}", where="NOTICE", allow=frozenset({one}))) == 1


def test_a_wrong_checksum_is_no_card_number_and_no_iban() -> None:
    text = "4111 1111 1111" + " 1112 and DE88 3704 0044 0532" + " 0130 00"
    assert scan_text(text, where="x") == ()


def test_an_invisible_character_does_not_hide_a_secret() -> None:
    token = SECRETS["hugging face"][1]
    assert [f.kind for f in scan_text(token[:9] + "\u200b" + token[9:], where="x")] == ["Hugging Face token"]


def test_every_secret_of_a_line_is_found_once() -> None:
    line = " ".join(value for _, value in SECRETS.values() if " " not in value and "=" not in value)
    plain = [kind for kind, value in SECRETS.values() if " " not in value and "=" not in value]
    assert len(plain) > 25
    assert sorted(f.kind for f in scan_text(line, where="x")) == sorted(plain)


@given(st.text(max_size=300))
def test_any_text_can_be_scanned(text: str) -> None:
    for finding in scan_text(text, where="x"):
        assert 1 <= finding.line <= text.count("\n") + 1


HOSTILE = (
    "a", "a.", "-", "+1 ", "1-", "1.", "4 ", "A1", "AA11 ", "a@a.", "a@a.aa ", "%a@", "a [at] ", "x+.-",
    "ey" + "J", "ey" + "Jaaaaaaaa-", "-ey" + "Jaaaaaaaa", "ey" + "Jaaaaaaaa.", "ey" + "Jaaaaaaaa+",
    "S" + "G.aaaaaaaaaaaaaaaa-", "xo" + "xb-", "xo" + "xb-aaaaaaaaaa-", "s" + "k-", "s" + "k-ant-",
    "gh" + "p_", "h" + "f_", "AK" + "IA", DASH + "BEGIN ", DASH + "BEGIN A A A A ",
    "password=", "token : ", "api key ", "basic  ", "bea" + "rer aaaaaaaaaaaaaaaa-", "x://a:", "x://a:aaa",
    "a://", "tel 415 ", "tel 1", "call 1(",
    "born no ", "born on 1.1.", "passport no no no ", "driver's license A", "client 1.1.1.1.", "00:1b:44:",
    "12345678-", "123.456.789-", "AB 12 34 56 ", "1234567890:AA", "discord" + ".com/api/webhooks/1234567890/",
)  # fmt: skip


def seconds_for(unit: str, length: int) -> float:
    text = unit * (length // len(unit))
    start = time.process_time()
    scan_text(text, where="x")
    return time.process_time() - start


@pytest.mark.parametrize("unit", HOSTILE)
def test_a_line_of_twice_the_length_takes_twice_the_time(unit: str) -> None:
    """At a million characters a rule that grows as the square of the length would take a minute."""
    for _ in range(4):  # a busy machine is no slow rule
        short, long = seconds_for(unit, 40_000), seconds_for(unit, 80_000)
        if long < max(2.6 * short, 0.02):
            break
    assert long < max(2.6 * short, 0.02)


def test_many_findings_in_one_line_are_all_found_in_time() -> None:
    line = ("a" + "@" + "a.aa ") * 20_000
    start = time.process_time()
    assert len(scan_text(line, where="x")) == 20_000
    assert time.process_time() - start < 3


def test_a_long_web_token_is_found_once() -> None:
    token = ".".join(("ey" + "J" + made(1000), "ey" + "J" + made(9000), made(600)))
    assert [f.kind for f in scan_text(f"token {token}", where="x")] == ["JWT"]


def test_the_bundled_pairs_raise_few_alarms_and_each_is_real() -> None:
    """All that was found in 2,000 notices was looked at: addresses and one number of real organisations."""
    drafts = licence_pairs(licensedcode.rules(), version=licensedcode.version(), limit=2000)
    texts = [text for pair in drafts.pairs for text in (pair.input, pair.output)]
    found = Counter(hit.kind for text in texts for hit in scan_text(text, where="x"))
    assert len(texts) == 4000
    assert found == {"email address": 7, "phone number": 1}
