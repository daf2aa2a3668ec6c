"""Creating people and organisations, each with its namespace."""

from allauth.account.models import EmailAddress
from django.contrib.auth.models import Group
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction

from accounts.actors import Actor
from accounts.models import Membership, Namespace, Organization, User
from accounts.names import is_reserved
from accounts.permissions import Role, Scope
from accounts.services import audit
from accounts.services.access import bump_access_version
from common.errors import Conflict, Forbidden, Invalid
from common.ids import is_name


def create_user(
    actor: Actor, name: str, email: str, password: str, *, is_staff: bool = False, is_verified: bool = False
) -> User:
    """Make an account with its namespace. Only staff and the system may make staff or a verified address. Writes user,
    namespace, e-mail address, audit. Raises Invalid per field; Conflict when the name or the address is taken."""
    if (is_staff or is_verified) and not (actor.is_staff or actor.is_system):
        raise Forbidden("Only staff may do this.")
    check_free_name(name)
    email = check_email(email)
    candidate = User(username=name, email=email)
    try:
        validate_password(password, candidate)
    except ValidationError as error:
        raise Invalid(" ".join(error.messages), fields={"password": " ".join(error.messages)}) from error
    candidate.set_password(password)
    candidate.is_staff = candidate.is_superuser = is_staff
    try:
        with transaction.atomic():
            candidate.save(force_insert=True)
            adopt_user(actor, candidate)
            EmailAddress.objects.create(user=candidate, email=email, primary=True, verified=is_verified)
    except IntegrityError as error:
        raise Conflict("This name or e-mail address is taken.", code="name_taken") from error
    return candidate


def adopt_user(actor: Actor, user: User) -> Namespace:
    """Give a user row that has just been inserted its namespace and its audit record, in the caller's transaction. The sign-up
    form goes through here too. Raises IntegrityError when the name is taken."""
    namespace = Namespace.objects.create(name=user.username, user=user)
    audit.record(actor, "accounts:user:created", "user", user.uuid, namespace_id=namespace.pk, name=user.username)
    return namespace


def create_organization(actor: Actor, name: str, *, owner: User | None = None, display_name: str = "") -> Organization:
    """Make an organisation with its namespace; `owner` (default: the actor) becomes its owner. Only staff and the system may
    name somebody else. Raises Invalid, Conflict when the name is taken."""
    actor.require_authenticated()
    actor.require_scope(Scope.ACCOUNT_MANAGE)
    if owner is None:
        owner = User.objects.get(pk=actor.person_id)
    elif owner.pk != actor.user_id and not (actor.is_staff or actor.is_system):
        raise Forbidden("You can create organisations for yourself only.")
    check_free_name(name)
    label = display_name.strip() or name
    if len(label) > 120:
        raise Invalid("Use at most 120 characters.", fields={"display_name": "at most 120 characters"})
    try:
        with transaction.atomic():
            group = Group.objects.create(name=f"organization:{name.lower()}")
            organization = Organization.objects.create(display_name=label, group=group)
            namespace = Namespace.objects.create(name=name, organization=organization)
            Membership.objects.create(organization=organization, user=owner, role=Role.OWNER)
            owner.groups.add(group)
            audit.record(
                actor,
                "accounts:organization:created",
                "organization",
                organization.uuid,
                namespace_id=namespace.pk,
                name=name,
            )
            bump_access_version()
    except IntegrityError as error:
        raise Conflict(f"The name {name} is taken.", code="name_taken") from error
    return organization


def check_free_name(name: str) -> None:
    """Raises Invalid when `name` can't be a namespace, Conflict when one has it already (in any case)."""
    if not is_name(name):
        raise Invalid(
            "Use 1 to 96 letters, digits, dots, dashes or underscores; begin and end with a letter, digit or underscore; "
            "no double dash or dots.",
            fields={"name": "not a valid name"},
        )
    if is_reserved(name):
        raise Invalid(f"The name {name} is reserved.", fields={"name": "reserved"})
    if Namespace.objects.filter(name__iexact=name).exists():
        raise Conflict(f"The name {name} is taken.", code="name_taken", fields={"name": "taken"})


def check_email(email: str) -> str:
    """The address in the form it is stored. Raises Invalid, Conflict."""
    email = email.strip().lower()
    try:
        validate_email(email)
    except ValidationError as error:
        raise Invalid("Write a full e-mail address.", fields={"email": "not an address"}) from error
    if User.objects.filter(email__iexact=email).exists():
        raise Conflict("This e-mail address is taken.", code="email_taken", fields={"email": "taken"})
    return email
