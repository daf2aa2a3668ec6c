"""`manage.py import_repo NAMESPACE/NAME URL --as USER`."""

import os
from argparse import ArgumentParser
from typing import Any

from accounts.actors import for_user
from common.errors import Invalid
from config.management.base import OperatorCommand, user_called
from registry.services import sources
from registry.services.sources import Wanted
from registry.states import RepoKind, SourceProtocol, SourceState, Visibility


class Command(OperatorCommand):
    help = (
        "Make the repository NAMESPACE/NAME of the git repository at URL, or of a repository of the hub at URL (--hub OWNER/NAME), with "
        "its history. A worker brings it; with --wait, this command does."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAMESPACE/NAME")
        parser.add_argument("url", help="what git clone takes, or the address of a hub")
        parser.add_argument("--as", dest="user", required=True, help="who imports it: needs the right to publish there")
        parser.add_argument("--kind", choices=[each.value for each in RepoKind], default=RepoKind.MODEL.value)
        parser.add_argument(
            "--hub", metavar="OWNER/NAME", default="", help="URL is a hub; the name of the repository there"
        )
        parser.add_argument("--username", default="", help="at the source")
        parser.add_argument(
            "--token-env", default="", metavar="VARIABLE", help="the environment variable that holds the token"
        )
        parser.add_argument("--every", type=int, default=0, metavar="HOURS", help="follow the source as a mirror")
        parser.add_argument(
            "--visibility", choices=[each.value for each in Visibility], default=Visibility.PRIVATE.value
        )
        parser.add_argument("--wait", action="store_true", help="bring it now, and tell how it ended")

    def answer(
        self,
        *,
        name: str,
        url: str,
        user: str,
        kind: str,
        hub: str,
        username: str,
        token_env: str,
        every: int,
        visibility: str,
        wait: bool,
        **_: Any,
    ) -> dict[str, Any]:
        namespace, _slash, rest = name.partition("/")
        token = os.environ.get(token_env, "") if token_env else ""
        if token_env and not token:
            raise Invalid(f"The environment has no {token_env}.")
        protocol = SourceProtocol.HUB if hub else SourceProtocol.GIT
        wanted = Wanted(protocol, url, hub, username, token, every)
        repo = sources.import_repo(for_user(user_called(user)), kind, namespace, rest, wanted, visibility=visibility)
        source = sources.bring_now(repo) if wait else sources.source_of(repo)
        if source.state == SourceState.FAILED:
            raise Invalid(source.problem, code="import_failed")
        return {
            "repo": f"{source.repo.namespace.name}/{source.repo.name}",
            "uuid": source.uuid,
            "source": source.address,
            "state": source.state,
            "problem": source.problem,
            "every_h": source.every_h,
            "skipped": source.skipped,
        }
