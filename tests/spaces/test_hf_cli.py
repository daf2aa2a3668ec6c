"""The `hf` command, as people type it."""

import json
import re
import secrets
import subprocess

import httpx2

from tests.spaces.hf_client import BIN, Hub


def test_a_repository_is_kept_from_the_terminal(hub: Hub) -> None:
    name = f"{hub.user}/cli-{secrets.token_hex(4)}"
    (hub.home / "a.txt").write_text("one\n")
    hub.run_cli("repos", "create", name, "--type", "dataset")
    hub.run_cli("upload", name, "a.txt", "a.txt", "--type", "dataset")
    hub.run_cli("repos", "branch", "create", name, "dev", "--type", "dataset")
    hub.run_cli("repos", "tag", "create", name, "v1", "--type", "dataset")
    assert "v1" in hub.run_cli("repos", "tag", "list", name, "--type", "dataset")
    hub.run_cli("repos", "settings", name, "--gated", "manual", "--type", "dataset")
    assert json.loads(hub.run_cli("datasets", "info", name, "--json"))["gated"] == "manual"
    hub.run_cli("repos", "move", name, f"{name}-b", "--type", "dataset")
    # the old name is still good
    hub.run_cli("download", name, "a.txt", "--type", "dataset", "--local-dir", hub.home / "down")
    assert (hub.home / "down/a.txt").read_text() == "one\n"
    hub.run_cli("repos", "duplicate", f"{name}-b", f"{name}-c", "--type", "dataset", "--private")
    listed = json.loads(hub.run_cli("repos", "ls", "--search", name.split("/")[1], "--json"))
    assert {(row["id"], row["visibility"]) for row in listed} == {(f"{name}-b", "public"), (f"{name}-c", "private")}
    hub.run_cli("repos", "delete-files", f"{name}-c", "a.txt", "--type", "dataset")
    assert hub.api.list_repo_files(f"{name}-c", repo_type="dataset") == [".gitattributes"]
    for suffix in ("-b", "-c"):
        hub.run_cli("repos", "delete", name + suffix, "--type", "dataset", "--yes")
    assert not hub.api.repo_exists(name, repo_type="dataset")


def test_collections_and_webhooks_from_the_terminal(hub: Hub, repo: str) -> None:
    made = json.loads(hub.run_cli("collections", "create", f"Shelf {secrets.token_hex(3)}", "--private", "--json"))
    hub.run_cli("collections", "add-item", made["slug"], repo, "model", "--note", "good")
    shown = json.loads(hub.run_cli("collections", "info", made["slug"], "--json"))
    assert [item["item_id"] for item in shown["items"]] == [repo]
    hub.run_cli("collections", "delete", made["slug"])
    hub.run_cli("webhooks", "create", "--watch", f"model:{repo}", "--url", "https://example.org/cli")
    (webhook,) = hub.api.list_webhooks()
    assert "https://example.org/cli" in hub.run_cli("webhooks", "ls", "--json")
    hub.run_cli("webhooks", "delete", webhook.id, "--yes")
    assert hub.api.list_webhooks() == []


def test_somebody_logs_in_with_a_token_and_out_again(hub: Hub) -> None:
    unset = {"HF_TOKEN": ""}
    hub.run_cli("auth", "login", "--token", hub.token, **unset)
    assert hub.user in hub.run_cli("auth", "whoami", **unset)
    hub.run_cli("auth", "logout", **unset)
    assert not (hub.home / "token").exists()


def test_somebody_logs_in_through_the_browser(hub: Hub) -> None:
    """The command waits with a code; its person signs in on the site, sees who asks, and agrees."""
    environment = hub.environment(HF_TOKEN="")
    command = [str(BIN / "hf"), "auth", "login"]
    waiting = subprocess.Popen(
        command, env=environment, cwd=hub.home, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )  # fmt: skip
    said = ""
    while not (match := re.search(r"[B-Z]{4}-[B-Z]{4}", said)):
        line = waiting.stdout.readline()
        assert line, said
        said += line
    with httpx2.Client(base_url=hub.site.url, follow_redirects=True) as client:
        page = Browser(client)
        page.post("/accounts/login/", {"login": hub.user, "password": f"{hub.user}-password-1"})
        assert match[0] in page.get(f"/account/devices?code={match[0]}")
        page.post("/account/devices", {"code": match[0].lower(), "answer": "yes"})
    out, _ = waiting.communicate(timeout=60)
    assert waiting.returncode == 0, said + out
    assert hub.user in hub.run_cli("auth", "whoami", HF_TOKEN="")
    name = f"{hub.user}/by-browser-{secrets.token_hex(3)}"
    hub.run_cli("repos", "create", name, HF_TOKEN="")
    hub.run_cli("repos", "delete", name, "--yes", HF_TOKEN="")


class Browser:
    """A person's session on the pages, with cookies and forms."""

    def __init__(self, client: httpx2.Client) -> None:
        self._client = client

    def get(self, path: str) -> str:
        answer = self._client.get(path)
        assert answer.status_code == 200, (path, answer.status_code)
        return answer.text

    def post(self, path: str, form: dict[str, str]) -> str:
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.get(path))
        assert token is not None
        headers = {"Referer": str(self._client.base_url) + path, "Origin": str(self._client.base_url)}
        answer = self._client.post(path, data=form | {"csrfmiddlewaretoken": token[1]}, headers=headers)
        assert answer.status_code == 200, (path, answer.status_code)
        return answer.text
