"""`manage.py doctor`: is this installation well? One sentence a check; exit code 1 when something is wrong."""

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.management.base import BaseCommand

from config import health
from config.health import Check
from market.services.reconciliation import provider_standing


class Command(BaseCommand):
    help = "Check the installation and say in sentences what is wrong. Changes nothing."
    requires_system_checks: list[str] = []  # noqa: RUF012 - run here, as one of the checks

    def handle(self, *args: Any, **options: Any) -> None:
        found = [
            packages(),
            static_files(),
            secret_key(),
            configuration(),
            payments(),
            *health.all_checks(),
            health.migrations(),
        ]
        for check in found:
            self.stdout.write(f"{'ok   ' if check.ok else 'WRONG'}  {check.sentence}")
        wrong = sum(not check.ok for check in found)
        if wrong:
            self.stdout.write(f"{wrong} of {len(found)} checks found something wrong.")
            sys.exit(1)
        self.stdout.write("Everything is well.")


def packages() -> Check:
    """Are the installed packages those of pyproject.toml?"""
    listed = Path(settings.BASE_DIR, "pyproject.toml").read_text()
    wanted = [
        line.strip().strip('",').partition("==")
        for line in listed.splitlines()
        if line.strip().startswith('"') and "==" in line
    ]
    base = [(name.partition("[")[0], pin) for name, _, pin in wanted]
    off = []
    for name, pin in base:
        try:
            installed = version(name).partition("+")[0]
        except PackageNotFoundError:
            continue
        if installed != pin:
            off.append(f"{name} {installed} instead of {pin}")
    if off:
        return Check(
            "packages",
            ok=False,
            sentence=f"Other versions than the tested ones are installed: {', '.join(off)}. Run `make setup`.",
        )
    return Check("packages", ok=True, sentence="The installed packages are the tested ones.")


def payments() -> Check:
    """Does the payment provider accept the key, and is everything that it reported taken in?"""
    standing = provider_standing()
    return Check("payments", ok=standing.is_well, sentence=standing.sentence)


def static_files() -> Check:
    if not (settings.BASE_DIR / "static" / "vendor" / "htmx.min.js").exists():
        return Check("static", ok=False, sentence="The front-end libraries are missing: run `make setup`.")
    return Check("static", ok=True, sentence="The front-end libraries are in place.")


def secret_key() -> Check:
    path = settings.DATA / "secret_key"
    if path.exists() and path.stat().st_mode & 0o077:
        return Check(
            "secret_key", ok=False, sentence=f"Other accounts of this machine can read {path}: run `chmod 600 {path}`."
        )
    return Check("secret_key", ok=True, sentence="The secret key is private.")


def configuration() -> Check:
    problems = [
        f"{problem.msg} {problem.hint or ''}".strip()
        for problem in checks.run_checks()
        if problem.level >= checks.WARNING
    ]
    if problems:
        return Check("configuration", ok=False, sentence="The configuration is not sound: " + "; ".join(problems))
    return Check("configuration", ok=True, sentence="The configuration is sound.")
