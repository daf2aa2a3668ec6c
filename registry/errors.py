"""What can be missing or refused in the registry, apart, because clients act on the difference."""

from common.errors import Conflict, Forbidden, Invalid, NotFound, TooLarge


class RepoNotFound(NotFound):
    """No such repository, or none this actor may see."""

    default_code = "repo_not_found"


class RepoMoved(RepoNotFound):
    """The repository has another name now, and this one still leads to it. `kind`, `namespace` and `name` say which."""

    default_code = "repo_moved"


class RevisionNotFound(NotFound):
    """The repository is there; the branch, tag or commit is not."""

    default_code = "revision_not_found"


class EntryNotFound(NotFound):
    """The revision is there; the path is not. `commit_oid` says which commit was looked at."""

    default_code = "entry_not_found"


class AccessNeeded(Forbidden):
    """Visible, but its content takes a grant: ask for access, or buy it."""

    default_code = "access_needed"


class Quarantined(Forbidden):
    """The bytes are held back: nobody downloads, serves or runs them until they are released."""

    default_code = "quarantined"


class KnownMalware(Forbidden):
    """The commit brings a file that is known to be malware. `paths` lists such files."""

    default_code = "known_malware"


class RepoExists(Conflict):
    """The name is taken. `repo` holds the repository that has it, when the actor may see it."""

    default_code = "repo_exists"


class PathNotAllowed(Invalid):
    """A path that no commit may hold."""

    default_code = "path_not_allowed"


class MergeConflict(Conflict):
    """Both sides have changed the same files since they parted. `paths` lists them."""

    default_code = "merge_conflict"


class CollectionExists(Conflict):
    """The namespace has a collection of this title. `collection` holds it."""

    default_code = "collection_exists"


class QuotaExceeded(TooLarge):
    """The namespace may not store so much. `used_bytes`, `limit_bytes` and `needed_bytes` say how much of what."""

    default_code = "quota_exceeded"
