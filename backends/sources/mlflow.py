"""The artifacts of a run, from an MLflow tracking server, over its REST API (mlflow.org/docs/latest/api_reference/rest-api.html)."""

import base64
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any, ClassVar
from urllib.parse import quote, urlencode, urlsplit

from backends.contracts.sources import Door, Field, Source, SourceFile
from backends.errors import Rejected
from backends.sources import web

_RUN = re.compile(r"[A-Za-z0-9_-]{1,64}")
_DEEPEST = 40
_FACTS = 1000
_FACT_LENGTH = 500


class MlflowSource(Source):
    name = "mlflow"
    title = "An MLflow run"
    fields: ClassVar[tuple[Field, ...]] = (
        Field("server", "Tracking server", "Its address, such as https://mlflow.example.org.", is_required=True),
        Field("run_id", "Run", "The id of the run, 32 hex digits.", is_required=True),
        Field("path", "Artifact path", "A folder or a file of the run's artifacts; left empty, all of them."),
        Field("username", "User name"),
        Field("password", "Password", is_secret=True),
        Field("token", "Token", "Sent as a bearer token, in place of user name and password.", is_secret=True),
    )

    def __init__(self, given: Mapping[str, str], door: Door) -> None:
        super().__init__(given, door)
        self._server = web.base_of(given["server"], "The tracking server", "server")
        self._run_id, self._path = given["run_id"], given.get("path", "").strip("/")
        if not _RUN.fullmatch(self._run_id):
            raise Rejected("A run is named by its id: letters and digits.", "run_id")
        if ".." in self._path.split("/"):
            raise Rejected("An artifact path has no .. in it.", "path")
        self._headers: dict[str, str] = {}
        if given.get("token"):
            self._headers["Authorization"] = f"Bearer {given['token']}"
        elif given.get("username"):
            pair = f"{given['username']}:{given.get('password', '')}".encode()
            self._headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"

    @property
    def address(self) -> str:
        return f"mlflow run {self._run_id} at {self._server}{f', {self._path}' if self._path else ''}"[:1000]

    def facts(self) -> dict[str, Any]:
        """Name, times, parameters, the last value of each metric and tags of the run, a thousand of each at most."""
        info, data = self._run["info"], self._run.get("data") or {}
        known = ("run_id", "run_name", "experiment_id", "status", "start_time", "end_time", "user_id")
        return {
            "run": {name: _fact(info[name]) for name in known if info.get(name) not in (None, "")},
            **{kind: _pairs(data.get(kind)) for kind in ("params", "metrics", "tags")},
        }

    def files(self) -> Iterator[SourceFile]:
        yield from self._listed(self._path, 0)

    def open(self, file: SourceFile, limit_bytes: int) -> AbstractContextManager[Iterator[bytes]]:
        """Through the artifact proxy where the run's artifacts lie behind it; else through the address that the server's own pages
        download from, which reads every place the server can."""
        path, root = file.key["path"], urlsplit(self._root)
        if root.scheme == "mlflow-artifacts" and not root.netloc:
            below = web.escaped(f"{root.path.strip('/')}/{path}")
            url = f"{self._server}/api/2.0/mlflow-artifacts/artifacts/{below}"
        else:
            url = f"{self._server}/get-artifact?{urlencode({'path': path, 'run_uuid': self._run_id}, quote_via=quote)}"
        return web.bytes_of(self.door, url, self._headers, limit_bytes=limit_bytes, size=file.size_bytes)

    @cached_property
    def _run(self) -> dict[str, Any]:
        answer = self._asked("runs/get", run_id=self._run_id)
        run = answer.get("run")
        if not isinstance(run, dict) or not isinstance(run.get("info"), dict):
            raise Rejected("The tracking server does not answer as MLflow does: is the address right?")
        return run

    @property
    def _root(self) -> str:
        return str(self._run["info"].get("artifact_uri", ""))

    def _listed(self, path: str, depth: int) -> Iterator[SourceFile]:
        if depth > _DEEPEST:
            raise Rejected("The artifacts lie in folders too deep to be read.")
        token, seen, found = "", set(), 0
        while True:
            answer = self._asked("artifacts/list", run_id=self._run_id, path=path, page_token=token)
            for each in answer.get("files") or []:
                below, is_dir = str(each.get("path", "")), bool(each.get("is_dir"))
                found += 1
                if path and not below.startswith(f"{path}/"):
                    raise Rejected("The tracking server lists what was not asked for.")
                if is_dir:
                    yield from self._listed(below, depth + 1)
                else:
                    yield self._file(below, each.get("file_size"))
            token = str(answer.get("next_page_token") or "")
            if not token:
                break
            if token in seen:
                raise Rejected("The tracking server's list does not come to an end.")
            seen.add(token)
        if not found and depth == 0 and path:
            # a file lists nothing: it is found in the folder above, which also tells its size
            yield from self._single(path)

    def _single(self, path: str) -> Iterator[SourceFile]:
        folder, _, _ = path.rpartition("/")
        answer = self._asked("artifacts/list", run_id=self._run_id, path=folder)
        for each in answer.get("files") or []:
            if each.get("path") == path and not each.get("is_dir"):
                yield self._file(path, each.get("file_size"))

    def _file(self, path: str, size: Any) -> SourceFile:
        # JSON of 64-bit numbers may be text
        known = int(size) if isinstance(size, int | str) and str(size).isdigit() else None
        below = path[len(self._path) :].strip("/") or path.rpartition("/")[2]
        return SourceFile(below, known, key={"path": path})

    def _asked(self, what: str, **values: str) -> dict[str, Any]:
        query = urlencode({name: value for name, value in values.items() if value}, quote_via=quote)
        answer, _ = web.read_json(self.door, f"{self._server}/api/2.0/mlflow/{what}?{query}", self._headers)
        if not isinstance(answer, dict) or not isinstance(answer.get("files") or [], list):
            raise Rejected("The tracking server does not answer as MLflow does: is the address right?")
        if any(not isinstance(each, dict) for each in answer.get("files") or []):
            raise Rejected("The tracking server does not answer as MLflow does: is the address right?")
        return answer


def _pairs(rows: Any) -> dict[str, Any]:
    if not isinstance(rows, list):
        return {}
    return {
        str(each["key"])[:250]: _fact(each.get("value"))
        for each in rows[:_FACTS]
        if isinstance(each, dict) and "key" in each
    }


def _fact(value: Any) -> Any:
    if isinstance(value, bool | int) or value is None:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return str(value).replace("\x00", "").encode(errors="replace").decode()[:_FACT_LENGTH]
