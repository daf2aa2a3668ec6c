"""What the pages of one's account and of organisations show."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django import forms

from accounts import policies, queries
from accounts.actors import Actor
from accounts.permissions import Action, Role
from common.clock import now
from web.hub.heads import Tab
from web.links import namespace_url, with_query

if TYPE_CHECKING:
    from accounts.models import Organization


@dataclass(frozen=True)
class FormPage:
    """A title, a form, where it is sent."""

    title: str
    form: forms.Form


@dataclass(frozen=True)
class TokenRow:
    uuid: str
    name: str
    hint: str
    scopes: list[str]
    state: str
    created_at: datetime
    expires_at: datetime | None
    last_used_on: Any
    revoke_href: str


@dataclass(frozen=True)
class TokensPage:
    """`secret` is the text of the token that was made by this very request, else empty."""

    title: str
    form: forms.Form
    tokens: list[TokenRow]
    secret: str

    @classmethod
    def of(cls, actor: Actor, form: forms.Form, secret: str = "") -> "TokensPage":
        rows = []
        for token in policies.visible_tokens(actor)[:200]:
            ended = token.expires_at is not None and token.expires_at <= now()
            state = "revoked" if token.revoked_at else "expired" if ended else "active"
            rows.append(
                TokenRow(
                    str(token.uuid),
                    token.name,
                    token.hint,
                    token.scopes,
                    state,
                    token.created_at,
                    token.expires_at,
                    token.last_used_on,
                    f"/account/tokens/{token.uuid}/revocation" if state == "active" else "",
                )
            )
        return cls("Access tokens", form, rows, secret)


@dataclass(frozen=True)
class OrganizationRow:
    name: str
    display_name: str
    href: str
    role: str


@dataclass(frozen=True)
class OrganizationsPage:
    title: str
    organizations: list[OrganizationRow]

    @classmethod
    def of(cls, actor: Actor) -> "OrganizationsPage":
        rows = [
            OrganizationRow(
                each.name,
                each.organization.display_name,
                f"/organizations/{each.name}",
                str(actor.role_in(each.pk) or ""),
            )
            for each in queries.namespaces_of(actor)
            if each.organization
        ]
        return cls("Organisations", rows)


@dataclass(frozen=True)
class OrganizationHead:
    name: str
    display_name: str
    url: str
    profile_href: str
    role: str
    can_manage: bool
    tabs: list[Tab]

    @classmethod
    def of(cls, organization: "Organization", actor: Actor, current: str) -> "OrganizationHead":
        namespace = organization.namespace
        url = f"/organizations/{namespace.name}"
        can_manage = actor.may(Action.NAMESPACE_MANAGE, namespace.pk)
        places = [("Members", url, "users"), ("Teams", f"{url}/teams", "layers")]
        places.append(("Catalogue", f"{url}/catalogue", "store"))
        if actor.may(Action.NAMESPACE_WALLET, namespace.pk):
            places.append(("Spending", f"{url}/spending", "receipt"))
            places.append(("Wallet", with_query("/wallet", owner=namespace.name), "wallet"))
        if can_manage:
            places.append(("Storage", with_query("/storage", owner=namespace.name), "database"))
            places.append(("Signing keys", f"{url}/keys", "key-round"))
            places.append(("Settings", f"{url}/settings", "settings"))
        return cls(
            namespace.name,
            organization.display_name,
            url,
            namespace_url(namespace.name),
            str(actor.role_in(namespace.pk) or ""),
            can_manage,
            [Tab(label, href, icon, label.lower() == current) for label, href, icon in places],
        )


@dataclass(frozen=True)
class MemberRow:
    username: str
    display_name: str
    role: str
    since: datetime
    is_self: bool


@dataclass(frozen=True)
class InvitationRow:
    email: str
    role: str
    expires_at: datetime
    withdraw_href: str


@dataclass(frozen=True)
class MembersPage:
    title: str
    head: OrganizationHead
    members: list[MemberRow]
    invitations: list[InvitationRow]
    form: forms.Form
    roles: list[str]

    @classmethod
    def of(cls, organization: "Organization", actor: Actor, form: forms.Form) -> "MembersPage":
        head = OrganizationHead.of(organization, actor, "members")
        order = {role.value: index for index, role in enumerate(Role)}
        members = [
            MemberRow(
                each.user.username, each.user.display_name, each.role, each.created_at, each.user_id == actor.user_id
            )
            for each in queries.members_of(organization)
        ]
        invitations = queries.open_invitations(organization) if head.can_manage else []
        return cls(
            f"Members of {head.display_name}",
            head,
            sorted(members, key=lambda row: (order[row.role], row.username)),
            [
                InvitationRow(each.email, each.role, each.expires_at, f"{head.url}/invitations/{each.uuid}/withdrawal")
                for each in invitations
            ],
            form,
            [role.value for role in Role],
        )


@dataclass(frozen=True)
class TeamRow:
    name: str
    size: int
    url: str
    people: list[str]


@dataclass(frozen=True)
class TeamsPage:
    title: str
    head: OrganizationHead
    teams: list[TeamRow]
    candidates: list[str]
    form: forms.Form

    @classmethod
    def of(cls, organization: "Organization", actor: Actor, form: forms.Form) -> "TeamsPage":
        head = OrganizationHead.of(organization, actor, "teams")
        people = queries.people_by_team(organization)
        teams = [
            TeamRow(team.name, len(people.get(team.pk, [])), f"{head.url}/teams/{team.name}", people.get(team.pk, []))
            for team in queries.teams_of(organization)
        ]
        candidates = [each.user.username for each in queries.members_of(organization)] if head.can_manage else []
        return cls(f"Teams of {head.display_name}", head, teams, candidates, form)


@dataclass(frozen=True)
class OrganizationSettingsPage:
    title: str
    head: OrganizationHead
    form: forms.Form
    exports_href: str
    billing_href: str

    @classmethod
    def of(cls, organization: "Organization", actor: Actor, form: forms.Form) -> "OrganizationSettingsPage":
        head = OrganizationHead.of(organization, actor, "settings")
        return cls(
            f"Settings of {head.display_name}",
            head,
            form,
            with_query("/exports", owner=head.name),
            with_query("/invoices/details", owner=head.name),
        )


@dataclass(frozen=True)
class InvitationPage:
    title: str
    secret: str
