"""Places that files come from, as servers on an address of their own: plain files, a tracking server of MLflow, a hub.

The tracking server answers as MLflow's REST API does (mlflow.org/docs/latest/api_reference/rest-api.html: runs/get, artifacts/list, the
artifact proxy): 64-bit numbers, errors as `{error_code, message}`, listings by whole path, `{}` for a file or an empty folder in the proxy.
The hub answers as the Hugging Face protocol says: revision, tree in pages with Link, resolve with a redirect for large files."""

import base64
import hashlib
import http.server
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qs, quote, unquote, urlsplit

HOST = "127.0.0.2"
RUN = "0123456789abcdef0123456789abcdef"
COMMIT = "c" * 40


@dataclass
class Said:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, value: Any, status: int = 200, **headers: str) -> "Said":
        return cls(status, json.dumps(value).encode(), {"Content-Type": "application/json", **headers})


@dataclass
class Asked:
    path: str
    query: dict[str, str]
    headers: dict[str, str]


class Elsewhere:
    """Listens on `host` and says what `answer` says. `asked`: every request."""

    def __init__(self, answer: Callable[[Asked], Said], host: str = HOST) -> None:
        self.asked: list[Asked] = []
        self.answer = answer
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
                asked = Asked(unquote(parts.path), query, {name.lower(): value for name, value in self.headers.items()})
                outer.asked.append(asked)
                said = outer.answer(asked)
                self.send_response(said.status)
                for name, value in {"Content-Length": str(len(said.body)), **said.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(said.body)

            def log_message(self, format: str, *arguments: object) -> None:
                return

        self._server = http.server.ThreadingHTTPServer((host, 0), Handler)
        self.url = f"http://{host}:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def plain(files: dict[str, bytes], *, secret: str = "") -> Callable[[Asked], Said]:
    """Files by path. With a secret, only for who sends it as a bearer token or in the query as `key`."""

    def answer(asked: Asked) -> Said:
        if secret and asked.headers.get("authorization") != f"Bearer {secret}" and asked.query.get("key") != secret:
            return Said(403)
        found = files.get(asked.path.lstrip("/"))
        return Said(404) if found is None else Said(200, found)

    return answer


def mlflow(
    files: dict[str, bytes], *, password: str = "", root: str = "mlflow-artifacts:/7/run/artifacts", page: int = 2
) -> Any:
    """A tracking server with one run and its artifacts, behind basic authentication of `ada` when there is a password."""
    info = {
        "run_id": RUN, "run_uuid": RUN, "run_name": "able-ant-1", "experiment_id": "7", "user_id": "ada", "status": "FINISHED",
        "start_time": 1700000000000, "end_time": 1700000060000, "artifact_uri": root, "lifecycle_stage": "active",
    }  # fmt: skip
    data = {
        "params": [{"key": "depth", "value": "6"}],
        "metrics": [{"key": "auc", "value": 0.93, "timestamp": 1700000050000, "step": 3}],
        "tags": [{"key": "mlflow.source.name", "value": "train.py"}],
    }
    below = root.removeprefix("mlflow-artifacts:/")

    def answer(asked: Asked) -> Said:
        expected = f"Basic {base64.b64encode(f'ada:{password}'.encode()).decode()}"
        if password and asked.headers.get("authorization") != expected:
            return _error(401, "UNAUTHENTICATED", "You are not authenticated.")
        if asked.path == "/api/2.0/mlflow/runs/get":
            if asked.query.get("run_id") != RUN:
                return _error(404, "RESOURCE_DOES_NOT_EXIST", f"Run with id={asked.query.get('run_id')} not found")
            return Said.json({"run": {"info": info, "data": data, "inputs": {}}})
        if asked.path == "/api/2.0/mlflow/artifacts/list":
            return Said.json(_artifacts(files, asked.query, root, page))
        proxied = asked.path.removeprefix(f"/api/2.0/mlflow-artifacts/artifacts/{below}/")
        if proxied != asked.path and proxied in files:
            return Said(200, files[proxied], {"Content-Disposition": "attachment"})
        if asked.path == "/get-artifact" and asked.query.get("run_uuid") == RUN and asked.query.get("path") in files:
            return Said(200, files[asked.query["path"]])
        return _error(404, "RESOURCE_DOES_NOT_EXIST", "No such artifact")

    return answer


def _error(status: int, code: str, message: str) -> Said:
    return Said.json({"error_code": code, "message": message}, status)


def _artifacts(files: dict[str, bytes], query: dict[str, str], root: str, page: int) -> dict[str, Any]:
    folder = f"{query['path']}/" if query.get("path") else ""
    rows: dict[str, dict[str, Any]] = {}
    for path, content in sorted(files.items()):
        if path.startswith(folder):
            name, slash, _ = path[len(folder) :].partition("/")
            rows[name] = {"path": folder + name, "is_dir": True} if slash else {
                "path": folder + name, "is_dir": False, "file_size": len(content)
            }  # fmt: skip
    start = int(query.get("page_token", "0"))
    found: dict[str, Any] = {"root_uri": root}
    if rows:
        found["files"] = list(rows.values())[start : start + page]
    if start + page < len(rows):
        found["next_page_token"] = str(start + page)
    return found


def hub(files: dict[str, bytes], *, token: str = "", page: int = 2, store: str = "", repo: str = "ann/set") -> Any:
    """A hub with one dataset; files of above a kilobyte are large, and fetched from `store` when there is one."""

    def answer(asked: Asked) -> Said:
        if token and asked.headers.get("authorization") != f"Bearer {token}":
            return Said.json({"error": "Repository not found"}, 401)
        if asked.path == f"/api/datasets/{repo}/revision/main":
            return Said.json({"id": repo, "sha": COMMIT})
        tree = f"/api/datasets/{repo}/tree/{COMMIT}"
        if asked.path == tree or asked.path.startswith(f"{tree}/"):
            return _tree(asked, asked.path[len(tree) :].strip("/"))
        path = asked.path.removeprefix(f"/datasets/{repo}/resolve/{COMMIT}/")
        if path in files and path != asked.path:
            if store and len(files[path]) > 1024:
                return Said(302, b"", {"Location": f"{store}/{quote(path)}"})
            return Said(200, files[path])
        return Said.json({"error": "Entry not found"}, 404)

    def _tree(asked: Asked, folder: str) -> Said:
        rows = [
            _row(path, content)
            for path, content in sorted(files.items())
            if path.startswith(f"{folder}/" if folder else "")
        ]
        rows += [{"type": "directory", "path": "folder", "oid": "d" * 40, "size": 0}]
        start = int(asked.query.get("cursor", "0"))
        more = {}
        if start + page < len(rows):
            host = asked.headers["host"]
            more["Link"] = (
                f'<http://{host}{quote(asked.path)}?recursive=true&expand=false&cursor={start + page}>; rel="next"'
            )
        return Said.json(rows[start : start + page], **more)

    return answer


def _row(path: str, content: bytes) -> dict[str, Any]:
    row = {"type": "file", "path": path, "size": len(content)}
    if len(content) > 1024:
        sha256 = hashlib.sha256(content).hexdigest()
        return {**row, "oid": "e" * 40, "lfs": {"oid": sha256, "size": len(content), "pointerSize": 134}}
    return {**row, "oid": hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()}
