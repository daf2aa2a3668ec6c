"""The records of an export as rows of a repository that is being imported: each checked as the service checks it that would have
made it, then written as it was, with its own dates.

People of the other site are names. Nobody here becomes an author or gets a right because somebody there was called the same: who
is who, only the operator says."""

import hashlib
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid5

from accounts.actors import Actor
from accounts.permissions import Level
from accounts.policies import require_holder
from accounts.services import grants
from common.clock import now
from common.errors import Invalid
from common.ids import new_uuid
from lineage.kinds import cards
from lineage.services.record import Ref, record_edge, record_node
from registry import version_names
from registry.exports.layout import KEPT
from registry.exports.reading import Archive
from registry.exports.records import statement_in
from registry.measurements import LIMIT, bounded_object, check_hardware, check_metric, check_metrics, check_name
from registry.models import (
    AliasMove,
    Blob,
    Branch,
    Build,
    BuildFile,
    BuildMark,
    Commit,
    DatasetDerivation,
    Discussion,
    DiscussionEvent,
    ImportedAuthor,
    ImportedSignature,
    Measurement,
    MeasurementWithdrawal,
    Repo,
    Tag,
    Version,
    VersionAlias,
    VersionMark,
)
from registry.paths import PULL_PREFIX, check_alias, check_path, check_ref
from registry.services import signing
from registry.services.builds import digest_of, proven
from registry.services.gitpush import Push
from registry.states import DerivationState, DiscussionState, EventKind, MarkKind, MeasurementKind, RepoKind
from registry.version_names import check_version

_AT_ONCE = 500
_HEADS, _TAGS = "refs/heads/", "refs/tags/"
_TELLS: dict[str, set[str]] = {
    EventKind.COMMENT: set(),
    EventKind.STATUS: {"status"},
    EventKind.TITLE: {"from", "to"},
    EventKind.COMMIT: {"subject", "oid"},
}
"""What must stand in the data of an event."""
Record = dict[str, Any]


@dataclass
class Coming:
    """One repository on its way in. `documents` gives the checked records of a document; `people` maps a name there to a name
    here."""

    actor: Actor
    repo: Repo
    source_uuid: str
    push: Push
    documents: Callable[[str], Iterator[Record]]
    people: Mapping[str, str] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
    """What could not be brought along, counted by kind."""
    versions: dict[str, Version] = field(default_factory=dict)
    _authors: list[ImportedAuthor] = field(default_factory=list)
    _holders: dict[str, Any] = field(default_factory=dict)
    _uuids: dict[str, UUID] = field(default_factory=dict)

    # Before anything is written

    def check(self) -> None:
        """All that can be said without writing. Raises Invalid."""
        names = {record["ref"] for record in self.documents("refs")}
        check_refs(names)
        commits = {record["name"]: record["commit"] for record in self.documents("versions")}
        for record in self.documents("signatures"):
            self._check_signature(record, commits)

    def _check_signature(self, record: Record, commits: Mapping[str, str]) -> None:
        """It must be a signature by the key it names, and over the files of the commit that the version is."""
        wrong = Invalid(
            f"The signature of version {record['version']} by {record['key_id'][:12]} is not one of its files."
        )
        oid = commits.get(record["version"], "")
        try:
            statement, signature = statement_in(record["bundle"])
            told = json.loads(statement)
            subject, about = told["subject"][0]["digest"]["sha256"], told["predicate"]["version"]["commit"]
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise wrong from error
        pem = record["public_pem"]
        if hashlib.sha256(pem.encode()).hexdigest() != record["key_id"] or about != oid:
            raise wrong
        if not signing.is_signed(pem, statement, signature):
            raise wrong
        if signing.root_of(signing.resources_of(self._commit(oid))) != subject:
            raise wrong

    def heads(self) -> list[Commit]:
        """The commits that the refs lead to."""
        return [self._commit(record["commit"]) for record in self.documents("refs")]

    # Rows, in the caller's transaction

    def write(self) -> None:
        """Everything that the archive says of the repository but its settings. Raises Invalid."""
        self._refs()
        self._versions()
        self._marks()
        self._aliases()
        self._measurements()
        self._signatures()
        self._discussions()
        self._derivations()
        self._builds()
        self._lineage()
        ImportedAuthor.objects.bulk_create(self._authors, batch_size=_AT_ONCE)

    def _refs(self) -> None:
        branches, tags = [], []
        for record in self.documents("refs"):
            name, head = record["ref"], self._commit(record["commit"])
            if name.startswith((_HEADS, PULL_PREFIX)):
                branches.append(Branch(repo=self.repo, name=name.removeprefix(_HEADS), head=head))
            elif name.startswith(_TAGS):
                tags.append(self._tag(record, name.removeprefix(_TAGS), head))
        Branch.objects.bulk_create(branches, batch_size=_AT_ONCE)
        Tag.objects.bulk_create(tags, batch_size=_AT_ONCE)

    def _tag(self, record: Record, name: str, head: Commit) -> Tag:
        made = moment(record["created_at"]) or now()
        if record["object"] is None:
            return Tag(repo=self.repo, name=name, commit=head, message=record["message"], created_at=made)
        tag = self.push.tags.get(record["object"])
        if tag is None or tag.commit != head.oid:
            raise Invalid(f"The tag {name} does not lead where its object does.")
        return Tag(
            repo=self.repo, name=name, commit=head, message=tag.message, oid=tag.oid, raw=tag.raw, created_at=made
        )

    def _versions(self) -> None:
        parsed: set[Any] = set()
        for record in self.documents("versions"):
            name = check_version(record["name"])
            if (known := version_names.parse(name)) in parsed:
                raise Invalid(f"Version {name} is there twice, perhaps in another spelling.")
            parsed.add(known)
            commit = self._commit(record["commit"])
            version = Version.objects.create(
                uuid=self._uuid(Version, record["uuid"]),
                repo=self.repo,
                name=name,
                commit=commit,
                notes=record["notes"],
                metrics=check_metrics(record["metrics"]),
                signature=bounded_object(record["signature"], "signature"),
                environment=bounded_object(record["environment"], "environment"),
                licence=record["licence"],
                intended_use=record["intended_use"],
                created_by_id=self._person(record["created_by"]),
                created_at=instant(record["created_at"]),
            )
            self._note("version", version.pk, record["created_by"])
            self.versions[name] = version
            tag, _ = Tag.objects.get_or_create(repo=self.repo, name=name, defaults={"commit": commit})
            if tag.commit_id != commit.pk:
                raise Invalid(f"The tag {name} does not lead to the commit of the version.")

    def _marks(self) -> None:
        for record in self.documents("marks"):
            mark = VersionMark.objects.create(
                version=self._version(record["version"]),
                kind=record["kind"],
                reason=record["reason"],
                successor=self._version(record["successor"]) if record["successor"] else None,
                due_on=_day(record["due_on"]),
                created_by_id=self._person(record["created_by"]),
                created_at=instant(record["created_at"]),
            )
            self._note("mark", mark.pk, record["created_by"])

    def _aliases(self) -> None:
        yanked: dict[int, bool] = {}
        marks = VersionMark.objects.filter(version__repo=self.repo, kind__in=[MarkKind.YANKED, MarkKind.RESTORED])
        for version_id, kind in marks.order_by("pk").values_list("version_id", "kind"):
            yanked[version_id] = kind == MarkKind.YANKED
        for record in self.documents("aliases"):
            version = self._version(record["version"])
            if yanked.get(version.pk):
                raise Invalid(f"The alias {record['name']} points to a withdrawn version.")
            if self._is_ref(check_alias(record["name"])):
                raise Invalid(f"{record['name']} is an alias and a branch or tag as well.")
            VersionAlias.objects.create(
                repo=self.repo, name=record["name"], version=version, moved_at=instant(record["moved_at"])
            )
        for record in self.documents("alias_moves"):
            move = AliasMove.objects.create(
                repo=self.repo,
                name=check_alias(record["name"]),
                version=self._version(record["version"]) if record["version"] else None,
                before=self._version(record["before"]) if record["before"] else None,
                created_by_id=self._person(record["created_by"]),
                created_at=instant(record["created_at"]),
            )
            self._note("move", move.pk, record["created_by"])

    def _is_ref(self, name: str) -> bool:
        return any(table.objects.filter(repo=self.repo, name=name).exists() for table in (Branch, Tag))

    def _measurements(self) -> None:
        counts: dict[str, int] = {}
        for record in self.documents("measurements"):
            counts[record["version"]] = counts.get(record["version"], 0) + 1
            if counts[record["version"]] > LIMIT:
                raise Invalid(f"A version has at most {LIMIT} measurements.")
            name = check_name(record["name"])
            values = record["values"]
            is_metric = record["kind"] == MeasurementKind.METRIC
            measurement = Measurement.objects.create(
                uuid=self._uuid(Measurement, record["uuid"]),
                version=self._version(record["version"]),
                kind=record["kind"],
                name=name,
                values=check_metric(name, values) if is_metric else check_hardware(name, values),
                created_by_id=self._person(record["created_by"]),
                created_at=instant(record["created_at"]),
            )
            self._note("measurement", measurement.pk, record["created_by"])
            if (taken_back := record["withdrawal"]) is not None:
                withdrawal = MeasurementWithdrawal.objects.create(
                    measurement=measurement,
                    reason=taken_back["reason"],
                    created_by_id=self._person(taken_back["created_by"]),
                    created_at=instant(taken_back["created_at"]),
                )
                self._note("withdrawal", withdrawal.pk, taken_back["created_by"])

    def _signatures(self) -> None:
        for record in self.documents("signatures"):
            statement, signature = statement_in(record["bundle"])
            ImportedSignature.objects.get_or_create(
                version=self._version(record["version"]),
                key_id=record["key_id"],
                defaults={
                    "algorithm": record["algorithm"],
                    "public_pem": record["public_pem"],
                    "signer": record["signer"],
                    "statement": zlib.compress(statement),
                    "signature": signature,
                    "created_at": instant(record["created_at"]),
                },
            )

    def _discussions(self) -> None:
        branches = {row.name: row for row in Branch.objects.filter(repo=self.repo, name__startswith=PULL_PREFIX)}
        found: dict[int, Discussion] = {}
        for record in self.documents("discussions"):
            number = record["number"]
            branch = branches.pop(f"{PULL_PREFIX}{number}", None)
            is_pull, is_merged = branch is not None, record["state"] == DiscussionState.MERGED
            fits = is_pull == bool(record["target"]) == (record["base"] is not None)
            fits = fits and is_merged == (record["merge_commit"] is not None)
            fits = fits and (is_pull or record["state"] in {DiscussionState.OPEN, DiscussionState.CLOSED})
            if not fits or number in found:
                raise Invalid(f"Discussion {number} is neither a discussion nor a pull request, or there twice.")
            found[number] = Discussion.objects.create(
                uuid=self._uuid(Discussion, record["uuid"]),
                repo=self.repo,
                number=number,
                title=record["title"],
                state=record["state"],
                author_id=self._person(record["author"]),
                branch=branch,
                target=record["target"],
                base=self._commit(record["base"]) if record["base"] else None,
                merge_commit=self._commit(record["merge_commit"]) if record["merge_commit"] else None,
                created_at=instant(record["created_at"]),
                updated_at=instant(record["updated_at"]),
            )
            self._note("discussion", found[number].pk, record["author"])
        if branches:
            raise Invalid(f"{min(branches)} is the branch of no pull request.")
        for record in self.documents("discussion_events"):
            if record["discussion"] not in found:
                raise Invalid(f"There is no discussion {record['discussion']}.")
            if not _TELLS[record["kind"]] <= record["data"].keys():
                raise Invalid(f"Discussion {record['discussion']} has an event that does not say what happened.")
            event = DiscussionEvent.objects.create(
                uuid=self._uuid(DiscussionEvent, record["uuid"]),
                discussion=found[record["discussion"]],
                kind=record["kind"],
                author_id=self._person(record["author"]),
                data=record["data"],
                text=record["text"],
                history=record["history"],
                edited_at=moment(record["edited_at"]),
                hidden_at=moment(record["hidden_at"]),
                created_at=instant(record["created_at"]),
            )
            self._note("event", event.pk, record["author"])

    def _derivations(self) -> None:
        """Those whose source came along; of the others the version says in its files what it was made of."""
        own = {record["uuid"]: record["name"] for record in self.documents("versions")}
        for record in self.documents("derivations"):
            if record["source_uuid"] not in own:
                self._leave("derivations")
                continue
            version = self._version(record["version"])
            row = DatasetDerivation.objects.create(
                uuid=self._uuid(DatasetDerivation, record["uuid"]),
                repo=self.repo,
                source=self.versions[own[record["source_uuid"]]],
                recipe=bounded_object(record["recipe"], "recipe"),
                version_name=version.name,
                version=version,
                state=DerivationState.DONE,
                user_id=self._person(record["asked_by"]),
                created_at=instant(record["created_at"]),
            )
            self._note("derivation", row.pk, record["asked_by"])

    def _builds(self) -> None:
        """With the comparison of the site where they were made, which is said wherever they are shown."""
        large = {record["sha256"] for record in self.documents("large_files")}
        for record in self.documents("builds"):
            version = self._version(record["version"])
            listed = {check_path(each["path"]): each["sha256"] for each in record["files"]}
            if self.repo.kind != RepoKind.MODEL:
                raise Invalid("Only versions of models have builds.")
            if len(listed) != len(record["files"]) or not set(listed.values()) <= large:
                raise Invalid(f"A build of {version.name} names a file twice, or one that large_files does not have.")
            if digest_of(listed.items()) != record["sha256"]:
                raise Invalid(f"A build of {version.name} has other files than its digest says.")
            blobs = Blob.objects.in_bulk(listed.values(), field_name="sha256")
            uuid = self._uuid(Build, record["uuid"])
            build = Build.objects.create(
                uuid=uuid,
                version=version,
                format=record["format"],
                target=record["target"],
                program=record["program"],
                program_sha256=record["program_sha256"],
                sha256=record["sha256"],
                size_bytes=sum(blobs[sha256].size_bytes for sha256 in listed.values()),
                equivalence=proven(record["equivalence"]),
                signature=bounded_object(record["signature"], "signature"),
                environment=bounded_object(record["environment"], "environment"),
                came_from=record["compared_at"],
                job_uuid=_uuid(record["job"]) if record["job"] else None,
                key=f"import:{uuid}",
                created_by_id=self._person(record["created_by"]),
                created_at=instant(record["created_at"]),
            )
            self._note("build", build.pk, record["created_by"])
            BuildFile.objects.bulk_create(
                [BuildFile(build=build, path=path, blob=blobs[sha256]) for path, sha256 in listed.items()],
                batch_size=_AT_ONCE,
            )
            self._build_marks(build, record["marks"])
            record_node(Ref("build", uuid))

    def _build_marks(self, build: Build, marks: Iterable[Record]) -> None:
        for told in marks:
            mark = BuildMark.objects.create(
                build=build,
                kind=told["kind"],
                reason=told["reason"],
                created_by_id=self._person(told["created_by"]),
                created_at=instant(told["created_at"]),
            )
            self._note("build_mark", mark.pk, told["created_by"])

    def _lineage(self) -> None:
        """Edges into what came along, from what came along too or what the actor sees here. What somebody else's thing was made of is
        not said by whoever brings an archive."""
        records = list(self.documents("lineage"))
        wanted: dict[str, set[UUID]] = {}
        for record in records:
            wanted.setdefault(record["source"]["kind"], set()).add(_uuid(record["source"]["uuid"]))
        seen = cards(self.actor, wanted)
        own = {
            (kind[:-1], str(_uuid(record["uuid"])))
            for kind in ("versions", "builds")
            for record in self.documents(kind)
        }
        for record in records:
            source, target = (
                Ref(end["kind"], self._uuids.get(end["uuid"], _uuid(end["uuid"])))
                for end in (record["source"], record["target"])
            )
            into_own = (target.kind, record["target"]["uuid"]) in own
            from_own = (source.kind, record["source"]["uuid"]) in own
            if into_own and source != target and (from_own or (source.kind, source.uuid) in seen):
                record_edge(source, target, record["relation"])
            else:
                self._leave("lineage")

    def grant(self) -> list[Record]:
        """Give the rights whose holders the operator has named; returns the others, which are kept for the next export."""
        kept = []
        for record in self.documents("grants"):
            holder = self._holder(record["holder"])
            owner = self.repo.namespace.organization or self.repo.namespace.user
            if holder is None:
                kept.append(record)
                self._leave("grants")
            elif holder != owner:
                level = Level[record["level"].upper()]
                until = moment(record["valid_until"])
                grants.grant(self.actor, self.repo, holder, level, source=grants.SHARE, valid_until=until)
        return kept

    # People and things by name

    def _holder(self, name: str) -> Any:
        """Whom the operator has said that this is; None for everybody else."""
        wanted = self.people.get(name)
        if wanted is None:
            return None
        if wanted not in self._holders:
            self._holders[wanted] = require_holder(self.actor, wanted)
        return self._holders[wanted]

    def _person(self, name: str) -> int | None:
        holder = self._holder(name)
        return holder.pk if holder is not None and type(holder).__name__ == "User" else None

    def _note(self, kind: str, row: int, name: str) -> None:
        if name and self._person(name) is None:
            self._authors.append(ImportedAuthor(repo=self.repo, kind=kind, row=row, name=name))

    def _leave(self, what: str) -> None:
        self.left[what] = self.left.get(what, 0) + 1

    def _uuid(self, model: Any, text: str) -> UUID:
        """Its own when nothing here has it, else one that follows from it and from this repository."""
        wanted = _uuid(text)
        if model.objects.filter(uuid=wanted).exists():
            wanted = uuid5(self.repo.uuid, text)
        self._uuids[text] = wanted
        return wanted

    def _commit(self, oid: str) -> Commit:
        commit = self.push.known.get(oid)
        if commit is None:
            raise Invalid(f"The history does not hold the commit {oid[:40]}.")
        return commit

    def _version(self, name: str) -> Version:
        if name not in self.versions:
            raise Invalid(f"There is no version {name[:80]} in the archive.")
        return self.versions[name]


def check_refs(names: Iterable[str]) -> None:
    """Raises Invalid for what no branch or tag can be called, and for a name that another one is a folder of."""
    listed = sorted(names)
    taken = set(listed)
    if len(listed) != len(taken):
        raise Invalid("A branch or tag is there twice.")
    for name in listed:
        parts = name.split("/")
        if name.startswith((_HEADS, _TAGS)):
            check_ref(name.removeprefix(_HEADS if name.startswith(_HEADS) else _TAGS))
        elif name.startswith(PULL_PREFIX):
            number = name.removeprefix(PULL_PREFIX)
            if not (number.isascii() and number.isdigit()) or number != str(int(number)):
                raise Invalid(f"{name[:80]} is not the branch of a pull request.")
        elif not name.startswith(KEPT):
            raise Invalid(f"{name[:80]} is neither a branch nor a tag.")
        if any("/".join(parts[:count]) in taken for count in range(1, len(parts))):
            raise Invalid(f"{name[:80]} cannot be there together with a part of it: to git, one is a folder.")


def documents_of(archive: Archive, uuid: str) -> Callable[[str], Iterator[Record]]:
    """The records of one repository, by document."""
    return lambda kind: archive.records(f"repositories/{uuid}/{kind}.jsonl", kind)


def free_uuid(model: Any, text: str) -> UUID:
    """The uuid itself when nothing here has it, else a new one."""
    wanted = _uuid(text)
    return new_uuid() if model.objects.filter(uuid=wanted).exists() else wanted


def moment(text: str | None) -> datetime | None:
    """A time, or none."""
    return None if text is None else instant(text)


def instant(text: str) -> datetime:
    """A time of the layout. Raises Invalid for one that there is not."""
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise Invalid(f"{text[:40]} is not a time.") from error


def _day(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError as error:
        raise Invalid(f"{str(text)[:40]} is not a day.") from error


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise Invalid(f"{text[:40]} is not a uuid.") from error
