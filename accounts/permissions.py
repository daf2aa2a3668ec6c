"""The vocabulary of rights, on one page: what can be done, at which level, by which role, under which token scope."""

from enum import IntEnum, StrEnum


class Action(StrEnum):
    """What an actor may do to an object, `app:object:deed`."""

    ENDPOINT_ADMIN = "compute:endpoint:admin"
    ENDPOINT_DISCOVER = "compute:endpoint:discover"
    ENDPOINT_USE = "compute:endpoint:use"
    ENDPOINT_WRITE = "compute:endpoint:write"
    JOB_MANAGE = "compute:job:manage"
    JOB_READ = "compute:job:read"
    LISTING_MANAGE = "market:listing:manage"
    LISTING_READ = "market:listing:read"
    LISTING_REVIEW = "market:listing:review"
    NAMESPACE_APPROVE = "accounts:namespace:approve"
    NAMESPACE_AUDIT = "accounts:namespace:audit"
    NAMESPACE_BUY = "accounts:namespace:buy"
    NAMESPACE_MANAGE = "accounts:namespace:manage"
    NAMESPACE_PUBLISH = "accounts:namespace:publish"
    NAMESPACE_READ = "accounts:namespace:read"
    NAMESPACE_RUN = "accounts:namespace:run"
    NAMESPACE_SELL = "accounts:namespace:sell"
    NAMESPACE_WALLET = "accounts:namespace:wallet"
    ORDER_READ = "market:order:read"
    RECALL_MANAGE = "market:recall:manage"
    REPO_ADMIN = "registry:repo:admin"
    REPO_DISCOVER = "registry:repo:discover"
    REPO_READ = "registry:repo:read"
    REPO_WRITE = "registry:repo:write"


class Level(IntEnum):
    """What a grant on one object opens; each level includes the lower ones. *Use* calls an endpoint or runs a job's model,
    *read* downloads the bytes: a model that is sold by the call opens *use* and no more."""

    DISCOVER = 10
    USE = 20
    READ = 30
    WRITE = 40
    ADMIN = 50

    @property
    def codename(self) -> str:
        return self.name.lower()


LEVEL_OF_ACTION = {
    Action.REPO_DISCOVER: Level.DISCOVER,
    Action.REPO_READ: Level.READ,
    Action.REPO_WRITE: Level.WRITE,
    Action.REPO_ADMIN: Level.ADMIN,
    Action.ENDPOINT_DISCOVER: Level.DISCOVER,
    Action.ENDPOINT_USE: Level.USE,
    Action.ENDPOINT_WRITE: Level.WRITE,
    Action.ENDPOINT_ADMIN: Level.ADMIN,
}
"""The grant level that an action on a guarded object needs."""


class Role(StrEnum):
    """What a person is in an organisation. In the namespace of one's own a person is its owner."""

    OWNER = "owner"
    ADMIN = "admin"
    PUBLISHER = "publisher"
    REVIEWER = "reviewer"
    APPROVER = "approver"
    BUYER = "buyer"
    MEMBER = "member"


ACTIONS_OF_ROLE: dict[Role, frozenset[Action]] = {
    Role.MEMBER: frozenset({Action.NAMESPACE_READ}),
    Role.BUYER: frozenset({Action.NAMESPACE_READ, Action.NAMESPACE_BUY, Action.NAMESPACE_WALLET, Action.ORDER_READ}),
    Role.APPROVER: frozenset(
        {
            Action.NAMESPACE_READ,
            Action.NAMESPACE_APPROVE,
            Action.NAMESPACE_BUY,
            Action.NAMESPACE_WALLET,
            Action.ORDER_READ,
        }
    ),
    Role.PUBLISHER: frozenset(
        {
            Action.NAMESPACE_READ,
            Action.NAMESPACE_PUBLISH,
            Action.NAMESPACE_RUN,
            Action.JOB_READ,
            Action.JOB_MANAGE,
            Action.ENDPOINT_DISCOVER,
            Action.ENDPOINT_USE,
            Action.ENDPOINT_WRITE,
        }
    ),
    Role.REVIEWER: frozenset({Action.NAMESPACE_READ, Action.LISTING_REVIEW}),
    Role.ADMIN: frozenset(Action),
    Role.OWNER: frozenset(Action),
}
"""What a role may do in the organisation's namespace as a whole."""

LEVEL_OF_ROLE: dict[Role, Level | None] = {
    Role.MEMBER: None,
    Role.BUYER: None,
    Role.APPROVER: None,
    Role.PUBLISHER: Level.WRITE,
    Role.REVIEWER: Level.READ,
    Role.ADMIN: Level.ADMIN,
    Role.OWNER: Level.ADMIN,
}
"""The level a role has on every object of the namespace, private ones included; None: only what is shared or granted."""


class Scope(StrEnum):
    """What a token may be used for. A token never adds a right: it narrows its owner's."""

    ALL = "*"
    ACCOUNT_MANAGE = "account:manage"
    ACCOUNT_READ = "account:read"
    ENDPOINT_USE = "endpoint:use"
    JOB_RUN = "job:run"
    MARKET_BUY = "market:buy"
    MARKET_SELL = "market:sell"
    REPO_READ = "repo:read"
    REPO_WRITE = "repo:write"


SCOPE_OF_ACTION: dict[Action, Scope] = {
    Action.ENDPOINT_ADMIN: Scope.JOB_RUN,
    Action.ENDPOINT_DISCOVER: Scope.ENDPOINT_USE,
    Action.ENDPOINT_USE: Scope.ENDPOINT_USE,
    Action.ENDPOINT_WRITE: Scope.JOB_RUN,
    Action.JOB_MANAGE: Scope.JOB_RUN,
    Action.JOB_READ: Scope.JOB_RUN,
    Action.LISTING_MANAGE: Scope.MARKET_SELL,
    Action.LISTING_READ: Scope.ACCOUNT_READ,
    Action.LISTING_REVIEW: Scope.MARKET_SELL,
    Action.NAMESPACE_APPROVE: Scope.MARKET_BUY,
    Action.NAMESPACE_AUDIT: Scope.ACCOUNT_MANAGE,
    Action.NAMESPACE_BUY: Scope.MARKET_BUY,
    Action.NAMESPACE_MANAGE: Scope.ACCOUNT_MANAGE,
    Action.NAMESPACE_PUBLISH: Scope.REPO_WRITE,
    Action.NAMESPACE_READ: Scope.ACCOUNT_READ,
    Action.NAMESPACE_RUN: Scope.JOB_RUN,
    Action.NAMESPACE_SELL: Scope.MARKET_SELL,
    Action.NAMESPACE_WALLET: Scope.MARKET_BUY,
    Action.ORDER_READ: Scope.MARKET_BUY,
    Action.RECALL_MANAGE: Scope.MARKET_SELL,
    Action.REPO_ADMIN: Scope.REPO_WRITE,
    Action.REPO_DISCOVER: Scope.REPO_READ,
    Action.REPO_READ: Scope.REPO_READ,
    Action.REPO_WRITE: Scope.REPO_WRITE,
}
"""The scope a token needs for an action. What everybody may see needs none."""

IMPLIED_SCOPES: dict[Scope, frozenset[Scope]] = {
    Scope.ALL: frozenset(Scope),
    Scope.REPO_WRITE: frozenset({Scope.REPO_WRITE, Scope.REPO_READ}),
    Scope.JOB_RUN: frozenset({Scope.JOB_RUN, Scope.REPO_READ}),
    Scope.ACCOUNT_MANAGE: frozenset({Scope.ACCOUNT_MANAGE, Scope.ACCOUNT_READ}),
}
"""Scopes that come with another; a scope that is not listed is just itself."""
