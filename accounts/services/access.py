"""The number that tells other processes that rights have changed."""

from django.db.models import F

from accounts.models import AccessVersion


def bump_access_version() -> None:
    """Raise the number. Call it inside the transaction that changes a token, a membership, a grant, a budget or an endpoint:
    other processes see it when, and only when, the change is committed."""
    if not AccessVersion.objects.filter(pk=1).update(number=F("number") + 1):
        AccessVersion.objects.get_or_create(pk=1, defaults={"number": 1})
