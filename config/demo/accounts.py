"""Who plays in the demonstration, and what has to be remembered to go on after an interruption."""

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from accounts import actors
from accounts.actors import Actor
from accounts.models import Namespace, Organization, User
from accounts.services import identity, tokens
from common.errors import Conflict


@dataclass(frozen=True)
class Player:
    """A person of the demonstration and the organisation they own."""

    username: str
    organization: str
    display_name: str
    part: str


SELLER = Player("dana", "open-data-lab", "Open Data Lab", "publishes data, trains and sells models")
BUYER = Player("bruno", "blue-harbour", "Blue Harbour Clinic", "buys with credits and calls endpoints")


class Memory:
    """`demo.json` in the data folder, for its owner only: passwords to print again and the token that makes the calls.

    They exist nowhere else (the database holds hashes), so each is written here before it is used."""

    def __init__(self) -> None:
        self.path = Path(settings.DATA) / "demo.json"
        self._values: dict[str, str] = json.loads(self.path.read_text()) if self.path.exists() else {}

    def get(self, name: str) -> str:
        return self._values.get(name, "")

    def keep(self, name: str, value: str) -> str:
        self._values[name] = value
        draft = self.path.with_suffix(".part")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(self._values, file, indent=2)
        draft.replace(self.path)
        return value


def enter(player: Player, memory: Memory) -> Actor:
    """The player as an actor, made with account and organisation on the first call. Raises Conflict when the names belong to
    somebody else: then this is no empty installation, and nothing of the demonstration belongs in it."""
    known = memory.get(f"password:{player.username}")
    user = User.objects.filter(username__iexact=player.username).first()
    if user is not None and not known:
        raise Conflict(f"The demonstration needs the name {player.username}, which somebody has.")
    if user is None:
        password = known or memory.keep(f"password:{player.username}", secrets.token_urlsafe(9))
        user = identity.create_user(
            actors.system("demo"), player.username, f"{player.username}@example.org", password, is_verified=True
        )
    actor = actors.for_user(user)
    namespace = Namespace.objects.filter(name__iexact=player.organization).first()
    if namespace is None:
        identity.create_organization(actor, player.organization, display_name=player.display_name)
    elif not Organization.objects.filter(namespace=namespace, memberships__user=user).exists():
        raise Conflict(f"The demonstration needs the name {player.organization}, which somebody has.")
    return actors.for_user(User.objects.get(pk=user.pk))


def token_of(actor: Actor, memory: Memory) -> str:
    """The text of the token that calls endpoints, issued once."""
    known = memory.get("token")
    if known:
        return known
    _, text = tokens.issue(actor, name="Demonstration calls", scopes=["endpoint:use"])
    return memory.keep("token", text)
