"""Our own source as syntax trees, for tests about the code."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = (
    "accounts", "api", "backends", "common", "compute", "config", "lineage", "market", "metering", "notices", "registry",
    "web", "work",
)  # fmt: skip


def files(*, migrations: bool = False) -> Iterator[Path]:
    """Every Python file of the product."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if migrations or "migrations" not in path.parts:
                yield path


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def calls(name: str) -> Iterator[tuple[Path, ast.Call]]:
    """Every call of a function or method called `name`."""
    for path in files():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call):
                function = node.func
                called = (
                    function.id
                    if isinstance(function, ast.Name)
                    else function.attr
                    if isinstance(function, ast.Attribute)
                    else ""
                )
                if called == name:
                    yield path, node


def literal(call: ast.Call, position: int) -> str | None:
    """The text at `position` of the arguments, None when it is not written out."""
    if len(call.args) > position and isinstance(call.args[position], ast.Constant):
        value = call.args[position].value
        return value if isinstance(value, str) else None
    return None


def where(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
