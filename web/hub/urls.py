"""Addresses of repositories. `urlpatterns` are the fixed ones; `last` (any owner, any name) must stand at the very end of the
site's table."""

from django.urls import URLPattern, path

from web.hub import (
    compare_views,
    data_views,
    derivation_views,
    preparation_views,
    source_views,
    version_views,
    views,
)
from web.market import licence_views

urlpatterns = [
    path("models", views.browse, {"kind": "model"}, name="models"),
    path("datasets", views.browse, {"kind": "dataset"}, name="datasets"),
    path("algorithms", views.browse, {"kind": "algorithm"}, name="algorithms"),
    path("compare", compare_views.compare, name="compare"),
    path("compare/table.csv", compare_views.compare_csv, name="compare-csv"),
    path("compare/studies", compare_views.compare_studies, name="compare-studies"),
    path("compare/answers", compare_views.answers_of, name="compare-answers"),
    path("compare/trials", compare_views.trial, name="compare-trials"),
    path("new", views.new_repo, name="new-repo"),
    path("new/import", source_views.new_import, name="new-import"),
]


def _of_repository(prefix: str, kind: str) -> list[URLPattern]:
    base, values = f"{prefix}<str:namespace>/<str:name>", {"kind": kind}
    version = f"{base}/versions/<str:version_name>"
    return [
        path(base, views.card, values, name=f"{kind}"),
        path(f"{base}/tree", views.tree, values, name=f"{kind}-root"),
        path(f"{base}/tree/<path:rest>", views.tree, values, name=f"{kind}-tree"),
        path(f"{base}/blob/<path:rest>", views.blob, values, name=f"{kind}-blob"),
        path(f"{base}/preview/<path:rest>", views.preview, values, name=f"{kind}-preview"),
        path(f"{base}/image/<path:rest>", views.image, values, name=f"{kind}-image"),
        path(f"{base}/commits", views.commits, values, name=f"{kind}-commits-of-default"),
        path(f"{base}/commits/<path:rest>", views.commits, values, name=f"{kind}-commits"),
        path(f"{base}/commit/<str:oid>", views.commit, values, name=f"{kind}-commit"),
        path(f"{base}/versions", version_views.versions, values, name=f"{kind}-versions"),
        path(f"{base}/versions/<str:version_name>", version_views.version, values, name=f"{kind}-version"),
        path(
            f"{base}/versions/<str:version_name>/metrics.csv",
            version_views.version_csv,
            values,
            name=f"{kind}-version-csv",
        ),
        path(f"{version}/environment", version_views.environment, values, name=f"{kind}-version-environment"),
        path(
            f"{version}/environment.csv", version_views.environment_csv, values, name=f"{kind}-version-environment-csv"
        ),
        path(
            f"{version}/measurements/<uuid:uuid>/withdrawal",
            version_views.correction,
            values,
            name=f"{kind}-version-correction",
        ),
        *(
            path(
                f"{version}/{deed}",
                view,
                values,
                name=f"{kind}-version-{deed.replace('<uuid:build>/', '').replace('/', '-')}",
            )
            for deed, view in version_views.DEEDS.items()
        ),
        path(f"{base}/compare", views.newest_compared, values, name=f"{kind}-compare"),
        path(f"{base}/metrics.csv", views.metric_csv, values, name=f"{kind}-metrics-csv"),
        path(f"{base}/lineage", views.lineage, values, name=f"{kind}-lineage"),
        path(f"{base}/licence", licence_views.of_repo, values, name=f"{kind}-licence"),
        path(f"{base}/safety", views.safety, values, name=f"{kind}-safety"),
        path(f"{base}/quarantines", views.quarantines, values, name=f"{kind}-quarantines"),
        path(f"{base}/quarantines/<uuid:uuid>/release", views.release, values, name=f"{kind}-release"),
        path(f"{base}/settings", views.settings, values, name=f"{kind}-settings"),
        path(f"{base}/source", source_views.source, values, name=f"{kind}-source"),
        path(f"{base}/source/runs", source_views.run, values, name=f"{kind}-source-runs"),
        path(f"{base}/source/stopping", source_views.stop, values, name=f"{kind}-source-stopping"),
        path(f"{base}/shares", views.shares, values, name=f"{kind}-shares"),
        path(f"{base}/shares/removal", views.share_removal, values, name=f"{kind}-share-removal"),
        path(f"{base}/renaming", views.rename, values, name=f"{kind}-renaming"),
        path(f"{base}/exports", views.ask_for_export, values, name=f"{kind}-exports"),
        path(f"{base}/deletion", views.delete, values, name=f"{kind}-deletion"),
        path(f"{base}/upload/<path:branch>", views.upload, values, name=f"{kind}-upload"),
        path(f"{base}/import", preparation_views.ask, values, name=f"{kind}-import"),
        path(f"{base}/preparations", preparation_views.preparation_list, values, name=f"{kind}-preparations"),
        path(f"{base}/preparations/<uuid:uuid>", preparation_views.preparation, values, name=f"{kind}-preparation"),
        path(
            f"{base}/preparations/<uuid:uuid>/retry",
            preparation_views.retry,
            values,
            name=f"{kind}-preparation-retry",
        ),
        path(
            f"{base}/preparations/<uuid:uuid>/cancellation",
            preparation_views.cancellation,
            values,
            name=f"{kind}-preparation-cancellation",
        ),
        path(f"{base}/deletions/<path:branch>", views.deletion, values, name=f"{kind}-deletions"),
    ]


def _of_datasets() -> list[URLPattern]:
    base, values = "datasets/<str:namespace>/<str:name>", {"kind": "dataset"}
    return [
        path(f"{base}/data", data_views.data, values, name="dataset-data-of-default"),
        path(f"{base}/data/<path:rest>", data_views.data, values, name="dataset-data"),
        path(f"{base}/sql", data_views.sql, values, name="dataset-sql-of-default"),
        path(f"{base}/sql/<path:rest>", data_views.sql, values, name="dataset-sql"),
        path(f"{base}/sql.csv", data_views.sql_csv, values, name="dataset-sql-csv"),
        path(f"{base}/data-pictures/<str:oid>/<int:number>", data_views.picture, values, name="dataset-data-picture"),
        path(f"{base}/derivations", derivation_views.derivations, values, name="dataset-derivations"),
        path(f"{base}/data-compare", data_views.compare, values, name="dataset-data-compare"),
        path(f"{base}/data-compare.csv", data_views.compare_csv, values, name="dataset-data-compare-csv"),
    ]


last = [
    *_of_datasets(),
    *_of_repository("datasets/", "dataset"),
    *_of_repository("algorithms/", "algorithm"),
    *_of_repository("", "model"),
    path("<str:name>", views.namespace, name="namespace"),
]
