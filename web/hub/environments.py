"""What the page of a version's environment shows: the packages of its environment lock."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from accounts.actors import Actor
from registry.services.environments import NAMES, Environment, Package, environment_of
from web.hub.heads import RepoHead
from web.links import repo_url, version_url, with_query

if TYPE_CHECKING:
    from registry.models import Repo, Version

PAGE = 200


@dataclass(frozen=True)
class EnvironmentPage:
    """`packages`: a page of those whose name holds `query`; `names`: what would be recognised."""

    title: str
    head: RepoHead
    version_name: str
    version_href: str
    environment: Environment
    file_href: str
    query: str
    found_count: int
    package_count: int
    loose_count: int
    packages: list[Package]
    next_href: str
    first_href: str
    csv_href: str
    names: str

    @classmethod
    def of(cls, repo: "Repo", actor: Actor, version: "Version", query: str, start: str) -> "EnvironmentPage":
        """`start`: how many to pass over; anything but a number is none."""
        head = RepoHead.of(repo, actor, "versions")
        found = environment_of(version)
        query = query.strip()[:100]
        chosen = [each for each in found.packages if query.lower() in each.name.lower()]
        first = min(int(start), len(chosen)) if start.isascii() and start.isdigit() and len(start) < 6 else 0
        here = repo_url(repo, "versions", version.name, "environment")
        after = first + PAGE
        return cls(
            title=f"Environment of {head.full_name} {version.name}",
            head=head,
            version_name=version.name,
            version_href=version_url(repo, version.name),
            environment=found,
            file_href=repo_url(repo, "blob", version.name, found.path) if found.path and head.can_read else "",
            query=query,
            found_count=len(chosen),
            package_count=len(found.packages),
            loose_count=len(found.loose),
            packages=chosen[first:after],
            next_href=with_query(here, q=query, **{"from": after}) if after < len(chosen) else "",
            first_href=with_query(here, q=query) if first else "",
            csv_href=f"{here}.csv",
            names=", ".join(NAMES),
        )
