"""What every test stands on: a data folder of its own, a database that is put back, and one running site for the tests
that speak to real processes."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import TransactionTestCase

from tests.support.databases import (
    drop_template,
    fetch_migrated,
    keep_migrated,
    restore_after_transactional_test,
    snapshot_databases,
)
from tests.support.site import LiveSite, started_site

DATABASE_FIXTURES = {"db", "transactional_db", "live_site", "_django_db_helper"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-permissions", action="store_true", help="write the statuses found into the permission table"
    )
    parser.addoption(
        "--only-database", action="store_true", help="leave out tests that touch neither a database nor a site"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that share the running site go to one process, so that a run starts one site and not one per process."""
    for item in items:
        if "live_site" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("live"))
    if config.getoption("--only-database"):
        kept = [item for item in items if _touches_database(item)]
        config.hook.pytest_deselected(items=[item for item in items if not _touches_database(item)])
        items[:] = kept


def _touches_database(item: pytest.Item) -> bool:
    names = {mark.name for mark in item.iter_markers()}
    return bool(
        {"django_db", "redis", "postgres"} & names or DATABASE_FIXTURES & set(getattr(item, "fixturenames", ()))
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    """What this machine cannot run is skipped with the reason in the summary; the continuous integration skips nothing."""
    if item.get_closest_marker("postgres") and connection.vendor != "postgresql":
        pytest.skip("needs PostgreSQL: set DATABASE_URL")
    if item.get_closest_marker("redis") and not os.environ.get("BROKER_URL", "").startswith("redis"):
        pytest.skip("needs Redis: set BROKER_URL")
    if item.get_closest_marker("browser") and not Path("/usr/bin/chromium").exists():
        pytest.skip("needs Chromium")


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, settings) -> Iterator[Path]:
    """The data folder of this test: empty, its own, and what `settings.DATA` and `settings.STORAGE_URL` name."""
    folder = tmp_path / "data"
    folder.mkdir()
    settings.DATA = folder
    settings.STORAGE_URL = f"file://{folder / 'blobs'}"
    settings.EMAIL_FILE_PATH = folder / "mail"
    yield folder
    cache.clear()


@pytest.fixture(scope="session")
def django_db_keepdb() -> bool:
    """On SQLite the database of a test process is a new file that has what the migrations made, or is not there."""
    return connection.vendor == "sqlite"


@pytest.fixture(scope="session")
def kept_databases(request: pytest.FixtureRequest) -> Path:
    """Where a run leaves the migrated database for the next one."""
    return request.config.cache.mkdir("databases")


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings, kept_databases: Path) -> None:
    fetch_migrated(kept_databases)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker, kept_databases: Path) -> Iterator[None]:
    """The migrated database, remembered: tests that commit are undone by putting this state back."""
    with django_db_blocker.unblock():
        keep_migrated(kept_databases)
        snapshot_databases()
    TransactionTestCase._fixture_teardown = restore_after_transactional_test
    yield
    with django_db_blocker.unblock():
        drop_template()


@pytest.fixture(scope="session")
def live_site(tmp_path_factory: pytest.TempPathFactory, django_db_setup) -> Iterator[LiveSite]:
    """A whole running site (web, worker, scheduler, inference) on free ports, with a data folder and a database of its own."""
    # receivers of webhooks listen there, on an address that is otherwise as forbidden as every other private one
    with started_site(tmp_path_factory.mktemp("live-site"), extra={"OUTGOING_ALLOW": "127.0.0.2/32"}) as site:
        yield site
