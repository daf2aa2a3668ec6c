"""People, organisations, teams and tokens on the wire."""

from typing import TYPE_CHECKING, Any

from rest_framework import serializers

from accounts.permissions import Role, Scope

if TYPE_CHECKING:
    from accounts.actors import Actor
    from accounts.models import (
        AuditRecord,
        Invitation,
        Membership,
        Namespace,
        Organization,
        Team,
        TeamMembership,
        Token,
        User,
    )
    from notices.models import Notice

ROLES = [role.value for role in Role]
SCOPES = [scope.value for scope in Scope]


class MeWire(serializers.Serializer):
    """The caller."""

    uuid = serializers.UUIDField()
    name = serializers.CharField()
    display_name = serializers.CharField(allow_blank=True)
    email = serializers.EmailField()
    timezone = serializers.CharField()
    is_staff = serializers.BooleanField()
    scopes = serializers.ListField(child=serializers.ChoiceField(SCOPES))
    namespaces = serializers.ListField(child=serializers.DictField())


class ProfileChange(serializers.Serializer):
    display_name = serializers.CharField(allow_blank=True, max_length=120)
    timezone = serializers.CharField(max_length=64)


class OrganizationWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    name = serializers.CharField()
    display_name = serializers.CharField()
    description = serializers.CharField(allow_blank=True)
    role = serializers.ChoiceField(ROLES, allow_null=True)
    created_at = serializers.DateTimeField()


class OrganizationNew(serializers.Serializer):
    name = serializers.CharField(max_length=96)
    display_name = serializers.CharField(max_length=120, required=False, default="", allow_blank=True)


class OrganizationChange(serializers.Serializer):
    display_name = serializers.CharField(max_length=120)
    description = serializers.CharField(max_length=2000, allow_blank=True, default="")


class MemberWire(serializers.Serializer):
    name = serializers.CharField()
    display_name = serializers.CharField(allow_blank=True)
    role = serializers.ChoiceField(ROLES)
    since = serializers.DateTimeField()


class RoleChange(serializers.Serializer):
    role = serializers.ChoiceField(ROLES)


class InvitationWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    email = serializers.EmailField()
    role = serializers.ChoiceField(ROLES)
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()


class InvitationNew(serializers.Serializer):
    email = serializers.EmailField()
    role = serializers.ChoiceField(ROLES)


class InvitationAnswer(serializers.Serializer):
    secret = serializers.CharField(max_length=100)


class TeamWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    name = serializers.CharField()
    size = serializers.IntegerField()


class TeamNew(serializers.Serializer):
    name = serializers.CharField(max_length=96)


class TeamPersonWire(serializers.Serializer):
    name = serializers.CharField()
    since = serializers.DateTimeField()


class TeamPersonNew(serializers.Serializer):
    name = serializers.CharField(max_length=150)


class TokenWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    name = serializers.CharField()
    hint = serializers.CharField()
    scopes = serializers.ListField(child=serializers.ChoiceField(SCOPES))
    is_limited = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True)
    last_used_on = serializers.DateField(allow_null=True)


class TokenIssuedWire(TokenWire):
    """The text is shown this once."""

    token = serializers.CharField()


class TokenNew(serializers.Serializer):
    name = serializers.CharField(max_length=80)
    scopes = serializers.ListField(child=serializers.ChoiceField(SCOPES), min_length=1, max_length=len(SCOPES))
    expires_at = serializers.DateTimeField(required=False, allow_null=True, default=None)
    namespaces = serializers.ListField(
        child=serializers.CharField(max_length=96), required=False, allow_null=True, default=None, max_length=100
    )


class AuditWire(serializers.Serializer):
    sequence = serializers.IntegerField()
    at = serializers.DateTimeField()
    actor = serializers.CharField()
    tag = serializers.CharField()
    subject_kind = serializers.CharField()
    subject_id = serializers.CharField()
    detail = serializers.DictField()
    sha256 = serializers.CharField()


class NoticeWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    kind = serializers.CharField()
    topic = serializers.CharField()
    text = serializers.CharField()
    url = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()
    read_at = serializers.DateTimeField(allow_null=True)


def me(user: "User", actor: "Actor", namespaces: "list[Namespace]") -> dict[str, Any]:
    return {
        "uuid": user.uuid,
        "name": user.username,
        "display_name": user.display_name,
        "email": user.email,
        "timezone": user.timezone,
        "is_staff": actor.is_staff,
        "scopes": sorted(actor.scopes),
        "namespaces": [
            {
                "name": each.name,
                "kind": "organization" if each.is_organization else "user",
                "role": actor.role_in(each.pk),
            }
            for each in namespaces
        ],
    }


def organization(row: "Organization", role: Role | None) -> dict[str, Any]:
    return {
        "uuid": row.uuid,
        "name": row.namespace.name,
        "display_name": row.display_name,
        "description": row.description,
        "role": role,
        "created_at": row.created_at,
    }


def member(row: "Membership") -> dict[str, Any]:
    return {
        "name": row.user.username,
        "display_name": row.user.display_name,
        "role": row.role,
        "since": row.created_at,
    }


def invitation(row: "Invitation") -> dict[str, Any]:
    return {
        "uuid": row.uuid,
        "email": row.email,
        "role": row.role,
        "created_at": row.created_at,
        "expires_at": row.expires_at,
    }


def team(row: "Team", size: int) -> dict[str, Any]:
    return {"uuid": row.uuid, "name": row.name, "size": size}


def team_person(row: "TeamMembership") -> dict[str, Any]:
    return {"name": row.user.username, "since": row.created_at}


def token(row: "Token") -> dict[str, Any]:
    return {
        "uuid": row.uuid,
        "name": row.name,
        "hint": row.hint,
        "scopes": row.scopes,
        "is_limited": row.namespaces is not None,
        "created_at": row.created_at,
        "expires_at": row.expires_at,
        "revoked_at": row.revoked_at,
        "last_used_on": row.last_used_on,
    }


def audit_record(row: "AuditRecord") -> dict[str, Any]:
    return {
        "sequence": row.sequence,
        "at": row.at,
        "actor": row.actor_label,
        "tag": row.tag,
        "subject_kind": row.subject_kind,
        "subject_id": row.subject_id,
        "detail": row.detail,
        "sha256": row.sha256,
    }


def notice(row: "Notice") -> dict[str, Any]:
    return {
        "uuid": row.uuid,
        "kind": row.kind,
        "topic": row.topic,
        "text": row.text,
        "url": row.url,
        "created_at": row.created_at,
        "read_at": row.read_at,
    }
