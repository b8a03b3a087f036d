"""One address line → the same JSON as `build.py`, by one regular expression: the trivial rule to beat."""

import json
import re

_TYPE = (
    r"(?:st|street|ave?|avenue|rd|road|dr|drive|blvd|boulevard|ln|lane|pl|place|ct|court|pkwy|parkway|way|circle"
    r"|cir|ter|terrace|sq|square|plaza|pike|broadway|(?:hwy|highway|route) \w+|p\.?o\.? box \w+)\b\.?"
    r"(?:,? (?:[nsew]|[ns]\.?[ew])\b\.?| (?:(?:north|south)(?:east|west)?|east|west)\b(?! \w+,))?"
)
_UNIT = r"(?:(?:suite|ste|apt|unit|floor|fl|room|rm|bldg|condo)\b\.? ?#? ?[\w-]+|# ?[\w-]+|\d+\w\w fl\w*)"
_STATE = r"(?P<state>[a-z]{2}|(?<=, )[a-z]{4,}(?: [a-z]{4,})?)\b\.?"
_ADDRESS = re.compile(
    rf"(?P<street>.*?\b{_TYPE}|[^,]+?)(?:,? *(?P<unit>{_UNIT}))?(?:,? +(?P<city>[a-z][a-z .']*?))?"
    rf"(?:,? +{_STATE})?(?:,? +(?P<zip>\d{{5}}(?:-\d{{4}})?))?\W*(?:united states)?",
    re.IGNORECASE,
)


def answer(text: str) -> str:
    """Return the JSON object for one address."""
    match = _ADDRESS.fullmatch(text.strip())
    parts = {key: value.strip(" ,;()#") for key, value in match.groupdict().items() if value} if match else {}
    return json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
