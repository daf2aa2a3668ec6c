"""What a download says of the version it comes from: deprecated, withdrawn. In headers, so that every client can be told."""

from datetime import UTC, datetime, time
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.utils.http import http_date

from market.recall_queries import notice_of
from registry.queries import version_at
from registry.standing import standing_of

_PREFIXES = {"dataset": "/datasets", "algorithm": "/algorithms"}


def standing_headers(repo: Any, revision: str) -> dict[str, str]:
    """Headers for a file that was asked for by `revision`: none unless that names a version, itself or by an alias, that is
    deprecated (`Deprecation` RFC 9745, `Sunset` RFC 8594, `Link` to the successor) withdrawn or recalled. No query for the default branch."""
    if revision in {"", repo.default_branch}:
        return {}
    version = version_at(repo, revision)
    if version is None:
        return {}
    standing, recall = standing_of(version), notice_of(version)
    headers = {}
    notices = []
    if standing.is_deprecated and standing.deprecated_at:
        headers["Deprecation"] = f"@{int(standing.deprecated_at.timestamp())}"
        notices.append(f"version {version.name} is deprecated: {standing.message}")
        if standing.due_on:
            headers["Sunset"] = http_date(datetime.combine(standing.due_on, time.max, UTC).timestamp())
        if standing.successor:
            page = "/".join(map(quote, (repo.namespace.name, repo.name, "versions", standing.successor)))
            page = f"{settings.PUBLIC_URL}{_PREFIXES.get(repo.kind, '')}/{page}"
            headers["Link"] = f'<{page}>; rel="successor-version"'
    if standing.is_yanked:
        notices.append(f"version {version.name} was withdrawn: {standing.yank_reason}")
    if recall is not None:
        notices.append(f"version {version.name} was recalled: {recall.reason} {recall.advice}")
    if notices:
        text = " ".join(" ".join(notices).split())
        headers["X-Version-Notice"] = text.encode("ascii", "replace").decode()[:500]
    return headers
