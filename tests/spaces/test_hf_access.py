"""Gated repositories through the client: who asks, who answers, and what the download says meanwhile."""

import secrets
from pathlib import Path

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import BadRequestError, GatedRepoError, HfHubHTTPError

from tests.spaces.hf_client import Hub

CARD = """---
extra_gated_heading: Please tell us who you are
extra_gated_prompt: For research only.
extra_gated_fields:
  Company: text
  Country: country
  Use:
    type: select
    options: [Research, {label: Teaching, value: teaching}]
  Since: {type: date_picker, optional: true}
  I agree to the licence: checkbox
---
"""
ANSWERS = {"Company": "Acme", "Country": "France", "Use": "teaching", "I agree to the licence": True}


@pytest.fixture
def gated(hub: Hub, repo: str) -> str:
    """A public repository whose content takes a person's yes."""
    hub.api.upload_file(path_or_fileobj=b"weights", path_in_repo="w.bin", repo_id=repo)
    hub.api.update_repo_settings(repo, gated="manual")
    return repo


def reads(hub: Hub, repo: str) -> bool:
    """Whether a download succeeds; if not, the client must say that it is gated."""
    try:
        path = hub.api.hf_hub_download(repo, "w.bin", cache_dir=hub.home / secrets.token_hex(4))
    except GatedRepoError as error:
        refusal = error.response
    else:
        return Path(path).read_bytes() == b"weights"
    assert (refusal.status_code, refusal.headers["x-error-code"]) == (403, "GatedRepo")
    return False


def ask(hub: Hub, repo: str, **answers: object) -> tuple[int, dict]:
    answer = hub.request("POST", f"/{repo}/ask-access", answers)
    return answer.status, answer.json()


def names(requests) -> list[str]:
    return [request.username for request in requests]


def test_a_request_goes_through_every_state(hub: Hub, stranger: Hub, gated: str) -> None:
    assert not reads(stranger, gated)
    status, said = ask(stranger, gated)
    assert (status, said["status"]) == (200, "pending")
    # asked twice it is one request
    assert ask(stranger, gated)[1]["requestId"] == said["requestId"]
    assert not reads(stranger, gated)
    pending = list(hub.api.list_pending_access_requests(gated))
    assert [(each.username, each.request_id, each.status, each.fields) for each in pending] == [
        (stranger.user, said["requestId"], "pending", None)
    ]
    assert (pending[0].email, pending[0].fullname) == ("hf-bob@example.org", "hf-bob")
    hub.api.accept_access_request(gated, stranger.user)
    assert reads(stranger, gated)
    stranger.api.auth_check(gated)
    assert names(hub.api.list_accepted_access_requests(gated)) == [stranger.user]
    assert names(hub.api.list_pending_access_requests(gated)) == []
    hub.api.cancel_access_request(gated, stranger.user)
    assert not reads(stranger, gated)
    assert names(hub.api.list_pending_access_requests(gated)) == [stranger.user]
    hub.api.reject_access_request(gated, request_id=said["requestId"], rejection_reason="Not yet.")
    assert not reads(stranger, gated)
    assert names(hub.api.list_rejected_access_requests(gated)) == [stranger.user]
    status, said = ask(stranger, gated)
    assert (status, said["error"]) == (403, "The owner has rejected this request. Not yet.")
    hub.api.accept_access_request(gated, stranger.user)
    assert reads(stranger, gated)
    hub.api.update_repo_settings(gated, gated=False)
    assert reads(stranger, gated)


def test_an_automatic_gate_opens_at_once(hub: Hub, stranger: Hub, gated: str) -> None:
    hub.api.update_repo_settings(gated, gated="auto")
    assert not reads(stranger, gated)
    assert ask(stranger, gated)[1]["status"] == "accepted"
    assert reads(stranger, gated)
    assert names(hub.api.list_accepted_access_requests(gated)) == [stranger.user]
    assert names(hub.api.list_pending_access_requests(gated)) == []
    hub.api.reject_access_request(gated, stranger.user, rejection_reason=None)
    assert not reads(stranger, gated)


def test_access_is_granted_without_being_asked_for(hub: Hub, stranger: Hub, gated: str) -> None:
    hub.api.grant_access(gated, stranger.user)
    assert reads(stranger, gated)
    granted = list(hub.api.list_accepted_access_requests(gated))
    assert [(each.username, each.email) for each in granted] == [(stranger.user, None)]
    with pytest.raises(BadRequestError, match="has access already"):
        hub.api.grant_access(gated, stranger.user)
    hub.api.cancel_access_request(gated, stranger.user)
    assert not reads(stranger, gated)


def test_custom_fields_are_asked_for_checked_and_shown(hub: Hub, stranger: Hub, gated: str) -> None:
    hub.api.upload_file(path_or_fileobj=CARD.encode(), path_in_repo="README.md", repo_id=gated)
    status, said = ask(stranger, gated, Company="Acme", Use="war", Since="yesterday")
    assert status == 400
    for part in (
        "Country (missing)", "Use (choose one of the list)", "Since (a date such as 2026-01-31)",
        "I agree to the licence (this must be agreed to)",
    ):  # fmt: skip
        assert part in said["error"]
    assert list(hub.api.list_pending_access_requests(gated)) == []
    assert ask(stranger, gated, **ANSWERS, unknown="x")[0] == 200
    assert [each.fields for each in hub.api.list_pending_access_requests(gated)] == [ANSWERS]
    # a browser's form says the same
    form = "Company=Acme&Country=Spain&Use=Research&Since=2026-01-31&I+agree+to+the+licence=on"
    answer = stranger.request(
        "POST", f"/{gated}/ask-access", form.encode(), Content_Type="application/x-www-form-urlencoded"
    )
    assert answer.status == 200
    fields = next(iter(hub.api.list_pending_access_requests(gated))).fields
    assert (fields["Country"], fields["Since"], fields["I agree to the licence"]) == ("Spain", "2026-01-31", True)


def test_only_the_owner_sees_and_answers_requests(hub: Hub, stranger: Hub, gated: str) -> None:
    ask(stranger, gated)
    for act in (
        lambda: list(stranger.api.list_pending_access_requests(gated)),
        lambda: stranger.api.accept_access_request(gated, stranger.user),
        lambda: stranger.api.grant_access(gated, stranger.user),
    ):
        with pytest.raises(HfHubHTTPError) as error:
            act()
        assert error.value.response.status_code == 403
    assert not reads(stranger, gated)
    nobody = HfApi(endpoint=hub.site.url, token=False)
    with pytest.raises(HfHubHTTPError):
        list(nobody.list_pending_access_requests(gated))
    assert hub.request("POST", f"/{gated}/ask-access", {}, token="").status == 401


@pytest.mark.parametrize(
    ("act", "status"),
    [
        (lambda api, repo: api.accept_access_request(repo, "nobody-of-this-name"), 404),
        (lambda api, repo: api.accept_access_request(repo, request_id="0" * 32), 404),
        (lambda api, repo: api.accept_access_request(repo, request_id="nonsense"), 404),
        (lambda api, repo: api.grant_access(repo, "nobody-of-this-name"), 404),
        (lambda api, repo: api.grant_access(repo, "hf-alice"), 400),
        (lambda api, repo: api.cancel_access_request(repo, "hf-bob"), 404),
        (lambda api, repo: api.reject_access_request(repo, "hf-bob", rejection_reason="x" * 201), 400),
    ],
)
def test_an_answer_that_makes_no_sense_is_refused(hub: Hub, stranger: Hub, gated: str, act, status: int) -> None:
    ask(stranger, gated)
    with pytest.raises(HfHubHTTPError) as error:
        act(hub.api, gated)
    assert error.value.response.status_code == status
    assert [each.status for each in hub.api.list_pending_access_requests(gated)] == ["pending"]
    assert not reads(stranger, gated)


def test_an_open_repository_has_no_requests(hub: Hub, stranger: Hub, repo: str) -> None:
    with pytest.raises(BadRequestError, match="not gated"):
        list(hub.api.list_pending_access_requests(repo))
    with pytest.raises(BadRequestError, match="not gated"):
        hub.api.grant_access(repo, stranger.user)
    assert ask(stranger, repo)[0] == 400


def test_content_stays_closed_everywhere_until_accepted(hub: Hub, stranger: Hub, gated: str) -> None:
    """Information and trees are open, so that people see what they ask for; bytes are not."""
    assert stranger.api.model_info(gated).gated == "manual"
    assert "w.bin" in stranger.api.list_repo_files(gated)
    ask(stranger, gated)
    before = hub.api.list_repo_commits(gated)
    for method, path in (
        ("HEAD", f"/{gated}/resolve/main/w.bin"),
        ("GET", f"/{gated}/resolve/main/w.bin"),
        ("GET", f"/api/models/{gated}/auth-check"),
        ("GET", f"/api/models/{gated}/discussions"),
        ("POST", f"/api/models/{gated}/discussions"),
        ("GET", f"/api/models/{gated}/xet-write-token/None?create_pr=1"),
        ("POST", f"/{gated}.git/info/lfs/objects/batch"),
        ("POST", f"/api/models/{gated}/duplicate"),
        ("POST", f"/api/models/{gated}/preupload/main?create_pr=1"),
        ("POST", f"/api/models/{gated}/commit/main?create_pr=1"),
    ):
        body = {"operation": "upload"} if method == "POST" else None
        answer = stranger.request(method, path, body)
        assert (answer.status, answer.headers.get("x-error-code")) == (403, "GatedRepo"), path
        answer = stranger.request(method, path, body, token="")
        assert answer.status == 401, path
    assert hub.api.list_repo_commits(gated) == before
