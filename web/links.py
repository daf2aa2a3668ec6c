"""Addresses of the site's pages, built in one place: what other pages, notices and mails link to."""

from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode
from uuid import UUID

if TYPE_CHECKING:
    from registry.models import Repo

PREFIX_OF_KIND = {"model": "", "dataset": "/datasets", "algorithm": "/algorithms"}


def namespace_url(name: str) -> str:
    return f"/{quote(name)}"


def repo_url(repo: "Repo", *parts: str) -> str:
    """`/datasets/<namespace>/<name>/<parts…>`; a slash inside a part stays a slash."""
    return repo_address(repo.kind, repo.namespace.name, repo.name, *parts)


def repo_address(kind: str, namespace: str, name: str, *parts: str) -> str:
    return "/".join(
        [f"{PREFIX_OF_KIND[kind]}/{quote(namespace)}/{quote(name)}", *(quote(part) for part in parts if part)]
    )


def version_url(repo: "Repo", version_name: str) -> str:
    return repo_url(repo, "versions", version_name)


def job_url(uuid: UUID | str) -> str:
    return f"/jobs/{uuid}"


def endpoint_url(namespace: str, name: str) -> str:
    return f"/endpoints/{quote(namespace)}/{quote(name)}"


def listing_url(namespace: str, slug: str) -> str:
    return f"/listings/{quote(namespace)}/{quote(slug)}"


def order_url(uuid: UUID | str) -> str:
    return f"/orders/{uuid}"


def invoice_url(uuid: UUID | str) -> str:
    return f"/invoices/{uuid}"


def subscription_url(uuid: UUID | str) -> str:
    return f"/subscriptions/{uuid}"


def payout_url(uuid: UUID | str) -> str:
    return f"/payouts/{uuid}"


def with_query(path: str, **values: object) -> str:
    """`path?name=value…` without the empty ones."""
    query = urlencode({name: value for name, value in values.items() if value not in (None, "", [])}, doseq=True)
    return f"{path}?{query}" if query else path


def compare_url(refs: "list[str]", *, page: str = "", base: str = "", **values: str) -> str:
    """`/compare/<page>?v=acme/digits@1.0&v=…`; the base is left out when it is the first."""
    query = [*(("v", ref) for ref in refs), ("base", base if refs and base != refs[0] else ""), *values.items()]
    text = urlencode([(name, value) for name, value in query if value], safe="/@")
    path = f"/compare/{page}" if page else "/compare"
    return f"{path}?{text}" if text else path
