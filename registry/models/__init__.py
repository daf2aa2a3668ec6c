from registry.models.access import AccessRequest
from registry.models.blobs import Blob, RepoBlob, Upload, UploadPart
from registry.models.builds import Build, BuildFile, BuildMark
from registry.models.community import Collection, CollectionItem, Discussion, DiscussionEvent, RepoLike
from registry.models.exports import Export, Import, ImportedAuthor, ImportedRepo, ImportedSignature
from registry.models.garbage import GarbageRun, LostCommit, NamespaceQuota
from registry.models.history import Branch, Commit, Tag, Tree, TreePage, new_commit_id
from registry.models.licences import CustomLicence
from registry.models.moves import RepoRedirect
from registry.models.preparations import Preparation, PreparedFile
from registry.models.profiles import DatasetComparison, DatasetDerivation, DatasetPicture, DatasetProfile
from registry.models.reading import RepoReading
from registry.models.releases import (
    AliasMove,
    EnvironmentLock,
    LatestVersion,
    Measurement,
    MeasurementWithdrawal,
    SigningKey,
    VersionAlias,
    VersionMark,
    VersionSignature,
)
from registry.models.repos import Repo, RepoGroupGrant, RepoTag, RepoUserGrant
from registry.models.safety import BlockedDigest, Quarantine, RepoScan
from registry.models.sources import RepoSource
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
    "Build",
    "BuildFile",
    "BuildMark",
    "Collection",
    "CollectionItem",
    "Commit",
    "CustomLicence",
    "DatasetComparison",
    "DatasetDerivation",
    "DatasetPicture",
    "DatasetProfile",
    "Discussion",
    "DiscussionEvent",
    "EnvironmentLock",
    "Export",
    "GarbageRun",
    "Import",
    "ImportedAuthor",
    "ImportedRepo",
    "ImportedSignature",
    "LatestVersion",
    "LostCommit",
    "Measurement",
    "MeasurementWithdrawal",
    "NamespaceQuota",
    "Preparation",
    "PreparedFile",
    "Quarantine",
    "Repo",
    "RepoBlob",
    "RepoEvent",
    "RepoGroupGrant",
    "RepoLike",
    "RepoReading",
    "RepoRedirect",
    "RepoScan",
    "RepoSource",
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
