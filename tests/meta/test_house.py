"""The rules of the house that a machine can check, each with what to do instead."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from tests.support.source import PACKAGES, ROOT, calls, files, literal, tree, where
from work.door import KINDS

LONG_FILES: dict[str, str] = {}
"""Files over 600 lines, each with the reason why it is not split."""


def test_imports_follow_the_staircase() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr


def test_no_contract_excuses_an_import() -> None:
    assert "ignore_imports" not in (ROOT / ".importlinter").read_text()


@pytest.mark.django_db
def test_the_migrations_say_what_the_models_say() -> None:
    try:
        call_command("makemigrations", check=True, dry_run=True, verbosity=0)
    except SystemExit as error:
        raise AssertionError("the models have changed: run `manage.py makemigrations APP -n what_it_does`") from error
    except SystemCheckError as error:
        raise AssertionError(str(error)) from error


def test_migrations_have_names_that_say_what_they_do() -> None:
    unnamed = [
        str(path.relative_to(ROOT))
        for path in migration_files()
        if re.search(r"_auto_|_initial_|_alter_.+_and_more", path.name)
    ]
    assert unnamed == []


def test_migrations_import_no_app() -> None:
    """An app's code of today is not the code of the migration's day. `common` holds the operations that migrations share."""
    apps = set(PACKAGES) - {"common"}
    found = []
    for path in migration_files():
        for node in ast.walk(tree(path)):
            names = (
                [alias.name for alias in node.names] if isinstance(node, ast.Import)
                else [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            )  # fmt: skip
            found += [
                f"{where(path, node)} imports {name}"
                for name in names
                if name.partition(".")[0] in apps and not allowed(name)
            ]
    assert found == []


def allowed(name: str) -> bool:
    """Django writes the dotted path of field defaults and of managers into migrations; these are values, not rules."""
    return name.endswith((".models", "states", ".permissions", ".meters")) or ".models." in name


def migration_files() -> list[Path]:
    return [path for path in files(migrations=True) if path.parent.name == "migrations" and path.name != "__init__.py"]


def test_every_task_that_is_asked_for_exists() -> None:
    named = [(where(path, call), literal(call, 0)) for path, call in calls("enqueue") if path != ROOT / "work/door.py"]
    variable = [place for place, name in named if name is None and not place.startswith("work/")]
    assert variable == [], "write the name of a task out, so that it can be found and checked"
    missing = [f"{place}: {name}" for place, name in named if name is not None and name not in KINDS]
    assert missing == []


def test_every_schedule_names_a_task() -> None:
    named = [
        (where(path, call), literal(call, 1))
        for path, call in calls("schedule")
        if path.parts[-2] != "work" or path.name == "tasks.py"
    ]
    assert [f"{place}: {name}" for place, name in named if name is not None and name not in KINDS] == []


def test_a_long_file_has_a_reason() -> None:
    long = {str(path.relative_to(ROOT)) for path in files() if len(path.read_text().splitlines()) > 600}
    assert long == set(LONG_FILES), "split the file along its topics, or state the reason in LONG_FILES"


def test_audit_tags_have_three_parts() -> None:
    tags = [
        (where(path, call), literal(call, 1))
        for path, call in calls("record")
        if literal(call, 1) and ":" in str(literal(call, 1))
    ]
    assert tags
    assert [f"{place}: {tag}" for place, tag in tags if not re.fullmatch(r"[a-z]+:[a-z_-]+:[a-z_-]+", tag or "")] == []


FOREIGN = re.compile(
    r"/(?:work|opt)/[a-z]+|pypi\.org|pythonhosted\.org|registry\.npmjs|deb\.debian\.org|download\.pytorch"
)


def test_no_file_names_a_machine_or_a_registry() -> None:
    tracked = [
        path
        for pattern in (
            "*.py",
            "*.md",
            "*.toml",
            "*.sh",
            "*.yml",
            "*.yaml",
            "*.html",
            "*.js",
            "*.css",
            "Makefile",
            "Dockerfile",
            "package*.json",
        )
        for path in ROOT.rglob(pattern)
        if not {".venv", "node_modules", "data", "vendor", "static-collected", ".git"}
        & set(path.relative_to(ROOT).parts)
    ]
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in tracked
        if path != Path(__file__)
        for match in FOREIGN.finditer(path.read_text(errors="replace"))
    ]
    assert found == []


def test_a_page_that_asks_again_by_itself_has_what_asks() -> None:
    """Only pages that need it load htmx: one with an attribute of it and no script would wait for ever."""
    pages = {path: path.read_text() for path in (ROOT / "templates").rglob("*.html")}
    asking = {path.name for path, text in pages.items() if "{% extends" in text and "hx-get" in text}
    assert len(asking) >= 4
    assert {
        path.name for path, text in pages.items() if path.name in asking and "vendor/htmx.min.js" not in text
    } == set()
