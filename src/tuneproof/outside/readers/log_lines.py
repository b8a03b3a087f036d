"""A line of a log → its message, and the names of the headers that were taken off its front.

Headers that are known: syslog (RFC 3164, RFC 5424), Apache and nginx access and error logs, log4j and Spring,
Python's logging, glog and klog, Docker and Kubernetes (CRI), dmesg, logfmt, Android's logcat.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_CLOCK = r"\d{2}:\d{2}:\d{2}(?:[.,:]\d{1,9})?"
_ISO = rf"\d{{4}}[-/]\d{{2}}[-/]\d{{2}}(?:[T ]{_CLOCK})(?: ?(?:Z|UTC|GMT|[+-]\d{{2}}:?\d{{2}}))?"
_MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_DAY = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_LEVEL = (
    "TRACE|DEBUG|FINE|FINER|FINEST|INFO|INFORMATION|NOTICE|WARN|WARNING|ERR|ERROR|SEVERE|CRIT|CRITICAL|ALERT"
    "|EMERG|FATAL|PANIC"
)
_ANY_LEVEL = f"(?:{_LEVEL}|(?i:{_LEVEL}))"
_PID = r"(?:pid |tid )?\d+(?:[:#]\w+)*(?::tid \d+)?"

_WHOLE = {
    "syslog header": rf"(?:<\d{{1,3}}>)?{_MONTH} [ \d]\d {_CLOCK} [\w.:-]+ [^\s:\[\]]+(?:\[\d+\])?: ",
    "syslog header (RFC 5424)": rf"<\d{{1,3}}>1 {_ISO} \S+ \S+ \S+ \S+ (?:-|(?:\[[^\]]*\])+) ?",
    "access log client and time": r"[\w.:-]+ \S+ \S+ \[\d{2}/\w{3}/\d{4}:[^\]]+\] ",
    "container header": rf"{_ISO} (?:stdout|stderr) [FP] ",
    "glog header": rf"[IWEF]\d{{4}} {_CLOCK}\s+\d+ [\w./-]+:\d+\] ",
    "logcat header": rf"\d{{2}}-\d{{2}} {_CLOCK}\s+\d+\s+\d+ [VDIWEF] [^:]{{1,60}}: ",
    "Python level and logger": rf"(?:{_LEVEL}):[\w.-]+:",
    "nginx header": rf"{_ISO} \[{_ANY_LEVEL}\] \d+#\d+: (?:\*\d+ )?",
}
"""Headers that are one piece; at most one stands before a message."""

_PARTS = {
    "time": rf"(?:\[(?:{_ISO}|(?:{_DAY} )?{_MONTH} [ \d]\d {_CLOCK}(?: \d{{4}})?)\]"
    rf"|(?:ts|time|timestamp)=\"?(?:{_ISO})\"?|{_ISO}|{_DAY} {_MONTH} [ \d]\d {_CLOCK}(?: \d{{4}})?"
    rf"|{_CLOCK}(?!\S)|\[\s*\d+\.\d{{3,9}}\]|1[5-9]\d{{8}}(?:\.\d+)?(?!\S))",
    "level": rf"(?:\[(?:[\w-]+:)?{_ANY_LEVEL}\s*\]|level=\"?{_ANY_LEVEL}\b\"?"
    rf"|(?:{_LEVEL})\b(?:\s*:|(?=\s|$)))",
    "process or thread": rf"(?:\[(?:{_PID}|main|[\w.-]*[Tt]hread[\w.-]*|[\w.]+-\d+|[\w-]+-exec-\d+)\]"
    rf"|\({_PID}\)|pid=\d+|\d+(?= ---)|---)",
    "client": r"\[client [^\]]+\]",
    "logger": rf"(?:(?:[a-z_]\w*\.)+\w+ +[:-] (?=\S)|[a-z_]\w* - (?=(?:{_LEVEL})\b))",
}
"""Parts of other headers, in any order; a logger counts only behind a level or a time, once."""

_HEADERS = {name: re.compile(pattern) for name, pattern in _WHOLE.items()}
_PIECES = {name: re.compile(rf"\s*(?:{pattern})[ \t]*(?:[-|:][ \t]+)?") for name, pattern in _PARTS.items()}
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_MOST = 8
"""Parts of a header; one that has more is no header."""


class Message(NamedTuple):
    """What a line says."""

    text: str
    stripped: tuple[str, ...]
    """Names of what was taken off, in its order."""


def message_of(line: str) -> Message:
    """Take time, level, process and logger off the front of a line; what follows them stays as it is."""
    text = _COLOUR.sub("", line)
    stripped = ["colour"] if text != line else []
    for name, header in _HEADERS.items():
        if found := header.match(text):
            text = text[found.end() :]
            stripped.append(name)
            break
    for _ in range(_MOST):
        name, end = _piece(text, stripped)
        if not end:
            break
        text = text[end:]
        stripped.append(name)
    return Message(text.strip(), tuple(stripped))


def _piece(text: str, stripped: list[str]) -> tuple[str, int]:
    """Return the name and the end of the part of a header that `text` begins with; `("", 0)` without one."""
    for name, piece in _PIECES.items():
        if name == "logger" and (name in stripped or not {"time", "level"} & set(stripped)):
            continue
        if found := piece.match(text):
            return name, found.end()
    return "", 0
