"""Questions in SQL to the sample of a dataset that its Data page shows. Asked in the sandbox, where nothing of the dataset but these rows is;
the answer is kept for a day, for whoever may read the repository and asks the same."""

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db import transaction

from accounts import throttle
from accounts.actors import Actor
from accounts.permissions import Action
from backends.sql import sandboxed
from backends.sql.limits import QUERY_CHARACTERS
from common.errors import Invalid, NotFound
from registry.models import Commit
from registry.policies import require_repo_by_uuid
from registry.services import profiles, studies
from registry.services.sandboxes import sandbox
from work.door import enqueue

if TYPE_CHECKING:
    from registry.models import Repo

KEEP = timedelta(days=1)
ASKED_IN_AN_HOUR = 60
_NAME = re.compile(r"[^a-z0-9]+")


def ask_sample(actor: Actor, repo: "Repo", commit: Commit, query: str) -> studies.Asked:
    """How a query to the sample of a commit stands; the first call asks for it. Takes a person who may read the repository. `content` is
    as `backends.sql.querying.answer` gives it. Raises Unauthenticated, NotFound, Forbidden, Invalid, and TooMany after sixty new
    queries in an hour."""
    actor.require_authenticated()
    require_repo_by_uuid(actor, repo.uuid, Action.REPO_READ)
    query = query.replace("\r\n", "\n").strip()
    if not query or len(query) > QUERY_CHARACTERS or "\x00" in query:
        raise Invalid(f"Write a query of at most {QUERY_CHARACTERS:,} characters.", fields={"query": "not a query"})
    profile = profiles.profile_of(commit)
    if profile is None:
        return studies.Asked(is_pending=True)
    if not tables_of(profile.content):
        raise Invalid("There is no table in this dataset that could be asked.", fields={"query": "no table"})
    key = _key(commit, query)
    known = studies.found([key]).get(key)
    if known is not None:
        return known
    throttle.hit("sql", str(actor.person_id), limit=ASKED_IN_AN_HOUR, window_s=3600)
    with transaction.atomic():
        if studies.begin("sql", key):
            enqueue("registry.query_sample", commit.pk, query, key=f"sql:{key}")
    return studies.found([key]).get(key, studies.Asked(is_pending=True))


def query_sample(commit_id: int, query: str) -> None:
    """Ask in the sandbox and keep the answer. Safe to repeat: it answers once."""
    commit = Commit.objects.select_related("tree", "repo").filter(pk=commit_id).first()
    if commit is None:
        raise NotFound("This commit is gone.")
    key = _key(commit, query)
    if studies.found([key]).get(key, studies.Asked()).content is not None:
        return
    tables = tables_of(profiles.profile_dataset(commit_id).content)
    with sandbox("sql") as place:
        content = sandboxed.query(place.runner, place.work, tables, query, key=place.key)
    studies.finish("sql", key, content, keep=KEEP)


def tables_of(content: dict[str, Any]) -> list[dict[str, Any]]:
    """The tables of a profile as a query names them: `name` is the table's own in small letters, with the split where there are
    several; `columns` ([name, type]) and `rows` are those that the Data page shows."""
    tables: list[dict[str, Any]] = []
    taken: set[str] = set()
    for each in content.get("tables") or []:
        columns = _columns(each)
        if not columns:
            continue
        name = _word(each["table"])
        if name in taken:
            name = f"{name}_{_word(each['split'])}"
        number = 2
        while name in taken:
            name, number = f"{name.rstrip('0123456789').rstrip('_')}_{number}", number + 1
        taken.add(name)
        tables.append(
            {
                "name": name,
                "columns": columns,
                "rows": [row[: len(columns)] for row in each["sample"] if len(row) >= len(columns)],
                "all_rows": each["rows"],
            }
        )
    return tables


def _columns(table: dict[str, Any]) -> list[list[str]]:
    """Names and types of the columns that the sample has; of two whose names differ in case alone, which SQL cannot tell apart, the
    second gets a number."""
    width = len(table["sample"][0]) if table["sample"] else len(table["columns"])
    found: list[list[str]] = []
    taken: set[str] = set()
    for number, each in enumerate(table["columns"][:width], 1):
        name = each["name"] or f"column_{number}"
        if name.lower() in taken:
            name = f"{name}_{number}"
        taken.add(name.lower())
        found.append([name, each["type"]])
    return found


def _word(text: str) -> str:
    word = _NAME.sub("_", text.lower()).strip("_")[:60]
    return word if word and not word[0].isdigit() else f"table_{word}".rstrip("_")


def _key(commit: Commit, query: str) -> str:
    return studies.key_of("sql", commit.repo_id, commit.tree.oid, profiles.RULES, query)
