"""Which backend answers to which name. The one truth: family and name map to one class, imported on first use.

Strangers add theirs through the entry-point groups `mercato.stores`, `mercato.runners` and so on; a name that is already taken is refused.
"""

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from backends.errors import ConfigError


@dataclass(frozen=True)
class Listed:
    """One backend: where its class is, and what to install when the import fails."""

    path: str
    """`package.module:Class`"""
    install_hint: str = ""


BUILT_IN: dict[str, dict[str, Listed]] = {
    "payments": {
        "credits": Listed("backends.payments.credits:CreditsPayments"),
        "stripe": Listed("backends.payments.stripe:StripePayments", "pip install stripe"),
    },
    "runners": {
        "fake": Listed("backends.runners.fake:FakeRunner"),
        "process": Listed("backends.runners.process:ProcessRunner"),
    },
    "scanners": {
        "graphs": Listed("backends.scanners.graphs:GraphScanner"),
        "keras": Listed("backends.scanners.keras:KerasScanner"),
        "markup": Listed("backends.scanners.markup:MarkupScanner"),
        "modelscan": Listed("backends.scanners.opinions:ModelscanScanner"),
        "notebooks": Listed("backends.scanners.notebooks:NotebookScanner"),
        "pickles": Listed("backends.scanners.pickles:PickleScanner"),
        "picklescan": Listed("backends.scanners.opinions:PicklescanScanner"),
        "secrets": Listed("backends.scanners.secrets:SecretScanner"),
        "sources": Listed("backends.scanners.sources:SourceScanner"),
        "structural": Listed("backends.scanners.structural:StructuralScanner"),
    },
    "sources": {
        "hub": Listed("backends.sources.hub:HubSource"),
        "mlflow": Listed("backends.sources.mlflow:MlflowSource"),
        "s3": Listed("backends.sources.s3:S3Source", "pip install 'mercato[s3]'"),
        "url": Listed("backends.sources.url:UrlSource"),
    },
    "stores": {
        "filesystem": Listed("backends.stores.filesystem:FilesystemStore"),
        "s3": Listed("backends.stores.s3:S3Store", "pip install 'mercato[s3]'"),
    },
}


@cache
def listing(family: str) -> dict[str, Listed]:
    """Every backend of `family` by name, sorted; plugins included. Raises `ConfigError` for an unknown family or a name clash."""
    if family not in BUILT_IN:
        raise ConfigError(f"there is no family of backends called {family!r}; there are {', '.join(BUILT_IN)}")
    found = dict(BUILT_IN[family])
    for point in entry_points(group=f"mercato.{family}"):
        if point.name in found:
            raise ConfigError(
                f"the plugin {point.value} calls itself {point.name!r}, a name taken by {found[point.name].path}"
            )
        found[point.name] = Listed(
            point.value, f"repair or remove the package {point.dist.name if point.dist else point.module}"
        )
    return dict(sorted(found.items()))


def find(family: str, name: str) -> type[Any]:
    """The class of one backend; imports its module. Raises `ConfigError` with the install hint."""
    table = listing(family)
    if name not in table:
        raise ConfigError(f"no backend {name!r} in {family}; there are: {', '.join(table)}")
    entry = table[name]
    module, _, attribute = entry.path.partition(":")
    try:
        found: type[Any] = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        hint = f"; {entry.install_hint}" if entry.install_hint else ""
        raise ConfigError(f"the backend {name!r} of {family} cannot be loaded: {error}{hint}") from error
    return found


def load(family: str, name: str, **options: Any) -> Any:
    """A new instance of one backend, built with `options`. Raises `ConfigError` when it is unknown, not installed or refuses the options."""
    kind = find(family, name)
    try:
        return kind(**options)
    except TypeError as error:
        raise ConfigError(f"the backend {name!r} of {family} does not take these options: {error}") from error
