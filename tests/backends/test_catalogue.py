"""The catalogue of backends, and that whatever can be loaded is under conformance."""

import ast
import importlib.metadata
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends import catalogue
from backends.errors import ConfigError

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def fresh_listing() -> Iterator[None]:
    catalogue.listing.cache_clear()
    yield
    catalogue.listing.cache_clear()


def _plugin(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    point = importlib.metadata.EntryPoint(name, value, "mercato.stores")
    monkeypatch.setattr(catalogue, "entry_points", lambda group: (point,) if group == "mercato.stores" else ())


def test_the_tables_are_sorted() -> None:
    assert list(catalogue.BUILT_IN) == sorted(catalogue.BUILT_IN)
    for family, table in catalogue.BUILT_IN.items():
        assert list(table) == sorted(table), family


def test_a_backend_is_loaded_with_its_options(tmp_path: Path) -> None:
    store = catalogue.load("stores", "filesystem", root=tmp_path / "blobs")
    assert store.put("key", [b"x"]).size_bytes == 1


def test_a_plugin_is_found_by_its_entry_point(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _plugin(monkeypatch, "tape", "backends.stores.filesystem:FilesystemStore")
    assert list(catalogue.listing("stores")) == ["filesystem", "s3", "tape"]
    assert catalogue.load("stores", "tape", root=tmp_path).root == tmp_path


def test_a_plugin_may_not_take_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    _plugin(monkeypatch, "s3", "stranger:Store")
    with pytest.raises(ConfigError, match=r"stranger:Store calls itself 's3'"):
        catalogue.listing("stores")


def test_what_is_not_installed_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        catalogue.BUILT_IN["stores"], "s3", catalogue.Listed("not_installed:Store", "pip install 'mercato[s3]'")
    )
    with pytest.raises(ConfigError, match=r"pip install 'mercato\[s3\]'"):
        catalogue.load("stores", "s3")


@pytest.mark.parametrize(("family", "name"), [("stores", "tape"), ("cars", "filesystem")])
def test_an_unknown_name_is_refused(family: str, name: str) -> None:
    with pytest.raises(ConfigError):
        catalogue.load(family, name)


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="does not take these options"):
        catalogue.load("stores", "filesystem", colour="red")


def test_every_backend_is_under_conformance() -> None:
    """A test class that inherits from the family's conformance class names the backend's class in its fixtures."""
    tested: dict[str, set[str]] = {}
    for path in HERE.glob("test_*.py"):
        tree = ast.parse(path.read_text())
        classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
        for node in classes.values():
            for base in _bases(node, classes):
                if base.endswith("Conformance"):
                    tested.setdefault(base, set()).update(
                        name.id for name in ast.walk(node) if isinstance(name, ast.Name)
                    )
    missing = []
    for family in catalogue.BUILT_IN:
        suite = f"{family[:-1].title()}Conformance"
        missing += [
            entry.path
            for entry in catalogue.listing(family).values()
            if entry.path.partition(":")[2] not in tested.get(suite, set())
        ]
    assert missing == []


def _bases(node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> Iterator[str]:
    for base in node.bases:
        if isinstance(base, ast.Name):
            yield base.id
            if base.id in classes:
                yield from _bases(classes[base.id], classes)
