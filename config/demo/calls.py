"""Calls to endpoints over HTTP, as any client makes them: JSON of the Open Inference Protocol with a bearer token."""

import http.client
import json
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from common.errors import Unavailable

TIMEOUT_S = 30


class Caller:
    """One kept-open connection to the inference process."""

    def __init__(self, base_url: str, token: str) -> None:
        parts = urlsplit(base_url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname or "127.0.0.1", parts.port, timeout=TIMEOUT_S)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def is_up(self) -> bool:
        """Whether the inference process answers at all."""
        try:
            return self._send("GET", "/v2/health/live", b"")[0] == http.HTTPStatus.OK
        except OSError:
            self._connection.close()
            return False

    def classes_of(self, path: str, signature: dict[str, Any], rows: Iterable[dict[str, list[Any]]]) -> list[str]:
        """Ask about each row, one call a row, and return the class it was given. A row is input name -> flat values.
        Raises Unavailable with what the server said when a call is refused."""
        scores = next(output for output in signature["outputs"] if output.get("role") == "probabilities")
        found = []
        for row in rows:
            inputs = [
                {
                    "name": entry["name"],
                    "datatype": entry["datatype"],
                    "shape": [1, *entry["shape"][1:]],
                    "data": row[entry["name"]],
                }
                for entry in signature["inputs"]
            ]
            body = json.dumps({"inputs": inputs, "outputs": [{"name": scores["name"]}]}).encode()
            status, answer = self._send("POST", path, body)
            if status != http.HTTPStatus.OK:
                raise Unavailable(f"The endpoint answered {status}: {answer.decode(errors='replace')[:300]}")
            data = json.loads(answer)["outputs"][0]["data"]
            found.append(scores["classes"][max(range(len(data)), key=data.__getitem__)])
        return found

    def _send(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        self._connection.request(method, path, body, self._headers)
        response = self._connection.getresponse()
        return response.status, response.read()
