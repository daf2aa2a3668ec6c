"""How the things of each app show themselves in the graph of lineage: title, page, and who may see them. Composition: the apps
know their things, the pages know their addresses, the graph knows neither."""

from collections.abc import Collection
from uuid import UUID

from accounts.actors import Actor
from compute.endpoint_policies import visible_endpoints
from compute.policies import visible_jobs
from lineage.kinds import NodeCard
from market.policies import visible_listings, visible_orders
from registry.build_queries import visible_builds
from registry.policies import visible_preparations, visible_repos, visible_versions
from web import links


def versions(actor: Actor, uuids: Collection[UUID]) -> dict[UUID, NodeCard]:
    """Versions of repositories that the actor may discover. One query."""
    rows = visible_versions(actor).filter(uuid__in=list(uuids))
    return {
        row.uuid: NodeCard(
            f"{row.repo.namespace.name}/{row.repo.name} {row.name}",
            links.version_url(row.repo, row.name),
            row.repo.kind,
        )
        for row in rows
    }


def builds(actor: Actor, uuids: Collection[UUID]) -> dict[UUID, NodeCard]:
    """Builds of versions of repositories that the actor may discover. One query."""
    rows = visible_builds(actor).filter(uuid__in=list(uuids))
    return {
        row.uuid: NodeCard(
            f"{row.version.repo.namespace.name}/{row.version.repo.name} {row.version.name}, {row.format} build",
            f"{links.version_url(row.version.repo, row.version.name)}#build-{row.uuid}",
            row.format,
        )
        for row in rows
    }


def repos(actor: Actor, uuids: Collection[UUID]) -> dict[UUID, NodeCard]:
    """Repositories that the actor may discover. One query."""
    rows = visible_repos(actor).filter(uuid__in=list(uuids))
    return {row.uuid: NodeCard(f"{row.namespace.name}/{row.name}", links.repo_url(row), row.kind) for row in rows}


def sources(actor: Actor, uuids: Collection[UUID]) -> dict[UUID, NodeCard]:
    """Where files came from, for those who may write to the repository they came into. One query."""
    rows = visible_preparations(actor).filter(uuid__in=list(uuids))
    return {
        row.uuid: NodeCard(row.address, links.repo_url(row.repo, "preparations", str(row.uuid)), row.source)
        for row in rows
    }


def jobs(actor: Actor, uuids: Collection[UUID]) -> dict[UUID, NodeCard]:
    """Jobs of the namespaces where the actor may read them. One query."""
    rows = visible_jobs(actor).filter(uuid__in=list(uuids))
    return {row.uuid: NodeCard(row.title, links.job_url(row.uuid), row.recipe) for row in rows}


def endpoints(actor: Actor, uuids: Collection[UUID]) -> dict[UUID, NodeCard]:
    """Endpoints that the actor may discover. One query."""
    rows = visible_endpoints(actor).filter(uuid__in=list(uuids))
    return {
        row.uuid: NodeCard(
            f"{row.namespace.name}/{row.name}", links.endpoint_url(row.namespace.name, row.name), row.state
        )
        for row in rows
    }


def listings(actor: Actor, uuids: Collection[UUID]) -> dict[UUID, NodeCard]:
    """Listings that the actor may find. One query."""
    rows = visible_listings(actor).filter(uuid__in=list(uuids))
    return {row.uuid: NodeCard(row.title, links.listing_url(row.namespace.name, row.slug), row.state) for row in rows}


def orders(actor: Actor, uuids: Collection[UUID]) -> dict[UUID, NodeCard]:
    """Orders that the actor may read. One query."""
    rows = visible_orders(actor).filter(uuid__in=list(uuids))
    return {row.uuid: NodeCard(f"Order by {row.buyer.name}", links.order_url(row.uuid), row.state) for row in rows}
