"""The first-party API as a script uses it: against the views, or against a running site."""

import json
from dataclasses import dataclass
from typing import Any

import urllib3

from tests.support.site import LiveSite


class Caller:
    """A script with a token, answered by the views in this process."""

    def __init__(self, client: Any, token: str = "") -> None:
        self.client, self.headers = client, {"Authorization": f"Bearer {token}"} if token else {}

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        data = body if isinstance(body, bytes | str) else json.dumps(body) if body is not None else ""
        content_type = headers.pop("content_type", "application/json")
        return self.client.generic(
            method, f"/api/v1/{path}", data, content_type=content_type, headers=self.headers | headers
        )


class Refused(AssertionError):
    """The site did not do what a story needs."""


@dataclass
class Person:
    """Somebody with an account and a token on a running site."""

    site: LiveSite
    name: str

    @property
    def token(self) -> str:
        return self.site.token(self.name)

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def ask(self, method: str, path: str, body: Any = None, *, key: str = "") -> tuple[int, Any]:
        """One request to the API; status and body."""
        sent = self.bearer | {"Content-Type": "application/json"} | ({"Idempotency-Key": key} if key else {})
        data = None if body is None else json.dumps(body).encode()
        with urllib3.PoolManager(timeout=60, retries=False) as pool:
            answer = pool.request(method, f"{self.site.url}/api/v1/{path}", body=data, headers=sent)
        return answer.status, json.loads(answer.data) if answer.data else None

    def get(self, path: str) -> Any:
        return self._done(200, *self.ask("GET", path))

    def post(self, path: str, body: Any = None, *, key: str = "") -> Any:
        return self._done(201, *self.ask("POST", path, {} if body is None else body, key=key))

    def _done(self, expected: int, status: int, body: Any) -> Any:
        if status != expected:
            raise Refused(f"{self.name} got {status}: {body}")
        return body
