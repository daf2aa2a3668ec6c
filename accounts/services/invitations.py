"""Inviting people by e-mail. The link's secret is stored as a hash; only the address it was sent to can accept."""

import hashlib
from datetime import timedelta
from uuid import UUID

from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import send_mail
from django.core.validators import validate_email
from django.db import transaction

from accounts.actors import Actor
from accounts.models import Invitation, Membership, Organization, User
from accounts.permissions import Action, Role
from accounts.policies import require_namespace
from accounts.services import audit
from accounts.services.members import check_role, join
from common.clock import now
from common.errors import Conflict, Forbidden, Gone, Invalid, NotFound, Unavailable
from common.ids import new_secret

LIFETIME = timedelta(days=7)
OPEN_LIMIT = 200
"""Open invitations of one organisation: a stolen account can't mail the world."""
_PREFIX = "inv"


def invite(actor: Actor, organization: Organization, email: str, role: Role | str) -> Invitation:
    """Offer membership to whoever owns `email`, and mail the link. Needs the right to manage; only owners invite owners. An open
    invitation to the same address is replaced. Raises Invalid, Forbidden, Conflict for a member, Unavailable when no mail goes."""
    role = check_role(role)
    require_namespace(actor, organization.namespace.name, Action.NAMESPACE_MANAGE)
    if role == Role.OWNER and actor.role_in(organization.namespace.pk) != Role.OWNER:
        raise Forbidden("Only an owner may invite an owner.")
    email = email.strip().lower()
    try:
        validate_email(email)
    except ValidationError as error:
        raise Invalid("Write a full e-mail address.", fields={"email": "not an address"}) from error
    if Membership.objects.filter(organization=organization, user__email__iexact=email).exists():
        raise Conflict(f"{email} belongs to a member already.", code="member_exists")
    secret = new_secret(_PREFIX)
    with transaction.atomic():
        Organization.objects.select_for_update().get(pk=organization.pk)
        opened = Invitation.objects.filter(
            organization=organization, accepted_at__isnull=True, withdrawn_at__isnull=True
        )
        opened.filter(email__iexact=email).update(withdrawn_at=now())
        if opened.count() >= OPEN_LIMIT:
            raise Conflict(f"{OPEN_LIMIT} invitations are open: withdraw some first.")
        invitation = Invitation.objects.create(
            organization=organization,
            email=email,
            role=role,
            secret_sha256=hashlib.sha256(secret.encode()).hexdigest(),
            invited_by_id=actor.person_id,
            expires_at=now() + LIFETIME,
        )
        audit.record(
            actor,
            "accounts:invitation:sent",
            "organization",
            organization.uuid,
            namespace_id=organization.namespace.pk,
            email=email,
            role=role,
        )
    _mail(invitation, actor, secret)
    return invitation


def accept(actor: Actor, secret: str) -> Membership:
    """Join by the link's secret. The actor must own the invited address, confirmed. Safe to repeat for the one who joined. Raises
    Unauthenticated, NotFound, Gone when it expired or was withdrawn, Forbidden for another's invitation."""
    actor.require_authenticated()
    digest = hashlib.sha256(secret.encode(errors="replace")).hexdigest()
    with transaction.atomic():
        invitation = (
            Invitation.objects.select_for_update(of=("self",))
            .select_related("organization__namespace")
            .filter(secret_sha256=digest)
            .first()
        )
        if invitation is None:
            raise NotFound("This invitation is not known.")
        organization = invitation.organization
        if invitation.accepted_at is not None and invitation.accepted_by_id == actor.user_id:
            return Membership.objects.get(organization=organization, user_id=actor.person_id)
        if invitation.accepted_at or invitation.withdrawn_at or invitation.expires_at <= now():
            raise Gone("This invitation has been used, withdrawn or has expired. Ask for a new one.")
        owns = EmailAddress.objects.filter(
            user_id=actor.person_id, email__iexact=invitation.email, verified=True
        ).exists()
        if not owns:
            raise Forbidden(f"This invitation was sent to {invitation.email}. Sign in with, or confirm, that address.")
        membership = join(actor, organization, User.objects.get(pk=actor.person_id), Role(invitation.role))
        Invitation.objects.filter(pk=invitation.pk).update(accepted_at=now(), accepted_by_id=actor.person_id)
    return membership


def withdraw(actor: Actor, organization: Organization, uuid: UUID) -> None:
    """Take an open invitation back. A second call changes nothing. Raises NotFound, Forbidden."""
    require_namespace(actor, organization.namespace.name, Action.NAMESPACE_MANAGE)
    with transaction.atomic():
        invitation = Invitation.objects.select_for_update().filter(organization=organization, uuid=uuid).first()
        if invitation is None:
            raise NotFound("There is no such invitation.")
        if invitation.accepted_at is None and invitation.withdrawn_at is None:
            Invitation.objects.filter(pk=invitation.pk).update(withdrawn_at=now())
            audit.record(
                actor,
                "accounts:invitation:withdrawn",
                "organization",
                organization.uuid,
                namespace_id=organization.namespace.pk,
                email=invitation.email,
            )


def _mail(invitation: Invitation, actor: Actor, secret: str) -> None:
    name = invitation.organization.display_name
    body = (
        f"{actor.label} invites you to join {name} as {invitation.role}.\n\n"
        f"{settings.PUBLIC_URL}/invitations/{secret}\n\nThe link works for {LIFETIME.days} days, for this address only.\n"
    )
    subject = " ".join(f"Join {name} on Mercato".split())
    try:
        send_mail(subject, body, settings.DEFAULT_FROM_EMAIL, [invitation.email])
    except OSError as error:
        raise Unavailable(
            "The invitation is saved, but the mail server does not answer: invite again later."
        ) from error
