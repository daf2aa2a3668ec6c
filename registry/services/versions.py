"""Publishing versions: a commit gets a name for good."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from django.db import IntegrityError, transaction

from accounts.actors import Actor
from accounts.permissions import Action
from accounts.services import audit
from common.clock import now
from common.errors import Conflict, Invalid
from lineage.services.record import Ref, record_edge
from registry import version_names
from registry.measurements import LIMIT, bounded_object, check_hardware, check_metrics, check_name
from registry.models import Commit, Measurement, Repo, Tag, Version
from registry.policies import require_repo_by_uuid
from registry.queries import resolve_revision
from registry.services.cards import card_of
from registry.services.documents import documents_of
from registry.services.fetching import record_sources
from registry.services.holdings import keep_commits
from registry.services.profiles import require_rules_kept
from registry.services.standing import lock_repo, refresh_latest
from registry.states import MeasurementKind, RepoKind
from registry.version_names import check_version
from work.door import enqueue

NOTES_LIMIT = 20_000
_LICENCE_LIMIT = 80


def publish_version(
    actor: Actor,
    repo: Repo,
    revision: str,
    *,
    name: str,
    notes: str = "",
    metrics: Mapping[str, Any] | None = None,
    signature: Mapping[str, Any] | None = None,
    environment: Mapping[str, Any] | None = None,
    licence: str = "",
    intended_use: str = "",
    hardware: Sequence[Mapping[str, Any]] = (),
    key: str | None = None,
) -> Version:
    """Release the commit at `revision` under `name`, for good. Needs the right to write. Licence, intended use and, of a dataset, the
    tables are taken from the card and the documents of the commit where they are not given. Writes the version, a tag of its
    name, the lineage node (and an edge from the version before), what was measured on `hardware` (`{name, values}`), audit; asks
    for a scan, for signatures and for its environment lock to be read. With a `key`, a second call returns what the first made.
    Raises Invalid, RevisionNotFound, Conflict when the name is taken, also in another spelling, and while the data are held against
    rules that block; Invalid when they break one."""
    repo = require_repo_by_uuid(actor, repo.uuid, Action.REPO_WRITE)
    if key is not None and (known := Version.objects.filter(key=key, repo=repo).select_related("commit").first()):
        return known
    check_version(name)
    for field, text in (("notes", notes), ("intended_use", intended_use)):
        if len(text) > NOTES_LIMIT or "\x00" in text:
            raise Invalid(
                f"Release notes and intended use may have {NOTES_LIMIT} characters.", fields={field: "too long"}
            )
    if len(licence) > _LICENCE_LIMIT or not (licence or "x").isprintable():
        raise Invalid(f"A licence is named in {_LICENCE_LIMIT} characters.", fields={"licence": "not valid"})
    if len(hardware) > LIMIT:
        raise Invalid(f"A version has at most {LIMIT} measurements.", fields={"hardware": "too many"})
    machines = [_machine(each) for each in hardware]
    commit = resolve_revision(repo, revision)
    if repo.kind == RepoKind.DATASET:
        require_rules_kept(commit)
    told = _told(repo, commit, licence=licence.strip(), intended_use=intended_use.strip(), signature=signature)
    full_name = f"{repo.namespace.name}/{repo.name}"
    taken = Conflict(f"{full_name} has a version {name} already.", code="version_exists")
    try:
        with transaction.atomic():
            lock_repo(repo)
            keep_commits(repo, [commit])
            for other in Version.objects.filter(repo=repo).values_list("name", flat=True):
                if other.lower() != name.lower() and version_names.parse(other) == version_names.parse(name):
                    raise Conflict(
                        f"{full_name} has a version {other} already, which is {name} written in another way.",
                        code="version_exists",
                    )
            before = Version.objects.filter(repo=repo).order_by("-created_at", "-pk").first()
            version = Version.objects.create(
                repo=repo,
                name=name,
                commit=commit,
                notes=notes.strip(),
                metrics=check_metrics(metrics),
                environment=bounded_object(environment, "environment"),
                **told,
                key=key,
                created_by_id=actor.user_id,
                created_at=now(),
            )
            tag, is_new = Tag.objects.get_or_create(repo=repo, name=name, defaults={"commit": commit})
            if not is_new and tag.commit_id != commit.pk:
                raise taken
            Measurement.objects.bulk_create(
                Measurement(
                    version=version,
                    kind=MeasurementKind.HARDWARE,
                    name=machine,
                    values=values,
                    created_by_id=actor.user_id,
                    created_at=version.created_at,
                )
                for machine, values in machines
            )
            refresh_latest(repo)
            if before is not None:
                record_edge(Ref("version", before.uuid), Ref("version", version.uuid), "next_version")
            record_sources(repo, version, commit)
            audit.record(
                actor,
                "registry:version:published",
                "version",
                version.uuid,
                namespace_id=repo.namespace_id,
                repo=str(repo.uuid),
                name=name,
                commit=commit.oid,
            )
            Repo.objects.filter(pk=repo.pk).update(updated_at=now())
            enqueue("registry.scan_version", version.pk, key=f"scan-version:{version.pk}")
            enqueue("registry.sign_version", version.pk, key=f"sign-version:{version.pk}")
            enqueue("registry.read_environment", version.pk, key=f"read-environment:{version.pk}")
            if repo.kind == RepoKind.DATASET:
                enqueue("registry.profile_dataset", commit.pk, key=f"profile-dataset:{commit.pk}")
    except IntegrityError as error:
        raise taken from error
    return version


def _machine(given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    name = check_name(str(given.get("name", "")), "hardware")
    return name, check_hardware(name, given.get("values"))


def _told(
    repo: Repo, commit: Commit, *, licence: str, intended_use: str, signature: Mapping[str, Any] | None
) -> dict[str, Any]:
    """What the publisher says, and where that is nothing, what the card and the documents of the commit say."""
    checked = bounded_object(signature, "signature")
    documents = documents_of(commit)
    card = card_of(commit).data.get("license")
    card_licence = card[0] if isinstance(card, list) and card else card
    if repo.kind == RepoKind.DATASET and not checked and documents.tables:
        # a document that describes more than fits must not keep anybody from publishing
        with suppress(Invalid):
            checked = bounded_object({"tables": documents.tables}, "signature")
    return {
        "licence": licence or (card_licence if isinstance(card_licence, str) else "")[:80] or documents.licence,
        "intended_use": intended_use or documents.intended_use,
        "signature": checked,
    }
