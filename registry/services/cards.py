"""Cards: README.md with front matter. YAML from strangers is read with everything exotic switched off."""

import re
from dataclasses import dataclass, field
from typing import Any

import nh3
import yaml
from markdown_it import MarkdownIt

from common.errors import Invalid
from registry.errors import EntryNotFound
from registry.models import Blob, Commit, Repo, RepoTag
from registry.queries import entry_at, held_back
from registry.services import storage

FRONT_MATTER_LIMIT = 64 * 1024
README_LIMIT = 1024**2
_DEPTH_LIMIT = 20
_VALUES_LIMIT = 5000
_TAGS_LIMIT = 100
_LISTED_KEYS = (
    "language", "task_categories", "size_categories", "task_ids", "multilinguality", "language_creators", "benchmark",
)  # fmt: skip
"""Keys of a card by which lists are filtered, as `key:value`."""
_FRONT_MATTER = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.*?)(?:\r?\n)?^---[ \t]*\r?$\n?", re.DOTALL | re.MULTILINE)


class _Loader(yaml.SafeLoader):
    """Plain data only: no aliases (they multiply without bound), dates and binaries stay text."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed in a card")
        self.nesting = getattr(self, "nesting", 0) + 1
        if self.nesting > _DEPTH_LIMIT:
            raise yaml.YAMLError("the card is nested too deeply")
        node = super().compose_node(parent, index)
        self.nesting -= 1
        return node


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True)
class Card:
    """`data`: the front matter as plain JSON; `body`: the markdown after it; `errors` and `warnings`: sentences."""

    data: dict[str, Any] = field(default_factory=dict)
    body: str = ""
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def parse_card(text: str) -> Card:
    """Read a README. Never raises: what is wrong with it is in `errors`, and then `data` is empty."""
    match = _FRONT_MATTER.match(text)
    if match is None:
        return Card(body=text, warnings=("empty or missing yaml metadata in repo card",))
    body, raw = text[match.end() :], match.group(1)
    try:
        data = read_yaml(raw)
    except Invalid as error:
        return Card(body=body, errors=(f"The front matter {error.message}",))
    if data is None:
        return Card(body=body, warnings=("empty or missing yaml metadata in repo card",))
    if not isinstance(data, dict):
        return Card(body=body, errors=("The front matter must be a list of `key: value` lines.",))
    plain = _plain(data)
    errors: tuple[str, ...] = ()
    if "model-index" in plain and not isinstance(plain["model-index"], list):
        errors = ('"model-index" must be an array',)
    return Card(plain, body, errors)


def read_yaml(raw: str) -> Any:
    """What a small YAML text of a stranger says, with everything exotic switched off. Raises Invalid with the rest of a sentence about
    the text: "is …", "has …"."""
    if len(raw) > FRONT_MATTER_LIMIT:
        raise Invalid(f"is longer than {FRONT_MATTER_LIMIT} bytes.")
    # flow brackets nest on one line, where the parser recurses before we count
    if raw.count("[") + raw.count("{") > _VALUES_LIMIT:
        raise Invalid("has too many brackets.")
    try:
        return yaml.load(raw, Loader=_Loader)  # noqa: S506, TID251 - this is the card parser: a SafeLoader, narrowed further
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        raise Invalid(f"is not valid YAML: {_short(error)}") from error


def render_markdown(text: str) -> str:
    """Safe HTML of markdown: raw HTML in it is dropped to what is harmless, links open without our referrer, nothing loads
    from other sites by itself."""
    html = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable(["table", "strikethrough"]).render(text)
    clean = nh3.clean(
        html,
        tags={
            "a", "b", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "li", "ol", "p",
            "pre", "s", "strong", "sub", "sup", "table", "tbody", "td", "th", "thead", "tr", "ul",
        },
        attributes={"a": {"href", "title"}, "code": {"class"}, "ol": {"start"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="nofollow noopener noreferrer",
    )  # fmt: skip
    # a heading without words is none: to a screen reader it would name a column that has no name
    return clean.replace("<th></th>", "<td></td>")


def card_of(commit: Commit) -> Card:
    """The card at a commit; an empty one when there is no README.md, or it is under quarantine."""
    try:
        entry = entry_at(commit, "README.md")
    except EntryNotFound:
        return Card()
    if entry.is_dir or held_back(commit.repo_id, [entry.ref]):
        return Card()
    return parse_card(storage.read_blob(Blob.objects.get(pk=entry.ref), README_LIMIT).decode(errors="replace"))


def refresh_card(repo: Repo, commit: Commit) -> None:
    """Take what the card says into the repository's own columns and tag rows, in the caller's transaction. Safe to repeat. A
    broken card keeps the commit, loses the facts."""
    data = card_of(commit).data
    task = _text(data.get("pipeline_tag")) or next(iter(_texts(data.get("task_categories"))), "")
    licence = _text(data.get("license"))
    library = _text(data.get("library_name"))
    tags = [
        *_texts(data.get("tags")),
        *([task] if task else []),
        *([library] if library else []),
        *([f"license:{licence}"] if licence else []),
        *(f"dataset:{name}" for name in _texts(data.get("datasets"))),
        *(f"base_model:{name}" for name in _texts(data.get("base_model"))),
        *(f"{key}:{name}" for key in _LISTED_KEYS for name in _texts(data.get(key))),
    ]
    repo.card, repo.task, repo.licence, repo.library = data, task[:80], licence[:80], library[:80]
    repo.description = (_text(data.get("description")) or repo.description)[:400]
    repo.save(update_fields=["card", "task", "licence", "library", "description"])
    wanted = {tag[:120] for tag in tags[:_TAGS_LIMIT]}
    RepoTag.objects.filter(repo=repo).exclude(tag__in=wanted).delete()
    RepoTag.objects.bulk_create([RepoTag(repo=repo, tag=tag) for tag in sorted(wanted)], ignore_conflicts=True)


def check_card(text: str) -> Card:
    """`parse_card` for a form. Raises Invalid with the first error."""
    card = parse_card(text)
    if card.errors:
        raise Invalid(card.errors[0], fields={"card": card.errors[0]})
    return card


def _plain(value: Any) -> Any:
    """YAML's values as JSON can hold them: text keys, no NaN, no bytes, no sets."""
    if isinstance(value, dict):
        return {_clean(str(key))[:200]: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in value]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else str(value)
    if isinstance(value, float):
        return value if value - value == 0 else str(value)
    return _clean(str(value))


def _clean(text: str) -> str:
    return text.replace("\x00", "").encode(errors="replace").decode()


def _text(value: Any) -> str:
    if isinstance(value, list):
        value = value[0] if value else ""
    return value.strip() if isinstance(value, str) else ""


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [item.strip() for item in values if isinstance(item, str) and item.strip()]


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
