"""Who exists: people, organisations, their teams, and the one namespace that each person and organisation owns."""

from django.contrib.auth.models import AbstractUser, Group
from django.db import models
from django.db.models.functions import Lower

from accounts.permissions import Role
from common.clock import now
from common.ids import NAME_LIMIT, new_uuid


class User(AbstractUser):
    """A person who can sign in. The name people see in URLs is that of the namespace; `username` is the same text."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    email = models.EmailField(unique=True)
    display_name = models.CharField(max_length=120, blank=True)
    timezone = models.CharField(max_length=64, default="UTC")

    class Meta:
        constraints = [
            models.UniqueConstraint(Lower("username"), name="user_username_ci"),
            models.UniqueConstraint(Lower("email"), name="user_email_ci"),
        ]

    def __str__(self) -> str:
        return self.username


class Organization(models.Model):
    """A company, a department, a group of people who own things together. Grants are held through `group`."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    display_name = models.CharField(max_length=120)
    description = models.TextField(blank=True, max_length=2000)
    group = models.OneToOneField(Group, on_delete=models.PROTECT, related_name="organization")
    created_at = models.DateTimeField(default=now)

    def __str__(self) -> str:
        return self.display_name


class Namespace(models.Model):
    """A name that owns repositories, endpoints and money: exactly one per person and per organisation."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    name = models.CharField(max_length=NAME_LIMIT)
    user = models.OneToOneField(User, null=True, on_delete=models.PROTECT, related_name="namespace")
    organization = models.OneToOneField(Organization, null=True, on_delete=models.PROTECT, related_name="namespace")
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [
            models.UniqueConstraint(Lower("name"), name="namespace_name_ci"),
            models.CheckConstraint(
                condition=models.Q(user__isnull=False, organization__isnull=True)
                | models.Q(user__isnull=True, organization__isnull=False),
                name="namespace_one_owner",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_organization(self) -> bool:
        return self.organization_id is not None


class Membership(models.Model):
    """A person's role in an organisation; one per pair."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=[(role.value, role.value) for role in Role])
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "user"], name="membership_once"),
            models.CheckConstraint(condition=models.Q(role__in=[role.value for role in Role]), name="membership_role"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} is {self.role} of {self.organization_id}"


class Team(models.Model):
    """Some members of an organisation, who can be granted things together through `group`."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="teams")
    name = models.CharField(max_length=NAME_LIMIT)
    group = models.OneToOneField(Group, on_delete=models.PROTECT, related_name="team")
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [models.UniqueConstraint("organization", Lower("name"), name="team_name_ci")]

    def __str__(self) -> str:
        return self.name


class TeamMembership(models.Model):
    """A member of the organisation in one of its teams."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="team_memberships")
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["team", "user"], name="team_membership_once")]

    def __str__(self) -> str:
        return f"{self.user_id} in {self.team_id}"


class Invitation(models.Model):
    """An open offer to join an organisation, sent to an address. Only the hash of its secret is kept."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="invitations")
    email = models.EmailField()
    role = models.CharField(max_length=16, choices=[(role.value, role.value) for role in Role])
    secret_sha256 = models.CharField(max_length=64, unique=True)
    invited_by = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(default=now)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)
    accepted_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    withdrawn_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                "organization",
                Lower("email"),
                condition=models.Q(accepted_at__isnull=True, withdrawn_at__isnull=True),
                name="invitation_open_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.email} to {self.organization_id}"
