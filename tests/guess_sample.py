"""Rows as teams really have them, a file for each kind of output; made by counting, so always the same."""

from __future__ import annotations

import json
from typing import Any

from tuneproof.outside.readers import Row, Rows

CITIES = ("Lyon", "Porto", "Gdańsk", "Turku", "Bergen", "Graz", "Brno", "Leuven", "Malmö", "Split", "Vigo")
TEAMS = ("billing", "delivery", "returns", "account", "warranty")


def rows_of(values: list[dict[str, Any]], *, name: str = "pairs.jsonl") -> Rows:
    rows = tuple(Row(f"{name}:{number}", each) for number, each in enumerate(values, start=1))
    return Rows(rows, (), "JSON Lines", ())


def order(number: int) -> str:
    city = CITIES[number % len(CITIES)]
    return f"Hello, order {1000 + number * 7} to {city} has not come, please call me on day {number}."


def json_rows(n: int = 300, *, broken: int = 0) -> Rows:
    """A message → a JSON object with a closed list, a number, an optional key and a nested object."""
    values = []
    for i in range(n):
        answer: dict[str, Any] = {
            "team": TEAMS[i % len(TEAMS)],
            "order": 1000 + i * 7,
            "amount": round(i * 1.25, 2) if i % 3 else i,
            "urgent": i % 2 == 0,
            "address": {"city": CITIES[i % len(CITIES)], "zip": None if i % 5 else f"{10000 + i}"},
            "items": [f"article {i} {j}" for j in range(i % 3)],
        }
        if i % 4 == 0:
            answer["comment"] = f"customer note {i}"
        text = json.dumps(answer, ensure_ascii=False)
        values.append({"message": order(i), "json": f"Sorry: {text}" if i < broken else text})
    return rows_of(values)


def label_rows(n: int = 300, labels: int = 5) -> Rows:
    names = [TEAMS[i] if i < len(TEAMS) else f"team {i}" for i in range(labels)]
    values = []
    for i in range(n):
        language = "en" if i % 2 else "fr"
        values.append(
            {"ticket_id": f"T-{i}", "text": order(i), "category": names[i % labels], "lang": language}
        )
    return rows_of(values)


def line_rows(n: int = 120) -> Rows:
    return rows_of(
        [
            {
                "input": order(i),
                "output": f"Team: {TEAMS[i % 5]}\nCity: {CITIES[i % 11]}\nRef: {1000 + i * 7}",
            }
            for i in range(n)
        ]
    )


def set_rows(n: int = 200) -> Rows:
    tags = ("bug", "docs", "good first issue", "performance", "ui", "windows")
    values = []
    for i in range(n):
        chosen = [tag for place, tag in enumerate(tags) if (i * 7 + 5) >> place & 1] or ["bug"]
        values.append({"title": order(i), "labels": ", ".join(chosen if i % 2 else reversed(chosen))})
    return rows_of(values)


def number_rows(n: int = 150) -> Rows:
    return rows_of([{"question": order(i), "answer": f"{i * 1234.5:,.2f}"} for i in range(n)])


def exact_rows(n: int = 400) -> Rows:
    return rows_of([{"text": order(i), "output": f"ORD-{1000 + i * 7}"} for i in range(n)])


def free_rows(n: int = 260) -> Rows:
    long = "Thank you for your message. We have looked for the parcel and it will be with you soon, on day"
    return rows_of(
        [{"prompt": order(i), "completion": f"{long} {i}, in {CITIES[i % 11]}."} for i in range(n)]
    )


def chat_rows(n: int = 200, *, odd: int = 0) -> Rows:
    values = []
    for i in range(n):
        said = "Another prompt." if i < odd else "Name the team.\nOne word only."
        values.append(
            {
                "messages": [
                    {"role": "system", "content": said},
                    {"role": "user", "content": order(i)},
                    {"role": "assistant", "content": TEAMS[i % 5]},
                ]
            }
        )
    return rows_of(values)
