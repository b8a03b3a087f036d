"""A loopback server that speaks the few routes of the Hugging Face Hub that we use.

Model info at a revision, and the files of a commit with the headers that `huggingface_hub` insists on. It
notes every request, so a test can say that none was made.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

_INFO = re.compile(r"/api/models/(?P<id>[^/]+/[^/]+?)/revision/(?P<revision>.+)")
_FILE = re.compile(r"/(?P<id>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<name>.+)")


@dataclass
class Repo:
    """One model repository with one commit."""

    files: dict[str, bytes]
    commit: str = "a" * 40
    revisions: tuple[str, ...] = ("main",)
    gated: bool = False
    """Its card can be seen, its files cannot."""
    announced: dict[str, int] = field(default_factory=dict)
    """Sizes that the listing claims instead of the real ones."""
    corrupt: set[str] = field(default_factory=set)
    """Files that are sent with one byte changed."""
    cut: set[str] = field(default_factory=set)
    """Files whose connection breaks off half way, once."""

    def knows(self, revision: str) -> bool:
        """Tell whether a revision stands for the commit."""
        return revision == self.commit or revision in self.revisions


class Hub:
    """The server's repositories and what it was asked."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.requests: list[str] = []
        self.address = ""
        self.broken = False
        """Answers 500 to everything."""

    def fetched(self) -> set[str]:
        """Names of the files that were really sent."""
        return {
            line.rsplit("/", 1)[1] for line in self.requests if line.startswith("GET") and "/resolve/" in line
        }


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def _serve(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        if self.hub.broken:
            self._refuse(500, "Broken")
        elif match := _INFO.fullmatch(path):
            self._info(match["id"], match["revision"])
        elif match := _FILE.fullmatch(path):
            self._file(match["id"], match["revision"], match["name"])
        else:
            self._refuse(404, "RepoNotFound")

    def _repo(self, name: str, revision: str) -> Repo | None:
        repo = self.hub.repos.get(name)
        if repo is None:
            self._refuse(401, "RepoNotFound")  # the real Hub does not say whether it is private or absent
            return None
        if not repo.knows(revision):
            self._refuse(404, "RevisionNotFound")
            return None
        return repo

    def _info(self, name: str, revision: str) -> None:
        if repo := self._repo(name, revision):
            siblings = [
                {"rfilename": file, "size": repo.announced.get(file, len(data)), "blobId": _git(data)}
                | (
                    {"lfs": {"sha256": _sha(data), "size": len(data), "pointerSize": 134}}
                    if _large(file)
                    else {}
                )
                for file, data in repo.files.items()
            ]
            about = {"id": name, "modelId": name, "sha": repo.commit, "siblings": siblings, "tags": []}
            body = json.dumps(about | {"gated": "manual" if repo.gated else False, "private": False}).encode()
            self._answer(200, body, {"Content-Type": "application/json"})

    def _file(self, name: str, revision: str, file: str) -> None:
        if (repo := self._repo(name, revision)) is None:
            return
        if repo.gated:
            self._refuse(403, "GatedRepo")
        elif file not in repo.files:
            self._refuse(404, "EntryNotFound")
        else:
            self._send(repo, file)

    def _send(self, repo: Repo, file: str) -> None:
        data = repo.files[file]
        etag = _sha(data) if _large(file) else _git(data)
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": repo.commit, "Accept-Ranges": "bytes"}
        if file in repo.corrupt:
            data = bytes([data[0] ^ 1]) + data[1:]
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if self.command == "GET" and wanted:
            start = int(wanted[1])
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            self._answer(206, data[start:], headers)
        elif self.command == "GET" and file in repo.cut:
            repo.cut.discard(file)
            self._answer(200, data, headers, send=len(data) // 2)
            self.close_connection = True
        else:
            self._answer(200, data, headers)

    def _refuse(self, status: int, code: str) -> None:
        self._answer(status, b"{}", {"X-Error-Code": code, "X-Error-Message": f"{code} said the fake hub"})

    def _answer(self, status: int, body: bytes, headers: dict[str, str], *, send: int | None = None) -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:send])


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _git(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _large(file: str) -> bool:
    return file.endswith((".safetensors", ".bin"))


@contextlib.contextmanager
def running_hub() -> Iterator[Hub]:
    """Serve until the block ends."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
