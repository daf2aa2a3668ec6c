"""People, organisations, teams, tokens, audit."""

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import policies, queries
from accounts.permissions import Action, Role
from accounts.services import identity, invitations, members, profile, teams, tokens
from api.v1.accounts import wire
from api.v1.base import KEY_PARAMETER, PAGE_PARAMETERS, View, page_of
from common.pagination import keyset_page


class Me(View):
    @extend_schema(responses=wire.MeWire, tags=["accounts"])
    def get(self, request: Request) -> Response:
        """Who the caller is, and where they have which role."""
        return Response(self._me())

    @extend_schema(request=wire.ProfileChange, responses=wire.MeWire, tags=["accounts"])
    def patch(self, request: Request) -> Response:
        """Change one's name for people and time zone."""
        profile.update_profile(self.actor, **self.given(wire.ProfileChange))
        return Response(self._me())

    def _me(self) -> dict:
        self.actor.require_authenticated()
        return wire.me(queries.user_of(self.actor), self.actor, queries.namespaces_of(self.actor))


class Organizations(View):
    @extend_schema(
        request=wire.OrganizationNew,
        responses={201: wire.OrganizationWire},
        parameters=[KEY_PARAMETER],
        tags=["accounts"],
    )
    def post(self, request: Request) -> Response:
        """Create an organisation; the caller becomes its owner."""
        given = self.given(wire.OrganizationNew)
        return self.creating(
            lambda: wire.organization(
                identity.create_organization(self.actor, given["name"], display_name=given["display_name"]), Role.OWNER
            )
        )


class OrganizationOne(View):
    @extend_schema(responses=wire.OrganizationWire, tags=["accounts"])
    def get(self, request: Request, name: str) -> Response:
        """What is public of an organisation, and one's own role in it."""
        organization = policies.require_organization(self.actor, name)
        return Response(wire.organization(organization, policies.role_in(self.actor, organization.namespace)))

    @extend_schema(request=wire.OrganizationChange, responses=wire.OrganizationWire, tags=["accounts"])
    def patch(self, request: Request, name: str) -> Response:
        """Change what it says about itself."""
        organization = policies.require_organization(self.actor, name)
        changed = profile.update_organization(self.actor, organization, **self.given(wire.OrganizationChange))
        return Response(wire.organization(changed, policies.role_in(self.actor, changed.namespace)))


class Members(View):
    @extend_schema(responses=page_of(wire.MemberWire), tags=["accounts"])
    def get(self, request: Request, name: str) -> Response:
        """Everybody who belongs to it; for members."""
        organization = policies.require_organization(self.actor, name, Action.NAMESPACE_READ)
        return self.listed([wire.member(row) for row in queries.members_of(organization)], None)


class Member(View):
    @extend_schema(request=wire.RoleChange, responses=wire.MemberWire, tags=["accounts"])
    def patch(self, request: Request, name: str, user: str) -> Response:
        """Give a member another role."""
        organization = policies.require_organization(self.actor, name, Action.NAMESPACE_READ)
        role = self.given(wire.RoleChange)["role"]
        return Response(wire.member(members.change_role(self.actor, organization, user, role)))

    @extend_schema(responses={204: None}, tags=["accounts"])
    def delete(self, request: Request, name: str, user: str) -> Response:
        """Remove a member, or leave."""
        organization = policies.require_organization(self.actor, name, Action.NAMESPACE_READ)
        members.remove_member(self.actor, organization, user)
        return Response(status=204)


class Invitations(View):
    @extend_schema(responses=page_of(wire.InvitationWire), tags=["accounts"])
    def get(self, request: Request, name: str) -> Response:
        """Invitations that can still be accepted; for those who manage."""
        organization = policies.require_organization(self.actor, name, Action.NAMESPACE_MANAGE)
        return self.listed([wire.invitation(row) for row in queries.open_invitations(organization)], None)

    @extend_schema(
        request=wire.InvitationNew, responses={201: wire.InvitationWire}, parameters=[KEY_PARAMETER], tags=["accounts"]
    )
    def post(self, request: Request, name: str) -> Response:
        """Invite somebody by e-mail."""
        organization = policies.require_organization(self.actor, name, Action.NAMESPACE_MANAGE)
        given = self.given(wire.InvitationNew)
        return self.creating(
            lambda: wire.invitation(invitations.invite(self.actor, organization, given["email"], given["role"]))
        )


class Invitation(View):
    @extend_schema(responses={204: None}, tags=["accounts"])
    def delete(self, request: Request, name: str, uuid: UUID) -> Response:
        """Take an invitation back."""
        organization = policies.require_organization(self.actor, name, Action.NAMESPACE_MANAGE)
        invitations.withdraw(self.actor, organization, uuid)
        return Response(status=204)


class InvitationAcceptance(View):
    @extend_schema(request=wire.InvitationAnswer, responses={201: wire.MemberWire}, tags=["accounts"])
    def post(self, request: Request) -> Response:
        """Join by the secret of an invitation."""
        membership = invitations.accept(self.actor, self.given(wire.InvitationAnswer)["secret"])
        return Response(wire.member(membership), status=201)


class Teams(View):
    @extend_schema(responses=page_of(wire.TeamWire), tags=["accounts"])
    def get(self, request: Request, name: str) -> Response:
        """The teams of an organisation; for members."""
        organization = policies.require_organization(self.actor, name, Action.NAMESPACE_READ)
        return self.listed([wire.team(row, row.size) for row in queries.teams_of(organization)], None)  # type: ignore[attr-defined]  # counted by the query

    @extend_schema(request=wire.TeamNew, responses={201: wire.TeamWire}, parameters=[KEY_PARAMETER], tags=["accounts"])
    def post(self, request: Request, name: str) -> Response:
        """Make a team."""
        organization = policies.require_organization(self.actor, name, Action.NAMESPACE_MANAGE)
        given = self.given(wire.TeamNew)
        return self.creating(lambda: wire.team(teams.create_team(self.actor, organization, given["name"]), 0))


class Team(View):
    @extend_schema(responses=page_of(wire.TeamPersonWire), tags=["accounts"])
    def get(self, request: Request, name: str, team: str) -> Response:
        """Who is in a team; for members."""
        return self.listed([wire.team_person(row) for row in queries.people_in(self._team(name, team))], None)

    @extend_schema(request=wire.TeamPersonNew, responses={201: wire.TeamPersonWire}, tags=["accounts"])
    def post(self, request: Request, name: str, team: str) -> Response:
        """Put a member into the team."""
        row = teams.add_to_team(self.actor, self._team(name, team), self.given(wire.TeamPersonNew)["name"])
        return Response(wire.team_person(row), status=201)

    @extend_schema(responses={204: None}, tags=["accounts"])
    def delete(self, request: Request, name: str, team: str) -> Response:
        """Remove a team with every grant it holds."""
        teams.delete_team(self.actor, self._team(name, team))
        return Response(status=204)

    def _team(self, name: str, team: str):  # noqa: ANN202 - the row of another app
        organization = policies.require_organization(self.actor, name, Action.NAMESPACE_READ)
        return policies.require_team(self.actor, organization, team)


class TeamPerson(View):
    @extend_schema(responses={204: None}, tags=["accounts"])
    def delete(self, request: Request, name: str, team: str, user: str) -> Response:
        """Take a person out of the team."""
        organization = policies.require_organization(self.actor, name, Action.NAMESPACE_READ)
        teams.remove_from_team(self.actor, policies.require_team(self.actor, organization, team), user)
        return Response(status=204)


class Tokens(View):
    @extend_schema(responses=page_of(wire.TokenWire), parameters=PAGE_PARAMETERS, tags=["accounts"])
    def get(self, request: Request) -> Response:
        """One's own tokens, newest first, revoked ones included."""
        self.actor.require_authenticated()
        page = keyset_page(
            policies.visible_tokens(self.actor),
            order=("-created_at", "-pk"),
            cursor=self.cursor,
            limit=self.page_limit(),
        )
        return self.paged(page, wire.token)

    @extend_schema(request=wire.TokenNew, responses={201: wire.TokenIssuedWire}, tags=["accounts"])
    def post(self, request: Request) -> Response:
        """Issue a token. Its text is in this answer and nowhere else, so an answer is never kept for repetition."""
        given = self.given(wire.TokenNew)
        namespaces = given.pop("namespaces")
        limited = (
            None if namespaces is None else [policies.require_namespace(self.actor, each).pk for each in namespaces]
        )
        token, text = tokens.issue(self.actor, **given, namespace_ids=limited)
        return Response(wire.token(token) | {"token": text}, status=201)


class Token(View):
    @extend_schema(responses={204: None}, tags=["accounts"])
    def delete(self, request: Request, uuid: UUID) -> Response:
        """Revoke a token, at once."""
        tokens.revoke(self.actor, uuid)
        return Response(status=204)


class Audit(View):
    @extend_schema(responses=page_of(wire.AuditWire), parameters=PAGE_PARAMETERS, tags=["accounts"])
    def get(self, request: Request, name: str) -> Response:
        """The audit trail of a namespace, newest first; for those who administer it."""
        namespace = policies.require_namespace(self.actor, name, Action.NAMESPACE_AUDIT)
        records = policies.visible_audit(self.actor).filter(namespace_id=namespace.pk)
        page = keyset_page(records, order=("-sequence",), cursor=self.cursor, limit=self.page_limit())
        return self.paged(page, wire.audit_record)
