"""Where allauth's sign-up meets ours: the name must be free as a namespace, and gets one in the same transaction."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from accounts import actors
from accounts.models import User
from accounts.services.identity import adopt_user, check_free_name
from common.errors import DomainError


class AccountAdapter(DefaultAccountAdapter):
    """Sign-up with our rules for names."""

    def clean_username(self, username: str, shallow: bool = False) -> str:  # noqa: FBT001, FBT002 - allauth's signature
        """The name as given. Raises ValidationError with our sentence when it is not valid or taken."""
        if not shallow:
            try:
                check_free_name(username)
            except DomainError as error:
                raise ValidationError(error.message) from error
        return username

    def save_user(self, request: Any, user: User, form: Any, commit: bool = True) -> User:  # noqa: FBT001, FBT002
        """Insert the user with the namespace, or neither."""
        user = super().save_user(request, user, form, commit=False)
        if commit:
            try:
                with transaction.atomic():
                    user.save(force_insert=True)
                    adopt_user(actors.anonymous(), user)
            except IntegrityError as error:
                raise ValidationError("This name or address was taken a moment ago. Choose another.") from error
        return user

    def populate_username(self, request: Any, user: User) -> None:
        """The name is always chosen by the person."""
