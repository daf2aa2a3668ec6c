"""The unmodified Hugging Face client, pointed at the running site; and plain HTTP for what that client would never send."""

import http.client
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from huggingface_hub import HfApi

from tests.support.site import LiveSite

BIN = Path(sys.executable).parent


@dataclass
class Answer:
    """What the site said."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Hub:
    """One user of the site: `api` the client with their token, `home` their own empty HF_HOME."""

    site: LiveSite
    user: str
    token: str
    home: Path

    @property
    def api(self) -> HfApi:
        return HfApi(endpoint=self.site.url, token=self.token)

    def request(
        self, method: str, path: str, body: bytes | dict | None = None, *, token: str | None = None, **headers: str
    ) -> Answer:
        """One request, the path sent exactly as given. `token`: of this user unless given; "" sends none."""
        token = self.token if token is None else token
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        if isinstance(body, dict):
            body = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        host = urlsplit(self.site.url)
        connection = http.client.HTTPConnection(host.hostname, host.port, timeout=60)
        try:
            connection.putrequest(method, path, skip_accept_encoding=True)
            if body is not None and "Content-Length" not in sent:
                sent["Content-Length"] = str(len(body))
            for name, value in sent.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            response = connection.getresponse()
            return Answer(
                response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
            )
        finally:
            connection.close()

    def commit(
        self, repo: str, lines: list[dict], *, revision: str = "main", kind: str = "models", **header: Any
    ) -> Answer:
        """A commit of raw lines behind a header."""
        first = {"key": "header", "value": {"summary": "test", "description": "", **header}}
        body = "\n".join(json.dumps(line) for line in [first, *lines]).encode()
        address = f"/api/{kind}/{repo}/commit/{quote(revision, safe='')}"
        return self.request("POST", address, body, Content_Type="application/x-ndjson")

    def environment(self, **extra: str) -> dict[str, str]:
        """For the client in a process of its own."""
        kept = {name: value for name, value in self.site.environment.items() if not name.startswith(("HF_", "HUGGING"))}
        return kept | {
            "HF_ENDPOINT": self.site.url,
            "HF_TOKEN": self.token,
            "HF_HOME": str(self.home),
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_UPDATE_CHECK": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            **extra,
        }

    def run_python(self, code: str, *arguments: object, **extra: str) -> str:
        """Run `code` with the client's own configuration from the environment; what it printed."""
        return self._run([sys.executable, "-c", code, *map(str, arguments)], extra)

    def run_cli(self, *arguments: object, **extra: str) -> str:
        """Run the `hf` command; what it printed."""
        return self._run([str(BIN / "hf"), *map(str, arguments)], extra)

    def _run(self, command: list[str], extra: dict[str, str]) -> str:
        done = subprocess.run(
            command,
            env=self.environment(**extra),
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{command[0]} {command[1]}…: {done.stdout}\n{done.stderr}"
        return done.stdout
