"""Publishing licences of one's own, and choosing the licence of a repository."""

import hashlib
import re
from dataclasses import asdict

import yaml
from django.db import IntegrityError, transaction

from accounts.actors import Actor
from accounts.permissions import Action
from accounts.policies import require_namespace
from accounts.services import audit
from common.errors import Conflict, Invalid
from registry.licence_queries import resolved, terms_of
from registry.licence_terms import Terms
from registry.licences import CUSTOM, TEXT_LIMIT
from registry.models import Blob, Commit, CustomLicence, Repo
from registry.policies import require_repo_by_uuid
from registry.queries import entry_at_or_none, head_of
from registry.services import storage, uploads
from registry.services.cards import README_LIMIT, parse_card
from registry.services.commits import AddFile, create_commit

LICENCE_LIMIT = 200_000
"""Characters of a licence's text."""
TITLE_LIMIT = 120
_NAME = re.compile(r"[a-z0-9]+(?:[.-][a-z0-9]+)*")
_NUMBERED = re.compile(r"(?:^|.*-)v\d+")
_NAME_LIMIT = 60
_LICENSE_LINES = re.compile(r"^license[ \t]*:.*(?:\n(?:[ \t]+\S.*|-[ \t].*|[ \t]*))*(?:\n|\Z)", re.MULTILINE)
_HEAD = re.compile(r"\A\ufeff?---[ \t]*\r?\n")


def publish_licence(actor: Actor, namespace: str, *, name: str, title: str, text: str, terms: Terms) -> CustomLicence:
    """Publish the text and the terms of a licence of a namespace, for those who may publish there. The first of a name is called
    `LicenseRef-<namespace>-<name>`; another wording or other terms under the same name become the next number, with `-v2`, `-v3`…
    behind it, and what was given under an earlier one stays under that. The newest wording once more changes nothing. Writes the
    licence and audit. Raises Invalid per field, Conflict when the identifier is another's, NotFound, Forbidden."""
    owner = require_namespace(actor, namespace, Action.NAMESPACE_PUBLISH)
    name, title, text = name.strip().lower(), title.strip(), text.replace("\r\n", "\n").strip()
    faults: dict[str, str] = {}
    if not _NAME.fullmatch(name) or len(name) > _NAME_LIMIT or _NUMBERED.fullmatch(name):
        faults["name"] = f"1 to {_NAME_LIMIT} letters, digits, dots and dashes, without a number like -v2 at its end"
    if not title or len(title) > TITLE_LIMIT or not title.isprintable():
        faults["title"] = f"1 to {TITLE_LIMIT} characters"
    if not text or len(text) > LICENCE_LIMIT or "\x00" in text:
        faults["text"] = f"1 to {LICENCE_LIMIT:,} characters"
    base = f"{CUSTOM}{owner.name.replace('_', '-')}-{name}"
    if not faults and len(f"{base}-v999") > TEXT_LIMIT:
        faults["name"] = f"too long: the identifier {base} and a number must fit into {TEXT_LIMIT} characters"
    if faults:
        raise Invalid(
            "Please correct: " + "; ".join(f"{field}: {fault}" for field, fault in faults.items()), fields=faults
        )
    digest = hashlib.sha256(text.encode()).hexdigest()
    try:
        with transaction.atomic():
            newest = CustomLicence.objects.filter(namespace=owner, name=name).order_by("-number").first()
            if newest and (newest.title, newest.text_sha256, terms_of(newest)) == (title, digest, terms):
                return newest
            number = newest.number + 1 if newest else 1
            row = CustomLicence.objects.create(
                namespace=owner,
                name=name,
                number=number,
                key=base if number == 1 else f"{base}-v{number}",
                title=title,
                text=text,
                text_sha256=digest,
                created_by_id=actor.user_id,
                **asdict(terms),
            )
            audit.record(
                actor,
                "registry:licence:published",
                "licence",
                row.uuid,
                namespace_id=owner.pk,
                key=row.key,
                text_sha256=digest,
                terms=asdict(terms),
            )
    except IntegrityError as error:
        raise Conflict(
            f"The identifier {base} is taken, or somebody published under it at the same moment: choose another name or try again.",
            code="licence_exists",
            fields={"name": "taken"},
        ) from error
    return row


def choose_licence(actor: Actor, repo: Repo, licence: str) -> Commit:
    """Put a licence, an SPDX expression of known licences, into the card of a repository: the line `license:` of README.md's front
    matter on the default branch. Versions keep what they were published under; the next takes this one, and so do those that
    state none. For those who may write. The same licence again makes no commit. Raises Invalid when its terms are not known or the
    card cannot be read, NotFound, Forbidden."""
    repo = require_repo_by_uuid(actor, repo.uuid, Action.REPO_WRITE)
    licence = licence.strip()
    if len(licence) > TEXT_LIMIT:
        raise Invalid(f"A licence is named in {TEXT_LIMIT} characters.", fields={"licence": "too long"})
    found = resolved([licence])[licence]
    if not found.is_known:
        raise Invalid(found.problem, fields={"licence": "not known"})
    head = head_of(repo)
    entry = entry_at_or_none(head, "README.md")
    text = ""
    if entry is not None and not entry.is_dir:
        text = storage.read_blob(Blob.objects.get(pk=entry.ref), README_LIMIT).decode(errors="replace")
    card = parse_card(text)
    if card.errors:
        raise Invalid(f"Mend README.md first: {card.errors[0]}", fields={"licence": "the card is broken"})
    if str(card.data.get("license", "")) == found.expression:
        return head
    blob = storage.store_bytes(_with_licence(text, found.expression).encode())
    uploads.attach(repo, blob)
    return create_commit(
        actor,
        repo,
        repo.default_branch,
        [AddFile("README.md", blob)],
        summary=f"Put it under {found.expression}"[:200],
        parent=head.oid,
    )


def _with_licence(text: str, licence: str) -> str:
    """The README with this licence in its front matter; everything else stays as it was written."""
    line = yaml.safe_dump({"license": licence}, allow_unicode=True, width=1000)
    match = _HEAD.match(text)
    if match is None:
        return f"---\n{line}---\n{text}"
    head, rest = text[: match.end()], text[match.end() :]
    end = re.search(r"^---[ \t]*\r?$", rest, re.MULTILINE)
    assert end is not None
    front = _LICENSE_LINES.sub("", rest[: end.start()], count=1)
    return f"{head}{line}{front}{rest[end.start() :]}"
