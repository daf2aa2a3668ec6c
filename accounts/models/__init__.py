from accounts.models.audit import AccessVersion, AuditHead, AuditRecord
from accounts.models.devices import DeviceLogin
from accounts.models.idempotency import IdempotencyRecord
from accounts.models.identity import Invitation, Membership, Namespace, Organization, Team, TeamMembership, User
from accounts.models.tokens import Token

__all__ = [
    "AccessVersion",
    "AuditHead",
    "AuditRecord",
    "DeviceLogin",
    "IdempotencyRecord",
    "Invitation",
    "Membership",
    "Namespace",
    "Organization",
    "Team",
    "TeamMembership",
    "Token",
    "User",
]
