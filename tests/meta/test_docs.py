"""What the documentation promises to list, it lists."""

import re

from django.core.management import get_commands
from django.urls import URLPattern, URLResolver, get_resolver

from accounts.names import RESERVED
from accounts.permissions import Action, Scope
from tests.support.source import ROOT, calls, literal

SETTING = re.compile(r'_(?:text|flag|number|list)\("([A-Z_]+)"')


def read(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


def test_every_setting_is_explained() -> None:
    names = set(SETTING.findall((ROOT / "config/settings/env.py").read_text()))
    assert len(names) >= 10
    text = read("operations.md")
    assert [name for name in sorted(names) if f"`{name}`" not in text] == []


def test_every_command_of_ours_is_explained() -> None:
    ours = {
        name
        for name, app in get_commands().items()
        if app in {"config", "api", "compute", "registry", "market", "accounts"}
    }
    text = read("operations.md")
    assert [name for name in sorted(ours) if f"`{name}" not in text and f"manage.py {name}" not in text] == []


def test_every_action_and_scope_is_listed() -> None:
    text = read("permissions.md")
    assert [action for action in Action if f"`{action.value}`" not in text] == []
    assert [scope for scope in Scope if f"`{scope.value}`" not in text] == []


def test_every_audit_tag_is_listed() -> None:
    tags = {literal(call, 1) for _, call in calls("record")}
    text = read("audit.md")
    assert [tag for tag in sorted(tag for tag in tags if tag and tag.count(":") == 2) if f"`{tag}`" not in text] == []


def first_segments() -> set[str]:
    """The fixed first words of all addresses."""
    found: set[str] = set()

    def walk(entries: list[URLPattern | URLResolver], prefix: str) -> None:
        for entry in entries:
            whole = prefix + str(entry.pattern)
            if isinstance(entry, URLResolver) and "/" not in whole:
                walk(entry.url_patterns, whole)
            else:
                found.add(whole.lstrip("^").split("/")[0])

    walk(get_resolver().url_patterns, "")
    return {segment for segment in found if segment and "<" not in segment and "(" not in segment}


def test_no_namespace_can_take_an_address_of_the_site() -> None:
    assert {segment for segment in first_segments() if segment.lower() not in RESERVED} == set()


def test_every_url_space_is_listed() -> None:
    text = read("urls.md")
    assert [segment for segment in sorted(first_segments()) if f"`/{segment}" not in text] == []


def test_links_between_documents_lead_somewhere() -> None:
    broken = []
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        broken.extend(
            f"{path.relative_to(ROOT)} -> {target}"
            for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", path.read_text())
            if not (path.parent / target).exists()
        )
    assert broken == []
