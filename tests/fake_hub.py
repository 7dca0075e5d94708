"""A Hub on this machine: what the real huggingface_hub client needs of one, and the ways in which a real one fails.

with FakeHub() as hub:
    hub.add("owner/name", {"config.json": b"{}"})            # revision "main"; add again for a new commit
    hub.connect(monkeypatch, cache)                          # or hub.environment(cache) for another process
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote

TOKEN = "hf_a_token_that_is_good"

_FILE = re.compile(r"/(?P<repo>[^/]+(?:/[^/]+)?)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")
_PREUPLOAD = re.compile(r"/api/models/(?P<repo>[^/]+/[^/]+)/preupload/(?P<revision>[^/?]+)")
_COMMIT = re.compile(r"/api/models/(?P<repo>[^/]+/[^/]+)/commit/(?P<revision>[^/?]+)")
_INFO = re.compile(r"/api/models/(?P<repo>[^/]+(?:/[^/]+)?)/revision/(?P<revision>[^/?]+)")


@dataclass
class Repository:
    """Files by commit, and what the branches and tags mean."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    revisions: dict[str, str] = field(default_factory=dict)
    gated: bool = False


class FakeHub:
    """A server in threads of its own.

    Attributes:
        requests: (method, repository, revision, file) of all requests for files, in order.
        moved: old name → new name, answered with a redirect.
        status: if set, answered to everything.
        silent: if set, requests are taken and never answered.
        cut: how many of the next downloads end after half of the body.
        seconds_per_block: makes downloads slow: a pause after each 64 KiB.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.requests: list[tuple[str, str, str, str]] = []
        self.tokens: list[str | None] = []
        self.ranges: list[str | None] = []
        self.moved: dict[str, str] = {}
        self.status: int | None = None
        self.silent = False
        self.cut = 0
        self.seconds_per_block = 0.0
        self._over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        """The address to put into HF_ENDPOINT."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Go away: connections are refused from now on."""
        if not self._over.is_set():
            self._over.set()
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()

    def add(self, name: str, files: dict[str, bytes], *, revision: str = "main", gated: bool = False) -> str:
        """A commit of a repository; the revision then means it. Gives the commit's hash."""
        repository = self.repositories.setdefault(name, Repository())
        text = repr((sorted(files.items()), len(repository.commits))).encode()
        commit = hashlib.sha1(text).hexdigest()
        repository.commits[commit] = files
        repository.revisions[revision] = commit
        repository.gated = gated
        return commit

    def connect(self, monkeypatch: Any, cache: Path) -> None:
        """Point this process's huggingface_hub here, with a cache of its own."""
        from huggingface_hub import constants

        for module_constant, value in {
            "ENDPOINT": self.url,
            "HUGGINGFACE_CO_URL_TEMPLATE": self.url + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HUB_CACHE": str(cache),
            "HF_HUB_OFFLINE": False,
            "HF_TOKEN_PATH": str(cache / "no token"),
            "HF_HUB_DISABLE_XET": True,
            "HF_HUB_DISABLE_PROGRESS_BARS": True,
        }.items():
            monkeypatch.setattr(constants, module_constant, value)
        for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
            monkeypatch.delenv(variable, raising=False)

    def environment(self, home: Path) -> dict[str, str]:
        """The variables that point another process's huggingface_hub here."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }

    def asked(self, method: str) -> list[str]:
        """The files that were asked for by HEAD or GET, in order."""
        return [name for kind, _, _, name in self.requests if kind == method]


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.0"  # one request a connection, so that stop() leaves none open

    def log_message(self, *_: Any) -> None:
        """Be quiet."""

    def do_HEAD(self) -> None:
        self._answer(self._send_head)

    def do_GET(self) -> None:
        self._answer(self._send_body)

    def do_POST(self) -> None:
        """Repositories are made, and files committed, by who has the token."""
        path, body = unquote(self.path), self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if path == "/api/validate-yaml":
            self._reply(200, {}, b'{"errors": [], "warnings": []}')
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._refuse(401, message="Invalid username or password.")
        elif path == "/api/repos/create":
            told = json.loads(body)
            name = "/".join(part for part in (told.get("organization", "me"), told["name"]) if part)
            self.hub.repositories.setdefault(name, Repository())
            self._reply(200, {}, json.dumps({"url": f"{self.hub.url}/{name}", "id": name}).encode())
        elif _PREUPLOAD.match(path):
            files = [{"path": file["path"], "uploadMode": "regular"} for file in json.loads(body)["files"]]
            told = {"files": [{**file, "shouldIgnore": False} for file in files]}
            self._reply(200, {}, json.dumps(told).encode())
        elif match := _COMMIT.match(path):
            self._commit(match["repo"], match["revision"], [json.loads(line) for line in body.splitlines()])
        else:
            self._refuse(404)

    def _commit(self, repo: str, revision: str, lines: list[dict[str, Any]]) -> None:
        files = {line["value"]["path"]: base64.b64decode(line["value"]["content"]) for line in lines[1:]}
        repository = self.hub.repositories[repo]
        before = repository.commits.get(repository.revisions.get(revision, ""), {})
        commit = self.hub.add(repo, before | files, revision=revision)
        told = {"commitUrl": f"{self.hub.url}/{repo}/commit/{commit}", "commitOid": commit, "hookOutput": ""}
        self._reply(200, {}, json.dumps(told).encode())

    def _answer(self, send: Callable[[str, bytes], None]) -> None:
        path = unquote(self.path)
        if self.hub.silent:
            self.hub._over.wait(60)
            self.close_connection = True
        elif self.hub.status is not None:
            self._refuse(self.hub.status)
        elif match := _INFO.match(path):
            self._send_info(**match.groupdict())
        elif match := _FILE.fullmatch(path):
            self._send_file(send, **match.groupdict())
        else:
            self._refuse(404)

    def _send_file(self, send: Callable[[str, bytes], None], repo: str, revision: str, file: str) -> None:
        hub, token = self.hub, self.headers.get("Authorization")
        hub.requests.append((self.command, repo, revision, file))
        hub.tokens.append(token)
        repository = hub.repositories.get(repo, Repository())
        commit = repository.revisions.get(revision, revision)
        files = repository.commits.get(commit, {})
        if token is not None and token != f"Bearer {TOKEN}":
            self._refuse(401, message="Invalid credentials in Authorization header")
        elif repo in hub.moved:
            self._reply(307, {"Location": self.path.replace(f"/{repo}/", f"/{hub.moved[repo]}/", 1)})
        elif repo not in hub.repositories:
            self._refuse(404 if token else 401, "RepoNotFound")
        elif repository.gated and token is None:
            self._refuse(401, "GatedRepo")
        elif commit not in repository.commits:
            self._refuse(404, "RevisionNotFound")
        elif file not in files:
            self._refuse(404, "EntryNotFound", commit=commit)
        else:
            send(commit, files[file])

    def _send_head(self, commit: str, content: bytes) -> None:
        self._reply(200, self._describe(commit, content) | {"Content-Length": str(len(content))})

    def _send_body(self, commit: str, content: bytes) -> None:
        asked = self.headers.get("Range")
        self.hub.ranges.append(asked)
        first = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        part = content[first:]
        headers = self._describe(commit, content) | {"Content-Length": str(len(part))}
        if asked:
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        self._head(206 if asked else 200, headers)
        if self.hub.cut:
            self.hub.cut -= 1
            part = part[: len(part) // 2]
            self.close_connection = True
        with contextlib.suppress(ConnectionError):  # the client was killed
            for start in range(0, len(part), 1 << 16):
                self.wfile.write(part[start : start + (1 << 16)])
                time.sleep(self.hub.seconds_per_block)

    def _send_info(self, repo: str, revision: str) -> None:
        repository = self.hub.repositories[repo]
        commit = repository.revisions.get(revision, revision)
        siblings = [{"rfilename": file, "size": len(body)} for file, body in repository.commits[commit].items()]
        self._reply(200, {}, json.dumps({"id": repo, "sha": commit, "siblings": siblings}).encode())

    def _describe(self, commit: str, content: bytes) -> dict[str, str]:
        return {"X-Repo-Commit": commit, "ETag": f'"{hashlib.sha256(content).hexdigest()}"', "Accept-Ranges": "bytes"}

    def _refuse(self, status: int, code: str = "", *, message: str = "", commit: str = "") -> None:
        headers = {"X-Error-Code": code, "X-Error-Message": message or code, "X-Repo-Commit": commit}
        self._reply(status, {name: value for name, value in headers.items() if value})

    def _reply(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self._head(status, {"Content-Length": str(len(body))} | headers)
        self.wfile.write(body)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
