"""People and organisations, made through the services."""

from accounts import actors
from accounts.actors import Actor
from accounts.models import Organization, User
from accounts.permissions import Role
from accounts.services import identity, members, tokens

PASSWORD = "a long enough passphrase"
SYSTEM = actors.system("tests")


def make_user(name: str = "alice", *, is_staff: bool = False) -> User:
    return identity.create_user(
        SYSTEM, name, f"{name.lower()}@example.org", PASSWORD, is_staff=is_staff, is_verified=True
    )


def actor_of(user: User) -> Actor:
    """The actor as a new request would build it."""
    return actors.for_user(User.objects.get(pk=user.pk))


def make_organization(name: str, owner: User, **people: Role) -> Organization:
    """An organisation; `people` maps names to roles, and makes those users."""
    organization = identity.create_organization(actor_of(owner), name)
    for person, role in people.items():
        members.add_member(SYSTEM, organization, make_user(person), role)
    return organization


def make_token(user: User, *scopes: str) -> str:
    return tokens.issue(actor_of(user), name="a token", scopes=scopes or ["*"])[1]
