"""Addresses of repositories."""

from django.urls import path

from api.v1.registry import comparing, datasets, sources, storage, version_views, views

REPO = "repos/<str:kind>/<str:namespace>/<str:name>"
VERSION = f"{REPO}/versions/<str:version>"

urlpatterns = [
    path("namespaces/<str:name>/storage", storage.Storage.as_view()),
    path("namespaces/<str:name>/quota", storage.Quota.as_view()),
    path("deleted-repos/<uuid:uuid>/restoration", storage.Restoration.as_view()),
    path("imports", sources.Imports.as_view()),
    path("repos", views.Repos.as_view()),
    path(REPO, views.RepoOne.as_view()),
    path(f"{REPO}/name", views.RepoName.as_view()),
    path(f"{REPO}/source", sources.Source.as_view()),
    path(f"{REPO}/source/runs", sources.SourceRuns.as_view()),
    path(f"{REPO}/shares", views.Shares.as_view()),
    path(f"{REPO}/shares/<str:holder_kind>/<uuid:holder>", views.Share.as_view()),
    path(f"{REPO}/tree", views.Tree.as_view()),
    path(f"{REPO}/file", views.File.as_view()),
    path(f"{REPO}/safety", views.Safety.as_view()),
    path(f"{REPO}/safety/file", views.FileSafety.as_view()),
    path(f"{REPO}/quarantines", views.Quarantines.as_view()),
    path(f"{REPO}/quarantines/<uuid:uuid>/release", views.Release.as_view()),
    path(f"{REPO}/commits", views.Commits.as_view()),
    path(f"{REPO}/refs", views.Refs.as_view()),
    path(f"{REPO}/branches", views.Branches.as_view()),
    path(f"{REPO}/branches/<path:ref>", views.Branch.as_view()),
    path(f"{REPO}/tags", views.Tags.as_view()),
    path(f"{REPO}/tags/<path:ref>", views.Tag.as_view()),
    path(f"{REPO}/uploads", views.Uploads.as_view()),
    path(f"{REPO}/uploads/<uuid:uuid>/content", views.UploadContent.as_view()),
    path(f"{REPO}/profile", datasets.Profile.as_view()),
    path(f"{REPO}/derivations", datasets.Derivations.as_view()),
    path(f"{REPO}/derivations/<uuid:uuid>", datasets.Derivation.as_view()),
    path(f"{REPO}/comparison", datasets.DataComparison.as_view()),
    path(f"{REPO}/aliases", version_views.Aliases.as_view()),
    path(f"{REPO}/aliases/<str:alias>", version_views.Alias.as_view()),
    path(f"{REPO}/versions", version_views.Versions.as_view()),
    path(VERSION, version_views.Version.as_view()),
    path(f"{VERSION}/deprecation", version_views.Deprecation.as_view()),
    path(f"{VERSION}/yank", version_views.Yank.as_view()),
    path(f"{VERSION}/measurements", version_views.Measurements.as_view()),
    path(f"{VERSION}/signature", version_views.Signature.as_view()),
    path(f"{VERSION}/bom", version_views.Bom.as_view()),
    path(f"{VERSION}/croissant", version_views.Croissant.as_view()),
    path("namespaces/<str:name>/keys", version_views.Keys.as_view()),
    path("namespaces/<str:name>/keys/<str:key_id>.pem", version_views.KeyPem.as_view()),
    path("namespaces/<str:name>/keys/<str:key_id>/revocation", version_views.KeyRevocation.as_view()),
    path("compare", comparing.Comparison.as_view()),
    path("compare/studies", comparing.Studies.as_view()),
    path("compare/trials", comparing.Trials.as_view()),
    path("compare/trials/<uuid:uuid>", comparing.TrialOne.as_view()),
]
