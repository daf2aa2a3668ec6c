"""What an operator may set, and what production insists on."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpResponse
from django.test import Client, RequestFactory

from config.middleware import RequestContext
from config.settings.env import cache_from_url, database_from_url, mail_from_url
from tests.support.site import ROOT

PRODUCTION = {
    "DJANGO_SETTINGS_MODULE": "config.settings.production",
    "PUBLIC_URL": "https://market.example.org",
    "INFERENCE_URL": "https://inference.example.org",
    "TRUSTED_PROXY": "1",
}


def manage(folder: Path, *args: str, **more: str) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if key not in {"DATABASE_URL", "BROKER_URL"}}
    return subprocess.run(
        [sys.executable, "manage.py", *args],
        cwd=ROOT, env={**kept, "MERCATO_DATA": str(folder), **more}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_production_passes_the_deployment_check_without_a_warning(tmp_path: Path) -> None:
    done = manage(tmp_path, "check", "--deploy", "--fail-level", "INFO", **PRODUCTION)
    assert (done.returncode, done.stderr) == (0, "")
    assert "no issues" in done.stdout


@pytest.mark.parametrize(
    ("name", "value", "says"), [("PUBLIC_URL", "http://x.org", "https://"), ("TRUSTED_PROXY", "0", "TRUSTED_PROXY=1")]
)
def test_production_refuses_what_is_unsafe(tmp_path: Path, name: str, value: str, says: str) -> None:
    done = manage(tmp_path, "check", **{**PRODUCTION, name: value})
    assert done.returncode != 0
    assert says in done.stderr


def test_the_secret_key_is_made_once_and_private(tmp_path: Path) -> None:
    for _ in range(2):
        assert manage(tmp_path, "check", DJANGO_SETTINGS_MODULE="config.settings.dev").returncode == 0
        keys = {(tmp_path / "secret_key").read_text()}
    assert len(keys) == 1
    assert len(keys.pop()) >= 64
    assert (tmp_path / "secret_key").stat().st_mode & 0o777 == 0o600


def test_urls_become_settings() -> None:
    database = database_from_url("postgres://ann:p%40ss@db:5433/shop?sslmode=require", Path("/d"))
    assert (database["USER"], database["PASSWORD"], database["HOST"], database["PORT"], database["NAME"]) == (
        "ann", "p@ss", "db", "5433", "shop",
    )  # fmt: skip
    assert database["OPTIONS"] == {"sslmode": "require"}
    mail = mail_from_url("smtp://ann:secret@mail:2525?tls=0", Path("/d"))
    assert (mail["EMAIL_HOST"], mail["EMAIL_PORT"], mail["EMAIL_USE_TLS"], mail["EMAIL_USE_SSL"]) == (
        "mail",
        2525,
        False,
        False,
    )
    assert mail_from_url("", Path("/d"))["EMAIL_FILE_PATH"] == Path("/d/mail")


@pytest.mark.parametrize(("read", "url"), [(database_from_url, "mysql://x/y"), (mail_from_url, "http://x")])
def test_a_url_of_an_unknown_kind_is_refused(read, url: str) -> None:
    with pytest.raises(ImproperlyConfigured):
        read(url, Path("/d"))
    with pytest.raises(ImproperlyConfigured):
        cache_from_url("memcached://x")


@pytest.mark.django_db
def test_every_page_forbids_inline_scripts_and_framing(client: Client) -> None:
    policy = client.get("/-/health").headers["Content-Security-Policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == rules["frame-ancestors"] == rules["base-uri"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == "'self'"
    assert "unsafe" not in policy


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("address", "status"), [("127.0.0.1", 200), ("::1", 200), ("::ffff:127.0.0.1", 200), ("10.0.0.7", 404), ("", 404)]
)
def test_metrics_exist_for_their_network_only(client: Client, address: str, status: int) -> None:
    assert client.get("/-/metrics", REMOTE_ADDR=address).status_code == status


@pytest.mark.django_db
def test_strangers_learn_which_check_fails_and_not_why(client: Client, settings) -> None:
    settings.STORAGE_URL = "file:///proc/nowhere"
    stranger = client.get("/-/health", REMOTE_ADDR="10.0.0.7").json()
    assert (stranger["status"], stranger["checks"]["storage"]) == ("degraded", {"ok": False})
    assert "/proc/nowhere" in client.get("/-/health").json()["checks"]["storage"]["detail"]


@pytest.mark.parametrize(("trusted", "seen"), [(True, "203.0.113.9"), (False, "10.0.0.1")])
def test_only_a_declared_proxy_names_the_caller(settings, trusted: bool, seen: str) -> None:
    settings.TRUSTED_PROXY = trusted
    request = RequestFactory().get("/", REMOTE_ADDR="10.0.0.1", headers={"X-Forwarded-For": "6.6.6.6, 203.0.113.9"})
    found = []

    def answer(passed):
        found.append(passed.META["REMOTE_ADDR"])
        return HttpResponse()

    RequestContext(answer)(request)
    assert found == [seen]


def test_compose_names_every_part_and_only_known_settings() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert {"web", "worker", "scheduler", "inference", "postgres", "redis", "s3"} <= set(compose["services"])
    known = set(re.findall(r'_(?:text|flag|number|list)\("([A-Z_]+)"', (ROOT / "config/settings/env.py").read_text()))
    used = set(compose["x-site"]["environment"])
    assert used - known == {"DJANGO_SETTINGS_MODULE"}


def test_the_procfile_starts_what_exists() -> None:
    lines = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
    assert set(lines) == {"release", "web", "worker", "scheduler", "inference"}
    for command in re.findall(r"manage\.py (\w+)", " ".join(lines.values())):
        assert command == "migrate" or (ROOT / f"config/management/commands/{command}.py").exists()
