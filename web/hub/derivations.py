"""What the page about versions made from others shows: a form, and what became of those that were asked for."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django import forms

from accounts.actors import Actor
from backends.datasets import media_recipes, recipes
from common.errors import Invalid
from common.pagination import keyset_page
from registry import queries
from registry.services import derivations, profiles
from registry.states import DerivationState
from web.hub.heads import RepoHead
from web.links import repo_url, version_url, with_query

if TYPE_CHECKING:
    from registry.models import DatasetDerivation, Repo, Version

PAGE = 25
VERSIONS = 100
CONDITIONS = 4
"""Lines of the form; the API takes more."""
_NUMBERS = {"integer", "number"}
_SPLITS_HELP = "Names and parts, such as train 80, test 20. Equal rows, or files, always go to the same split."


@dataclass(frozen=True)
class KnownColumn:
    name: str
    type: str
    detail: str


@dataclass(frozen=True)
class Known:
    """What the profile of a version tells: `is_media` when it holds pictures or sounds and no table."""

    tables: list[str]
    columns: list[KnownColumn]
    classes: list[str]
    splits: list[str]
    is_media: bool
    is_waiting: bool

    @classmethod
    def of(cls, version: "Version | None") -> "Known":
        profile = profiles.profile_of(version.commit) if version else None
        content = profile.content if profile else {}
        columns: dict[str, KnownColumn] = {}
        for table in content.get("tables", []):
            for each in table["columns"]:
                columns.setdefault(each["name"], KnownColumn(each["name"], each["kind"], _detail(each)))
        media = [content[kind] for kind in ("images", "audio", "annotations") if content.get(kind)]
        classes = {name for each in media for split in each["splits"] for name, _ in split["classes"]}
        splits = {split["split"] for each in media for split in each["splits"]} - {"all"}
        return cls(
            sorted({table["table"] for table in content.get("tables", [])}),
            list(columns.values()),
            sorted(classes),
            sorted(splits),
            bool(media) and not content.get("tables"),
            version is not None and profile is None,
        )


def _detail(column: dict[str, Any]) -> str:
    if column.get("min") is not None and column.get("max") is not None:
        return f"{column['min']:g} to {column['max']:g}"
    if column.get("top"):
        return ", ".join(str(value) for value, _ in column["top"][:5])[:120]
    return f"{column['distinct']:,} different"


class _DerivationForm(forms.Form):
    """What both kinds have in common."""

    name = forms.CharField(max_length=80, label="New version", help_text="Its name: a semantic version or a date.")
    splits = forms.CharField(max_length=400, required=False, label="Splits", help_text=_SPLITS_HELP)
    seed = forms.IntegerField(
        min_value=0, max_value=2**31 - 1, required=False, label="Seed", help_text="Another number, another assignment."
    )

    @property
    def common(self) -> dict[str, Any]:
        return {"splits": _splits(self.cleaned_data["splits"]), "seed": self.cleaned_data["seed"] or 0}


class TableForm(_DerivationForm):
    """Rows that fit all conditions, columns, splits."""

    columns = forms.CharField(
        max_length=4000, required=False, label="Columns", help_text="Those to keep, with commas between; empty for all."
    )
    drop_duplicates = forms.BooleanField(required=False, label="Leave out repeated rows")
    group = forms.CharField(
        max_length=400,
        required=False,
        label="Keep together by",
        help_text="A column whose equal values all go to one split.",
    )
    field_order = ("name", "table", "columns", "drop_duplicates", "splits", "group", "seed")

    def __init__(self, known: Known, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.types = {each.name: each.type for each in known.columns}
        if len(known.tables) > 1:
            self.fields["table"] = forms.ChoiceField(choices=[(name, name) for name in known.tables], label="Table")
        listed = forms.TextInput(attrs={"list": "known-columns", "autocomplete": "off", "placeholder": "column"})
        for number in range(1, CONDITIONS + 1):
            self.fields[f"column_{number}"] = forms.CharField(
                max_length=400, required=False, label=f"Column of condition {number}", widget=listed
            )
            self.fields[f"is_{number}"] = forms.ChoiceField(
                choices=[(each, each) for each in recipes.OPERATORS],
                required=False,
                label=f"Comparison of condition {number}",
            )
            self.fields[f"value_{number}"] = forms.CharField(
                max_length=2000,
                required=False,
                label=f"Value of condition {number}",
                widget=forms.TextInput(attrs={"placeholder": "value"}),
            )
        self.order_fields(self.field_order)

    @property
    def plain_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if not re.fullmatch(r"(column|is|value)_\d+", name)]

    @property
    def conditions(self) -> list[list[forms.BoundField]]:
        return [[self[f"{part}_{number}"] for part in ("column", "is", "value")] for number in range(1, CONDITIONS + 1)]

    @property
    def recipe(self) -> dict[str, Any]:
        """As `backends.datasets.recipes` reads it. Raises Invalid."""
        told = self.cleaned_data
        where = [
            self._condition(number, told[f"column_{number}"], told[f"is_{number}"], told[f"value_{number}"])
            for number in range(1, CONDITIONS + 1)
            if told[f"column_{number}"]
        ]
        columns = [name.strip() for name in told["columns"].split(",") if name.strip()]
        made = {"where": where, "columns": columns, "drop_duplicates": told["drop_duplicates"], "group": told["group"]}
        return {**made, **self.common, "table": told.get("table", "")}

    def _condition(self, number: int, column: str, operator: str, text: str) -> dict[str, Any]:
        field = f"value_{number}"
        if operator in {"is null", "is not null"}:
            return {"column": column, "is": operator}
        if operator in {"in", "not in"}:
            values = [self._value(column, each.strip(), field) for each in text.split(",") if each.strip()]
            return {"column": column, "is": operator, "value": values}
        value = text if operator in {"contains", "matches"} else self._value(column, text, field)
        return {"column": column, "is": operator, "value": value}

    def _value(self, column: str, text: str, field: str) -> Any:
        """The value as the column's type has it; a number where the type is not known and it reads as one."""
        kind = self.types.get(column, "")
        if kind == "boolean" and text.lower() in {"true", "false"}:
            return text.lower() == "true"
        if kind and kind not in _NUMBERS:
            return text
        try:
            return int(text) if re.fullmatch(r"[+-]?\d{1,18}", text) else float(text)
        except ValueError:
            if kind:
                raise Invalid(
                    f"{column} holds numbers, and {text[:40]!r} is none.", fields={field: "no number"}
                ) from None
            return text


class MediaForm(_DerivationForm):
    """Files that fit, and their splits."""

    classes = forms.CharField(
        max_length=4000, required=False, label="Classes", help_text="Those to keep, with commas between; empty for all."
    )
    from_splits = forms.CharField(
        max_length=400, required=False, label="Only from the splits", help_text="Such as train; empty for all."
    )
    min_width = forms.FloatField(min_value=0, required=False, label="Width, at least", help_text="Pixels.")
    max_width = forms.FloatField(min_value=0, required=False, label="Width, at most")
    min_height = forms.FloatField(min_value=0, required=False, label="Height, at least")
    max_height = forms.FloatField(min_value=0, required=False, label="Height, at most")
    min_duration_s = forms.FloatField(
        min_value=0, required=False, label="Length, at least", help_text="Seconds, of sounds."
    )
    max_duration_s = forms.FloatField(min_value=0, required=False, label="Length, at most")
    field_order = ("name", "classes", "from_splits", "splits", "seed")

    def __init__(self, known: Known, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.order_fields(self.field_order)

    @property
    def plain_fields(self) -> list[forms.BoundField]:
        return list(self)

    @property
    def conditions(self) -> list[list[forms.BoundField]]:
        return []

    @property
    def recipe(self) -> dict[str, Any]:
        """As `backends.datasets.media_recipes` reads it. Raises Invalid."""
        media = {
            name: value
            for name, value in self.cleaned_data.items()
            if name.startswith(("min_", "max_")) and value is not None
        }
        for name in ("classes", "from_splits"):
            media[name] = [each.strip() for each in self.cleaned_data[name].split(",") if each.strip()]
        return {"media": media, **self.common}


def _splits(text: str) -> dict[str, float]:
    """`train 80, test 20` or `train=0.8 test=0.2`. Raises Invalid."""
    pairs = re.findall(r"([a-z][a-z0-9_]*)\s*[=: ]\s*(\d+(?:\.\d+)?)\s*%?", text)
    rest = re.sub(r"([a-z][a-z0-9_]*)\s*[=: ]\s*(\d+(?:\.\d+)?)\s*%?", "", text).strip(" ,;")
    if rest or len({name for name, _ in pairs}) != len(pairs):
        raise Invalid("Write splits as names and parts: train 80, test 20.", fields={"splits": "not splits"})
    total = sum(float(part) for _, part in pairs)
    if pairs and not (abs(total - 1) < 1e-6 or abs(total - 100) < 1e-4):
        raise Invalid(f"The parts must sum to 100; these sum to {total:g}.", fields={"splits": "wrong sum"})
    return {name: float(part) / total for name, part in pairs}


@dataclass(frozen=True)
class Derived:
    """One that was asked for, for a line of the list."""

    name: str
    source: str
    source_href: str
    told: str
    state: str
    tone: str
    is_live: bool
    problem: str
    version_href: str
    lineage_href: str
    author: str
    created_at: datetime

    @classmethod
    def of(cls, repo: "Repo", row: "DatasetDerivation") -> "Derived":
        is_media = media_recipes.is_media(row.recipe)
        told = (
            media_recipes.sentence(media_recipes.parse(row.recipe))
            if is_media
            else recipes.sentence(recipes.parse(row.recipe))
        )
        is_done = row.state == DerivationState.DONE
        return cls(
            row.version_name,
            row.source.name,
            version_url(repo, row.source.name),
            told,
            row.state,
            {DerivationState.DONE: "ok", DerivationState.FAILED: "danger"}.get(DerivationState(row.state), ""),
            row.state == DerivationState.WAITING,
            row.problem,
            version_url(repo, row.version.name) if is_done and row.version else "",
            with_query(repo_url(repo, "lineage"), version=row.version.name) if is_done and row.version else "",
            row.user.username if row.user else "",
            row.created_at,
        )


@dataclass(frozen=True)
class DerivationsPage:
    title: str
    head: RepoHead
    here: str
    versions: list[str]
    version: str
    known: Known
    form: TableForm | MediaForm | None
    rows: list[Derived]
    is_live: bool
    next_href: str
    first_href: str

    @classmethod
    def of(
        cls,
        repo: "Repo",
        actor: Actor,
        version: "Version | None",
        known: Known,
        form: TableForm | MediaForm | None,
        cursor: str,
    ) -> "DerivationsPage":
        head = RepoHead.of(repo, actor, "data")
        page = keyset_page(derivations.derivations_of(repo), order=("-id",), cursor=cursor, limit=PAGE)
        here = repo_url(repo, "derivations")
        rows = [Derived.of(repo, row) for row in page.items]
        return cls(
            f"Filter and split {head.full_name}",
            head,
            with_query(here, version=version.name if version else "", cursor=cursor),
            [each.name for each in queries.versions_of(repo)[:VERSIONS]],
            version.name if version else "",
            known,
            form if head.can_write else None,
            rows,
            any(row.is_live for row in rows),
            with_query(here, cursor=page.next_cursor) if page.next_cursor else "",
            here if cursor else "",
        )
