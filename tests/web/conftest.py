"""One small world for the pages, and a client that renders without asking the database."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from django.db import connection
from django.template import loader
from django.test import Client

from accounts.services import members, teams, tokens
from compute.models import Endpoint, Job
from market.models import Listing, Order
from market.services import orders
from notices.services import notify
from registry.models import Repo
from registry.policies import require_repo
from registry.services import storage
from registry.services.commits import AddFile, create_commit
from registry.services.versions import publish_version
from tests.factories import jobs as job_factory
from tests.factories.market import (
    SYSTEM,
    Party,
    agreed,
    give_credits,
    make_company,
    make_endpoint,
    make_listing,
    make_person,
    make_version,
    plan_of,
    scanned,
)

README = b"---\nlicense: cc-by-4.0\ntags: [wine]\n---\n# Wine\n\n<script>alert(1)</script> Thirteen **constituents**.\n"
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40
METRICS = {
    "accuracy": {"value": 0.97, "low": 0.95, "high": 0.99, "n": 540, "dataset": "shop/wine@1.0", "split": "test"}
}


@dataclass(frozen=True)
class World:
    """`shop` sells to `clinic`; `stranger` is nobody to either."""

    shop: Party
    clinic: Party
    stranger: Party
    dataset: Repo
    private: Repo
    listing: Listing
    order: Order
    endpoint: Endpoint
    job: Job


@pytest.fixture
def world(db) -> World:
    shop, clinic, stranger = make_company("shop"), make_company("clinic"), make_person("stranger")
    dataset = make_version(shop).repo
    files = {
        "README.md": README,
        "rows.csv": b"a,b\n1,2\n3,4\n",
        "code.py": b"print(1)\n",
        "pictures/one.png": PNG,
        "x.bin": b"\0\1",
    }
    added = [AddFile(path, storage.store_blob([data])) for path, data in files.items()]
    create_commit(shop.actor, dataset, "main", added, summary="Add more")
    scanned(publish_version(shop.actor, dataset, "main", name="1.1", notes="More.", metrics=METRICS))
    private = job_factory.make_dataset(shop.actor, "secret").repo
    endpoint = make_endpoint(shop)
    make_listing(
        shop,
        endpoint,
        {"kind": "pay_per_use", "price_minor": 2, "included_units": 5},
        title="Digits",
        task="image-classification",
    )
    listing = make_listing(
        shop, require_repo(shop.actor, "model", "shop", "digits", "registry:repo:admin"),
        {"kind": "one_time", "price_minor": 1200}, title="Wine model", summary="Reads wine.", description="# About", tags=["wine"],
    )  # fmt: skip
    give_credits(clinic, 5000)
    order = orders.place_order(clinic.actor, buyer_namespace="clinic", **agreed(plan_of(listing)), key="first")
    organization = shop.namespace.organization
    members.add_member(SYSTEM, organization, make_person("worker").user, "publisher")
    teams.add_to_team(shop.actor, teams.create_team(shop.actor, organization, "vision"), "worker")
    tokens.issue(shop.actor, name="laptop", scopes=["repo:read"])
    notify(shop.namespace.pk, "job", "A job is done.", url="/jobs", with_mail=False)
    job = job_factory.submit_training(shop.actor, private.versions.get())
    return World(shop, clinic, stranger, dataset, private, listing, order, endpoint, job)


@contextmanager
def queries_forbidden() -> Iterator[None]:
    def refuse(execute, sql, params, many, context):
        raise AssertionError(f"A template asked the database: {sql[:300]}")

    with connection.execute_wrapper(refuse):
        yield


@pytest.fixture
def strict_templates(monkeypatch) -> None:
    """Rendering may not query: the page object holds all that the template shows."""
    render = loader.render_to_string

    def guarded(*args, **kwargs):
        with queries_forbidden():
            return render(*args, **kwargs)

    monkeypatch.setattr(loader, "render_to_string", guarded)


@pytest.fixture
def browser(strict_templates) -> Client:
    """A signed-out browser. `browser.force_login(party.user)` signs in."""
    return Client()
