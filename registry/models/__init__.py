from registry.models.access import AccessRequest
from registry.models.blobs import Blob, RepoBlob, Upload, UploadPart
from registry.models.community import Collection, CollectionItem, Discussion, DiscussionEvent, RepoLike
from registry.models.exports import Export, Import, ImportedAuthor, ImportedRepo, ImportedSignature
from registry.models.garbage import GarbageRun, LostCommit, NamespaceQuota
from registry.models.history import Branch, Commit, Tag, Tree, TreePage, new_commit_id
from registry.models.moves import RepoRedirect
from registry.models.profiles import DatasetComparison, DatasetDerivation, DatasetPicture, DatasetProfile
from registry.models.releases import (
    AliasMove,
    LatestVersion,
    Measurement,
    SigningKey,
    VersionAlias,
    VersionMark,
    VersionSignature,
)
from registry.models.repos import Repo, RepoGroupGrant, RepoTag, RepoUserGrant
from registry.models.safety import BlockedDigest, Quarantine, RepoScan
from registry.models.studies import Study, Trial
from registry.models.versions import BlobPreview, BlobScan, ScanReport, Version
from registry.models.webhooks import RepoEvent, Webhook, WebhookDelivery, WebhookWatch

__all__ = [
    "AccessRequest",
    "AliasMove",
    "Blob",
    "BlobPreview",
    "BlobScan",
    "BlockedDigest",
    "Branch",
    "Collection",
    "CollectionItem",
    "Commit",
    "DatasetComparison",
    "DatasetDerivation",
    "DatasetPicture",
    "DatasetProfile",
    "Discussion",
    "DiscussionEvent",
    "Export",
    "GarbageRun",
    "Import",
    "ImportedAuthor",
    "ImportedRepo",
    "ImportedSignature",
    "LatestVersion",
    "LostCommit",
    "Measurement",
    "NamespaceQuota",
    "Quarantine",
    "Repo",
    "RepoBlob",
    "RepoEvent",
    "RepoGroupGrant",
    "RepoLike",
    "RepoRedirect",
    "RepoScan",
    "RepoTag",
    "RepoUserGrant",
    "ScanReport",
    "SigningKey",
    "Study",
    "Tag",
    "Tree",
    "TreePage",
    "Trial",
    "Upload",
    "UploadPart",
    "Version",
    "VersionAlias",
    "VersionMark",
    "VersionSignature",
    "Webhook",
    "WebhookDelivery",
    "WebhookWatch",
    "new_commit_id",
]
