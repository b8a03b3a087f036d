"""The review page driven by a script: keys in headless Chromium, and requests while the server is killed."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Page, sync_playwright

HERE = Path(__file__).resolve().parent
TUNEPROOF = [sys.executable, "-m", "tuneproof"]
SHOWN = {"width": 1280, "height": 860}
PATIENCE_MS = 20_000
KILLS, DECISIONS = 25, 500


@contextlib.contextmanager
def served(project: Path, reviewer: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `tuneproof review` and yield its process and the page's address."""
    command = [*TUNEPROOF, "review", "--project", str(project), "--reviewer", reviewer, "--no-browser"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        yield process, address_in(process.stderr.readline)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def address_in(line: Callable[[], str]) -> str:
    """Read lines until one holds the page's address."""
    said = []
    while text := line():
        said.append(text)
        if found := re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+", text):
            return found[0]
    raise AssertionError("the page did not start: " + "".join(said))


def review_by_keyboard(project: Path, kept: Path) -> list[str]:
    """Review every pair with keys alone and keep pictures of the page.

    Args:
        project: with drafts that nobody has seen.
        kept: folder of `answers.jsonl`, and for the pictures.

    Returns:
        What the batches came to, as lines of Markdown.
    """
    rows = (json.loads(line) for line in (kept / "answers.jsonl").read_text("utf-8").splitlines())
    answers = {row["notice"]: row["answer"] for row in rows}
    summaries = []
    with served(project, "script") as (process, address), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport=SHOWN, color_scheme="light")
        page.goto(address)
        while not (now := view(page))["standing"]["done"]:
            if now["standing"]["can_close"]:
                summaries.append(close(page, now["standing"]["batch"], kept))
            else:
                decide(page, now["card"], answers, kept)
        page.wait_for_selector("#end:not([hidden])", timeout=PATIENCE_MS)
        until(
            page, "() => document.activeElement.id === 'finish' && !document.body.hasAttribute('aria-busy')"
        )
        page.screenshot(path=kept / "end.png")
        page.keyboard.press("Enter")
        process.wait(60)
        browser.close()
    lines = [
        "| batch | pairs | accepted | fixed | deleted | shown again, equal |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {s['batch']} | {s['pairs']} | {s['accepted']} | {s['fixed']} | {s['deleted']} | "
        f"{s['again']['equal']} of {s['again']['n']} |"
        for s in summaries
    ]
    return [*lines, ""]


def view(page: Page) -> dict[str, Any]:
    """Ask the server, as the page does, what is in hand."""
    return dict(page.evaluate("async () => (await fetch('/api/view?step=open')).json()"))


def decide(page: Page, card: dict[str, Any], answers: dict[str, str], kept: Path) -> None:
    """Decide on the pair in hand; the first of each kind is also undone, flagged or pictured."""
    page.wait_for_selector("#card:not([hidden])", timeout=PATIENCE_MS)
    wanted, number = answers[card["pair_id"]], (card["batch"], card["position"])
    until(
        page, "text => document.querySelector('#input').innerText.includes(text)", card["input"][:12].strip()
    )
    if card["draft"] is None:
        picture(page, kept / "blind.png")
        write(page, wanted)
        page.wait_for_selector("#reveal:not([hidden])", timeout=PATIENCE_MS)
        page.keyboard.press("Enter")
    elif card["draft"] == wanted:
        page.keyboard.press("a")
    else:
        write(page, wanted, kept / "pair.png" if number > (1, 20) else None)
    settled(page, card)
    if number == (1, 5) and card["version"] == 0:
        page.keyboard.press("u")  # taken back, and decided again by the loop
        until(page, "() => document.querySelector('#status').textContent.startsWith('Taken back')")


def write(page: Page, text: str, pictured: Path | None = None) -> None:
    """Write an output in the editor and save it."""
    page.keyboard.press("e")
    page.wait_for_selector("#fix:focus", timeout=PATIENCE_MS)
    page.keyboard.press("Control+a")
    page.keyboard.type(text)
    if pictured and not pictured.exists():
        page.wait_for_timeout(600)  # the form is checked once typing has paused
        picture(page, pictured)
        page.emulate_media(color_scheme="dark")
        page.wait_for_timeout(600)  # colours fade
        picture(page, pictured.with_name("pair-dark.png"))
        page.set_viewport_size({"width": 640, "height": 430})  # what 200 % leaves of 1280 × 860
        picture(page, pictured.with_name("pair-200.png"))
        page.set_viewport_size(SHOWN)  # type: ignore[arg-type]
        page.emulate_media(color_scheme="light")
    page.keyboard.press("Control+Enter")


def picture(page: Page, path: Path) -> None:
    """Keep a picture, once."""
    if not path.exists():
        page.screenshot(path=path)


def until(page: Page, holds: str, argument: object = None) -> None:
    """Wait until a JavaScript function returns true; the page's own policy forbids playwright's way to."""
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while not page.evaluate(holds, argument):
        assert time.monotonic() < deadline, holds
        page.wait_for_timeout(20)


def settled(page: Page, card: dict[str, Any]) -> None:
    """Wait until the page shows another pair, or the dialog that closes the batch."""
    until(page, "() => document.body.getAttribute('aria-busy') === null")
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while time.monotonic() < deadline:
        now = view(page)
        if (
            now["standing"]["can_close"]
            or now["standing"]["done"]
            or now["card"]["pair_id"] != card["pair_id"]
        ):
            return
        page.wait_for_timeout(20)
    raise AssertionError(f"{card['pair_id']} was not decided")


def close(page: Page, batch: int, kept: Path) -> dict[str, Any]:
    """Close a batch with a note, and return what it came to."""
    page.wait_for_selector("#close-box[open]", timeout=PATIENCE_MS)
    page.keyboard.type("Versions only where the notice names one.")
    picture(page, kept / "close.png")
    summary = page.evaluate("async () => (await (await fetch('/api/summary')).json()).summary")
    page.keyboard.press("Control+Enter")
    until(page, "async b => (await (await fetch('/api/view?step=open')).json()).standing.batch > b", batch)
    return dict(summary)


def kill_during_decisions(project: Path) -> list[str]:
    """Decide on 500 pairs while the server is killed again and again; count what was lost.

    Returns:
        What was found, as lines of Markdown.
    """
    prepare(project)
    acknowledged: dict[str, int] = {}
    chance, kills, done = random.Random(5), 0, False
    while not done:
        with served(project, "script") as (process, address):
            last = kills >= KILLS
            # The network may break at any point; only what was acknowledged counts.
            with contextlib.suppress(OSError, http.client.HTTPException):
                done = decide_some(Client(address), acknowledged, None if last else process, chance)
            if not last:
                process.kill()
                process.wait()
                kills += 1
    there = exported(project)
    lost = [pair for pair, version in acknowledged.items() if (pair, version) not in set(there)]
    return [
        "## The server killed during decisions",
        "",
        f"Of {DECISIONS} pairs, {len(acknowledged)} decisions were acknowledged while `tuneproof review` was "
        f"ended {kills} times with `kill -9`, in the middle of a request where it hit one (which may be on "
        f"the disk without its answer): {len(lost)} lost, {len(there) - len(set(there))} doubled.",
        "",
    ]


def decide_some(
    client: Client,
    acknowledged: dict[str, int],
    doomed: subprocess.Popen[str] | None,
    chance: random.Random,
) -> bool:
    """Decide until the server dies or all batches are closed; return whether they are."""
    fatal = chance.randrange(5, 30)
    for sent in range(2 * DECISIONS):
        now = client.get("/api/view?step=open")
        if now["standing"]["done"]:
            return True
        if now["standing"]["can_close"]:
            client.post("close", {"note": "a batch of the kill test", "driven": True})
            continue
        card = now["card"]
        wish = {
            "pair_id": card["pair_id"],
            "kind": "accept" if sent % 3 else "delete",
            "version": card["version"],
        }
        if doomed and sent == fatal:
            killed_soon(doomed, chance)
        client.post("decide", {"wish": wish, "driven": True})
        acknowledged[card["pair_id"]] = card["version"] + 1
    return False


def exported(project: Path) -> list[tuple[str, int]]:
    """Return pair and version of every decision on the disk."""
    to = project / "decisions.jsonl"
    command = [*TUNEPROOF, "review", "--export", str(to), "--project", str(project)]
    subprocess.run(command, check=True, capture_output=True)
    events = [json.loads(line) for line in to.read_text("utf-8").splitlines()]
    return [(event["pair_id"], event["version"]) for event in events if event["kind"] != "close"]


def killed_soon(process: subprocess.Popen[str], chance: random.Random) -> None:
    """Send SIGKILL within the next few milliseconds, while a request is on its way."""
    wait = chance.random() / 100
    subprocess.Popen(["sh", "-c", f"sleep {wait:.4f}; kill -9 {process.pid}"], stderr=subprocess.DEVNULL)


def prepare(project: Path) -> None:
    """Make 500 pairs that nobody vouches for, ready to review."""
    project.mkdir()
    words = ["amber", "birch", "cedar", "delta", "ember", "fjord", "glade", "heath", "islet", "jetty"]
    chance = random.Random(1)
    rows = [
        {"id": f"pair-{n:03d}", "input": " ".join(chance.choices(words, k=9)) + f" {n}", "output": f"out {n}"}
        for n in range(DECISIONS)
    ]
    (project / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    task = (HERE.parent / "desk.py").read_text("utf-8").split('TASK = """\\\n')[1].split('"""')[0]
    task = re.sub(r"(?ms)^drafting:\n.*?(?=^split:)", "review:\n  blind_share: 0\n  again: 0\n", task)
    task = task.replace("notices.jsonl\n  input_column: text", "pairs.jsonl").replace("answer_pattern", "#")
    (project / "task.yaml").write_text(task, "utf-8")
    for verb in ("init", "draft"):
        done = subprocess.run(
            [*TUNEPROOF, verb, "--project", str(project)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


class Client:
    """What the page sends, without the page."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._host, self._origin = parts.netloc, f"http://{parts.netloc}"
        self._cookie = ""
        headers = self._ask("GET", f"/?{parts.query}", None)[1]
        self._cookie = dict(headers)["set-cookie"].split(";")[0]

    def get(self, path: str) -> dict[str, Any]:
        """Ask for something."""
        return dict(json.loads(self._ask("GET", path, None)[2]))

    def post(self, name: str, content: dict[str, Any]) -> None:
        """Change something; returns once the server has said that it is saved."""
        status, _, body = self._ask("POST", f"/api/do/{name}", json.dumps(content).encode())
        assert status == 200, body

    def _ask(self, method: str, path: str, body: bytes | None) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self._host, timeout=20)
        headers = {"Cookie": self._cookie} if self._cookie else {}
        if body is not None:
            headers |= {"Origin": self._origin, "Content-Type": "application/json", "X-Tuneproof-Desk": "1"}
        try:
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            return answer.status, [(k.lower(), v) for k, v in answer.getheaders()], answer.read()
        finally:
            connection.close()


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.stdout.write("\n".join(kill_during_decisions(Path(sys.argv[1]))) + "\n")
