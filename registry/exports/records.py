"""The rows of a repository as the records of an export: `records.jsonl` for what can be many, one document for its settings.

People are names, as they stand on the pages; whoever did something at a site that the repository came from before is named as
there. Reads only; a number of queries that follows the number of rows by the hundred, never row by row."""

import base64
from collections.abc import Callable, Iterator
from collections.abc import Collection as Many
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Prefetch, QuerySet

from accounts.actors import Actor
from lineage.kinds import cards
from lineage.queries import edges_at
from lineage.services.record import Ref
from registry.exports.layout import KEPT
from registry.models import (
    AliasMove,
    Branch,
    Build,
    BuildFile,
    BuildMark,
    Collection,
    CollectionItem,
    DatasetDerivation,
    Discussion,
    DiscussionEvent,
    ImportedAuthor,
    ImportedRepo,
    ImportedSignature,
    Measurement,
    Repo,
    RepoGroupGrant,
    RepoTag,
    RepoUserGrant,
    ScanReport,
    Tag,
    Version,
    VersionAlias,
    VersionMark,
    VersionSignature,
)
from registry.paths import PULL_PREFIX
from registry.policies import visible_repos
from registry.queries import held_back
from registry.services.gitobjects import GitRef, History, full_name
from registry.services.signing import bundle_from, bundle_of

Record = dict[str, Any]
_AT_ONCE = 500


class Snapshot:
    """The refs of a repository at one moment, and the names that its records need. What is written meanwhile is not in the export;
    what the records then name all the same is among the kept commits, so that an export never points outside itself."""

    def __init__(self, repo: Repo) -> None:
        self.repo = repo
        self._refs = list(_refs(repo))
        self._numbers = {ref["ref"] for ref in self._refs if ref["ref"].startswith(PULL_PREFIX)}
        self._people = _people(repo)
        self.origin = ImportedRepo.objects.filter(repo=repo).first()
        self.versions = {
            key: (name, oid) for key, name, oid in _rows(Version, repo).values_list("pk", "name", "commit__oid")
        }
        self._discussions = [
            row for row in _rows(Discussion, repo).select_related("author", "branch", "base", "merge_commit")
            if row.branch is None or row.branch.name in self._numbers
        ]  # fmt: skip
        files = BuildFile.objects.filter(build__version__in=self.versions).select_related("blob")
        self.build_files = list(files.order_by("build_id", "path"))
        """Of all builds of the versions."""
        self.held = held_back(repo.pk, (file.blob_id for file in self.build_files))
        """Quarantines of blobs of builds, by blob. A build that has one stays behind."""
        # last: it has every commit that is named above
        self.history = History(repo)
        self.refs = [*self._refs, *self._kept()]

    def git_refs(self) -> list[GitRef]:
        """The refs as a bare repository has them, in git's order."""
        found = [GitRef(each["ref"], each["object"] or each["commit"], each["commit"] if each["object"] else "")
                 for each in self.refs]  # fmt: skip
        return sorted(found, key=lambda ref: ref.name.encode())

    def _kept(self) -> Iterator[Record]:
        """Commits that a version or a pull request names and no branch or tag leads to."""
        reached = self.history.reachable(self.history.at[ref["commit"]] for ref in self._refs)
        named = {oid for _, oid in self.versions.values()}
        for row in self._discussions:
            named |= {commit.oid for commit in (row.base, row.merge_commit) if commit is not None}
        for oid in sorted(named):
            if self.history.at[oid] not in reached:
                yield {"ref": f"{KEPT}{oid}", "commit": oid, "object": None, "message": "", "created_at": None}

    def person(self, kind: str, row: int, user: Any) -> str:
        """Who did something: an account's name, or the one that came along."""
        return str(user.username) if user is not None else self._people.get((kind, row), "")

    def records(self, actor: Actor) -> dict[str, Callable[[], Iterator[Record]]]:
        """A source of records for each document."""
        return {
            "refs": lambda: iter(self.refs),
            "versions": self._versions,
            "marks": self._marks,
            "aliases": self._aliases,
            "alias_moves": self._moves,
            "measurements": self._measurements,
            "signatures": self._signatures,
            "discussions": self._talks,
            "discussion_events": self._events,
            "grants": self._grants,
            "lineage": lambda: self._lineage(actor),
            "scans": self._scans,
            "derivations": self._derivations,
            "builds": self._builds,
        }

    def _name(self, key: int | None) -> str:
        return self.versions[key][0] if key in self.versions else ""

    def _versions(self) -> Iterator[Record]:
        for row in _rows(Version, self.repo).select_related("created_by").iterator(_AT_ONCE):
            if row.pk in self.versions:
                yield {
                    "uuid": str(row.uuid),
                    "name": row.name,
                    "commit": self.versions[row.pk][1],
                    "notes": row.notes,
                    "metrics": row.metrics,
                    "signature": row.signature,
                    "environment": row.environment,
                    "licence": row.licence,
                    "intended_use": row.intended_use,
                    "created_by": self.person("version", row.pk, row.created_by),
                    "created_at": time(row.created_at),
                }

    def _marks(self) -> Iterator[Record]:
        for row in self._of_versions(VersionMark).select_related("created_by").iterator(_AT_ONCE):
            yield {
                "version": self._name(row.version_id),
                "kind": row.kind,
                "reason": row.reason,
                "successor": self._name(row.successor_id),
                "due_on": row.due_on.isoformat() if row.due_on else None,
                "created_by": self.person("mark", row.pk, row.created_by),
                "created_at": time(row.created_at),
            }

    def _aliases(self) -> Iterator[Record]:
        for row in VersionAlias.objects.filter(repo=self.repo, version__in=self.versions).order_by("name"):
            yield {"name": row.name, "version": self._name(row.version_id), "moved_at": time(row.moved_at)}

    def _moves(self) -> Iterator[Record]:
        for row in _rows(AliasMove, self.repo).select_related("created_by").iterator(_AT_ONCE):
            if {row.version_id, row.before_id} <= {None, *self.versions}:
                yield {
                    "name": row.name,
                    "version": self._name(row.version_id),
                    "before": self._name(row.before_id),
                    "created_by": self.person("move", row.pk, row.created_by),
                    "created_at": time(row.created_at),
                }

    def _measurements(self) -> Iterator[Record]:
        rows = self._of_versions(Measurement).select_related("created_by", "withdrawal__created_by")
        for row in rows.iterator(_AT_ONCE):
            taken_back = getattr(row, "withdrawal", None)
            yield {
                "uuid": str(row.uuid),
                "version": self._name(row.version_id),
                "kind": row.kind,
                "name": row.name,
                "values": row.values,
                "created_by": self.person("measurement", row.pk, row.created_by),
                "created_at": time(row.created_at),
                "withdrawal": {
                    "reason": taken_back.reason,
                    "created_by": self.person("withdrawal", taken_back.pk, taken_back.created_by),
                    "created_at": time(taken_back.created_at),
                }
                if taken_back
                else None,
            }

    def _signatures(self) -> Iterator[Record]:
        """What a version brought along, then what was signed here; nothing by a key that was revoked."""
        brought = self._of_versions(ImportedSignature).iterator(_AT_ONCE)
        for row in brought:
            yield {
                "version": self._name(row.version_id),
                "algorithm": row.algorithm,
                "key_id": row.key_id,
                "public_pem": row.public_pem,
                "signer": row.signer,
                "bundle": bundle_from(row.key_id, bytes(row.statement), bytes(row.signature)),
                "created_at": time(row.created_at),
            }
        own = self._of_versions(VersionSignature).filter(key__revoked_at=None).select_related("key__namespace")
        for signed in own.iterator(_AT_ONCE):
            yield {
                "version": self._name(signed.version_id),
                "algorithm": signed.key.algorithm,
                "key_id": signed.key.key_id,
                "public_pem": signed.key.public_pem,
                "signer": signed.key.namespace.name,
                "bundle": bundle_of(signed),
                "created_at": time(signed.created_at),
            }

    def _talks(self) -> Iterator[Record]:
        for row in self._discussions:
            yield {
                "uuid": str(row.uuid),
                "number": row.number,
                "title": row.title,
                "state": row.state,
                "author": self.person("discussion", row.pk, row.author),
                "target": row.target,
                "base": row.base.oid if row.base else None,
                "merge_commit": row.merge_commit.oid if row.merge_commit else None,
                "created_at": time(row.created_at),
                "updated_at": time(row.updated_at),
            }

    def _events(self) -> Iterator[Record]:
        numbers = {row.pk: row.number for row in self._discussions}
        rows = DiscussionEvent.objects.filter(discussion__repo=self.repo).select_related("author").order_by("pk")
        for row in rows.iterator(_AT_ONCE):
            if row.discussion_id in numbers:
                yield {
                    "uuid": str(row.uuid),
                    "discussion": numbers[row.discussion_id],
                    "kind": row.kind,
                    "author": self.person("event", row.pk, row.author),
                    "data": row.data,
                    "text": row.text,
                    "history": row.history,
                    "edited_at": time(row.edited_at),
                    "hidden_at": time(row.hidden_at),
                    "created_at": time(row.created_at),
                }

    def _grants(self) -> Iterator[Record]:
        """By hand and by request; what was bought belongs to a sale, and stays here. Also what came along and was given to nobody."""
        found = list(self.origin.carried.get("grants", ())) if self.origin else []
        people = RepoUserGrant.objects.filter(content_object=self.repo).select_related("user", "permission")
        found += [_grant(row, row.user.username) for row in people if _source(row.source)]
        groups = RepoGroupGrant.objects.filter(content_object=self.repo).select_related(
            "permission", "group__organization__namespace", "group__team__organization__namespace"
        )
        found += [_grant(row, _group_name(row.group)) for row in groups if _source(row.source)]
        yield from sorted(found, key=lambda each: (each["holder"], each["source"], each["level"]))

    def _lineage(self, actor: Actor) -> Iterator[Record]:
        """Edges at the versions and builds. What the actor may not see is named by kind and uuid alone if it is this repository's, else not at all."""
        own = {Ref("version", uuid) for uuid in _rows(Version, self.repo).values_list("uuid", flat=True)}
        own |= {Ref("build", uuid) for uuid in self._whole_builds().values_list("uuid", flat=True)}
        edges = edges_at(own)
        wanted: dict[str, set[UUID]] = {}
        for source, target, _ in edges:
            for node in (source, target):
                wanted.setdefault(node.kind, set()).add(node.uuid)
        seen = cards(actor, wanted)

        def plain(ref: Ref) -> Record:
            card = seen.get((ref.kind, ref.uuid))
            return {"kind": ref.kind, "uuid": str(ref.uuid), "title": card.title[:300] if card else ""}

        for source, target, relation in edges:
            if all(node in own or (node.kind, node.uuid) in seen for node in (source, target)):
                yield {"source": plain(source), "target": plain(target), "relation": relation}

    def _scans(self) -> Iterator[Record]:
        for row in self._of_versions(ScanReport).iterator(_AT_ONCE):
            yield {
                "version": self._name(row.version_id),
                "scanner": row.scanner,
                "rules": row.rules,
                "verdict": row.verdict,
                "findings": row.findings,
                "created_at": time(row.created_at),
            }

    def _derivations(self) -> Iterator[Record]:
        rows = _rows(DatasetDerivation, self.repo).filter(version__in=self.versions).select_related("source", "user")
        for row in rows.iterator(_AT_ONCE):
            yield {
                "uuid": str(row.uuid),
                "source": row.source.name,
                "source_uuid": str(row.source.uuid),
                "version": self._name(row.version_id),
                "recipe": row.recipe,
                "asked_by": self.person("derivation", row.pk, row.user),
                "created_at": time(row.created_at),
            }

    def _builds(self) -> Iterator[Record]:
        files: dict[int, list[BuildFile]] = {}
        for file in self.build_files:
            files.setdefault(file.build_id, []).append(file)
        marks = Prefetch("marks", BuildMark.objects.select_related("created_by").order_by("pk"))
        for row in self._whole_builds().select_related("created_by").prefetch_related(marks).iterator(_AT_ONCE):
            yield {
                "uuid": str(row.uuid),
                "version": self._name(row.version_id),
                "format": row.format,
                "target": row.target,
                "program": row.program,
                "program_sha256": row.program_sha256,
                "sha256": row.sha256,
                "files": [{"path": file.path, "sha256": file.blob.sha256} for file in files[row.pk]],
                "equivalence": row.equivalence,
                "signature": row.signature,
                "environment": row.environment,
                "compared_at": row.came_from or settings.PUBLIC_URL,
                "job": str(row.job_uuid) if row.job_uuid else None,
                "created_by": self.person("build", row.pk, row.created_by),
                "created_at": time(row.created_at),
                "marks": [
                    {
                        "kind": mark.kind,
                        "reason": mark.reason,
                        "created_by": self.person("build_mark", mark.pk, mark.created_by),
                        "created_at": time(mark.created_at),
                    }
                    for mark in row.marks.all()
                ],
            }

    def _whole_builds(self) -> "QuerySet[Build]":
        """Builds that were there when the refs were read, and of which no file is held back."""
        held = {file.build_id for file in self.build_files if file.blob_id in self.held}
        there = {file.build_id for file in self.build_files}
        return Build.objects.filter(pk__in=there - held).order_by("pk")

    def _of_versions(self, model: Any) -> "QuerySet[Any]":
        rows: QuerySet[Any] = model.objects.filter(version__repo=self.repo, version__in=self.versions).order_by("pk")
        return rows

    def settings(self) -> Record:
        """The document of the repository itself."""
        repo, carried = self.repo, self.origin.carried if self.origin else {}
        by = repo.created_by.username if repo.created_by and not self.origin else carried.get("created_by", "")
        return {
            "uuid": str(repo.uuid),
            "kind": repo.kind,
            "namespace": repo.namespace.name,
            "name": repo.name,
            "visibility": repo.visibility,
            "gate": repo.gate,
            "description": repo.description,
            "default_branch": repo.default_branch,
            "card": repo.card,
            "licence": repo.licence,
            "task": repo.task,
            "library": repo.library,
            "tags": list(RepoTag.objects.filter(repo=repo).order_by("tag").values_list("tag", flat=True)),
            "parameter_count": repo.parameter_count,
            "likes": repo.likes + int(carried.get("likes", 0)),
            "downloads": repo.downloads + int(carried.get("downloads", 0)),
            "created_by": by,
            "created_at": time(repo.created_at),
            "updated_at": time(repo.updated_at),
            "origin": _origin(self.origin),
        }


def collections_of(actor: Actor, repos: Many[int], namespaces: Many[int]) -> Iterator[Record]:
    """Collections of whole `namespaces`, and of `repos` (primary keys) those that the repository's own owner put it into. Of what
    is in them, only what the actor may see."""
    rows = Collection.objects.filter(namespace__in=namespaces).select_related("namespace")
    if repos:
        own = CollectionItem.objects.filter(repo__in=repos).values("collection")
        owners = Repo.objects.filter(pk__in=repos).values("namespace")
        rows |= Collection.objects.filter(pk__in=own, namespace__in=owners).select_related("namespace")
    for row in rows.distinct().order_by("pk").iterator(100):
        items = CollectionItem.objects.filter(collection=row, repo__in=visible_repos(actor).values("pk"))
        if repos:
            items = items.filter(repo__in=repos)
        yield {
            "uuid": str(row.uuid),
            "namespace": row.namespace.name,
            "title": row.title,
            "description": row.description,
            "theme": row.theme,
            "is_private": row.is_private,
            "position": row.position,
            "created_at": time(row.created_at),
            "updated_at": time(row.updated_at),
            "items": [
                {
                    "repository": str(item.repo.uuid),
                    "kind": item.repo.kind,
                    "name": f"{item.repo.namespace.name}/{item.repo.name}",
                    "note": item.note,
                }
                for item in items.select_related("repo__namespace").order_by("position", "pk")
            ],
        }


def time(moment: datetime | None) -> str | None:
    """As the layout writes it: UTC, microseconds."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds") if moment is not None else None


def _rows(model: Any, repo: Repo) -> "QuerySet[Any]":
    rows: QuerySet[Any] = model.objects.filter(repo=repo).order_by("pk")
    return rows


def _refs(repo: Repo) -> Iterator[Record]:
    for name, oid in Branch.objects.filter(repo=repo).order_by("name").values_list("name", "head__oid"):
        yield {"ref": full_name(name), "commit": oid, "object": None, "message": "", "created_at": None}
    for tag in Tag.objects.filter(repo=repo).select_related("commit").order_by("name"):
        yield {
            "ref": f"refs/tags/{tag.name}",
            "commit": tag.commit.oid,
            "object": tag.oid or None,
            "message": tag.message,
            "created_at": time(tag.created_at),
        }


def _people(repo: Repo) -> dict[tuple[str, int], str]:
    rows = ImportedAuthor.objects.filter(repo=repo).values_list("kind", "row", "name")
    return {(kind, row): name for kind, row, name in rows.iterator(chunk_size=2000)}


def _origin(row: ImportedRepo | None) -> list[Record]:
    if row is None or row.finished_at is None:
        return []
    came = {
        "site": row.source_site,
        "name": row.source_name,
        "uuid": str(row.source_uuid),
        "exported_at": time(row.exported_at),
        "imported_at": time(row.finished_at),
    }
    return [*row.carried.get("origin", ())[-99:], came]


def _source(source: str) -> str:
    """`share`, `access`, or nothing for rights of another origin."""
    word = source.partition(":")[0]
    return word if word in {"share", "access"} else ""


def _grant(row: Any, holder: str) -> Record:
    return {
        "holder": holder,
        "level": row.permission.codename.partition("_")[0],
        "source": _source(row.source),
        "valid_until": time(row.valid_until),
        "created_at": time(row.created_at),
    }


def _group_name(group: Any) -> str:
    team = getattr(group, "team", None)
    if team is not None:
        return f"{team.organization.namespace.name}/{team.name}"
    return str(group.organization.namespace.name)


def statement_in(bundle: dict[str, Any]) -> tuple[bytes, bytes]:
    """The statement and the signature of a bundle. Raises KeyError, ValueError, TypeError, IndexError for what is none."""
    envelope = bundle["dsseEnvelope"]
    payload = base64.b64decode(envelope["payload"], validate=True)
    return payload, base64.b64decode(envelope["signatures"][0]["sig"], validate=True)
