"""What the pages about content from elsewhere show."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django import forms

from accounts.actors import Actor
from common.pagination import keyset_page
from registry import queries
from registry.services import preparations
from registry.states import PREPARATIONS, PreparationState
from web.hub.heads import RepoHead
from web.hub.pages import Option
from web.links import repo_url, with_query

if TYPE_CHECKING:
    from registry.models import Preparation, Repo

PAGE = 25
TITLES = {"url": "Web address", "s3": "S3 bucket", "mlflow": "MLflow run", "hub": "Another hub", "archive": "Archive"}
HELP = {
    "url": "One file, or one archive that is unpacked on the way. Only addresses of the public internet are asked.",
    "s3": "All objects below a prefix, of Amazon S3 or a server that speaks its protocol.",
    "mlflow": "The artifacts of a run. Its parameters, metrics and tags are kept with the import.",
    "hub": "The files of a model or dataset at a revision, without its history; each is checked against its digest.",
    "archive": "A zip or tar archive (also packed with gzip, bzip2, xz, zstd) that is in this repository already, or is uploaded here.",
}
TONES = {
    PreparationState.DONE: "ok",
    PreparationState.FAILED: "danger",
    PreparationState.CANCELLED: "caution",
}


class ImportForm(forms.Form):
    """Fields of the source, then where the files go."""

    def __init__(self, source: str, branches: list[str], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.told = [each.name for each in preparations.fields_of(source)]
        for each in preparations.fields_of(source):
            self.fields[f"told_{each.name}"] = self._field(each)
        if source == preparations.ARCHIVE:
            self.fields["told_path"].required = False
            self.fields["archive"] = forms.FileField(
                required=False,
                label="Upload an archive",
                help_text="Instead of a path; it is not kept in the repository.",
            )
        if source in preparations.UNPACKED:
            self.fields["unpack"] = forms.BooleanField(
                required=False,
                label="Unpack it",
                help_text="The file is a zip or tar archive, whose members are wanted.",
            )
        self.fields["branch"] = forms.ChoiceField(choices=[(name, name) for name in branches], label="Branch")
        self.fields["folder"] = forms.CharField(
            max_length=1000, required=False, label="Folder", help_text="Where the files go; empty for the root."
        )
        self.fields["summary"] = forms.CharField(max_length=300, required=False, label="What changes")

    @staticmethod
    def _field(each: Any) -> forms.Field:
        common = {"label": each.label, "help_text": each.help, "required": each.is_required, "initial": each.default}
        if each.choices:
            return forms.ChoiceField(choices=[(name, name.capitalize()) for name in each.choices], **common)
        if each.is_secret:
            # never sent back to a page
            widget = forms.PasswordInput(render_value=False, attrs={"autocomplete": "off"})
            return forms.CharField(max_length=4000, widget=widget, **common)
        return forms.CharField(max_length=4000, **common)

    @property
    def given(self) -> dict[str, str]:
        """What the source is told."""
        return {name: self.cleaned_data.get(f"told_{name}") or "" for name in self.told}


class SecretsForm(forms.Form):
    """The secrets of a preparation, entered anew."""

    def __init__(self, row: "Preparation", *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        known = {each.name: each for each in preparations.fields_of(row.source)}
        for name in row.secrets:
            self.fields[name] = forms.CharField(
                max_length=4000,
                label=known[name].label if name in known else name,
                help_text="Thrown away when the import ended.",
                widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "off"}),
            )


@dataclass(frozen=True)
class ImportPage:
    title: str
    head: RepoHead
    source: str
    help: str
    sources: list[Option]
    form: forms.Form
    tree_href: str
    list_href: str

    @classmethod
    def of(cls, repo: "Repo", actor: Actor, source: str, form: forms.Form, branch: str) -> "ImportPage":
        head = RepoHead.of(repo, actor, "files")
        here = repo_url(repo, "import")
        known = [*sorted(preparations.sources(), key=list(TITLES).index), preparations.ARCHIVE]
        return cls(
            f"Import into {head.full_name}",
            head,
            source,
            HELP.get(source, ""),
            [
                Option(with_query(here, source=name, branch=branch), TITLES.get(name, name), name == source)
                for name in known
            ],
            form,
            repo_url(repo, "tree", branch),
            repo_url(repo, "preparations"),
        )


@dataclass(frozen=True)
class Shown:
    """One preparation, for a line or a page. `fraction`: of the bytes, else of the files; None while unknown."""

    href: str
    address: str
    source: str
    state: str
    tone: str
    is_live: bool
    problem: str
    branch: str
    folder: str
    progress: str
    fraction: float | None
    author: str
    created_at: datetime
    ended_at: datetime | None
    commit_href: str
    commit_oid: str

    @classmethod
    def of(cls, row: "Preparation") -> "Shown":
        state = PreparationState(row.state)
        count = f" of {row.file_count:,}" if row.file_count is not None else ""
        fraction = None
        if row.size_bytes:
            fraction = min(1.0, row.bytes_done / row.size_bytes)
        elif row.file_count:
            fraction = row.files_done / row.file_count
        return cls(
            repo_url(row.repo, "preparations", str(row.uuid)),
            row.address,
            TITLES.get(row.source, row.source),
            state,
            TONES.get(state, ""),
            state in {PreparationState.WAITING, PreparationState.RUNNING},
            row.problem,
            row.branch,
            row.folder,
            f"{row.files_done:,}{count} file{'' if (row.file_count or row.files_done) == 1 else 's'}",
            fraction,
            row.user.username if row.user else "",
            row.created_at,
            row.ended_at,
            repo_url(row.repo, "commit", row.commit_oid) if row.commit_oid else "",
            row.commit_oid,
        )


@dataclass(frozen=True)
class PreparationsPage:
    title: str
    head: RepoHead
    here: str
    rows: list[Shown]
    is_live: bool
    next_href: str
    first_href: str
    import_href: str

    @classmethod
    def of(cls, repo: "Repo", actor: Actor, cursor: str) -> "PreparationsPage":
        head = RepoHead.of(repo, actor, "files")
        page = keyset_page(preparations.preparations_of(repo), order=("-id",), cursor=cursor, limit=PAGE)
        here = repo_url(repo, "preparations")
        rows = [Shown.of(row) for row in page.items]
        return cls(
            f"Imports into {head.full_name}",
            head,
            with_query(here, cursor=cursor),
            rows,
            any(row.is_live for row in rows),
            with_query(here, cursor=page.next_cursor) if page.next_cursor else "",
            here if cursor else "",
            repo_url(repo, "import"),
        )


@dataclass(frozen=True)
class PreparationPage:
    title: str
    head: RepoHead
    here: str
    row: Shown
    options: list[tuple[str, str]]
    facts: list[tuple[str, list[tuple[str, str]]]]
    """What the source knows: a heading, and pairs below it."""
    form: forms.Form | None
    list_href: str
    cancel_href: str
    retry_href: str
    tree_href: str

    @classmethod
    def of(cls, row: "Preparation", actor: Actor, form: forms.Form | None = None) -> "PreparationPage":
        head = RepoHead.of(row.repo, actor, "files")
        here = repo_url(row.repo, "preparations", str(row.uuid))
        can = PREPARATIONS.table[PreparationState(row.state)]
        known = {each.name: each.label for each in preparations.fields_of(row.source)}
        is_retried = PreparationState.WAITING in can
        return cls(
            f"Import into {head.full_name}",
            head,
            here,
            Shown.of(row),
            [(known.get(name, name), str(value)) for name, value in row.options.items()],
            _facts(row.facts),
            form or (SecretsForm(row) if is_retried else None),
            repo_url(row.repo, "preparations"),
            f"{here}/cancellation" if PreparationState.CANCELLED in can else "",
            f"{here}/retry" if is_retried else "",
            repo_url(row.repo, "tree", row.branch, row.folder),
        )


def branches_of(repo: "Repo") -> list[str]:
    """Names of the branches, the default one first."""
    return [branch.name for branch in queries.refs_of(repo)[0]]


def _facts(facts: dict[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    groups = [
        (name.capitalize(), [(key, str(value)) for key, value in each.items()])
        for name, each in facts.items()
        if isinstance(each, dict)
    ]
    plain = [(name.capitalize(), str(value)) for name, value in facts.items() if not isinstance(value, dict)]
    return [*([("Source", plain)] if plain else []), *(group for group in groups if group[1])]
