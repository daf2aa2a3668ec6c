"""From a form to a deed: what a service refuses becomes an error at the field it names."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django import forms

from common.errors import Conflict, DomainError, Invalid, NotFound, OverBudget, PaymentRequired, TooLarge

SHOWN_IN_FORM = (Invalid, Conflict, PaymentRequired, OverBudget, TooLarge)
"""What a person can mend by changing what they entered; everything else is a page of its own."""


def submit(form: forms.Form, deed: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call `deed` when the form is valid; its result, or None with the reasons in the form. The deed takes the form's values
    by name after `args` and `kwargs`."""
    if not form.is_valid():
        return None
    try:
        return deed(*args, **{**form.cleaned_data, **kwargs})
    except SHOWN_IN_FORM as error:
        put_into(form, error)
        return None


def put_into(form: forms.Form, error: DomainError) -> None:
    """The error at the one field it names, with the whole sentence; above the form when it names none or several. Money is called
    `…_minor` by services and typed without."""
    named = error.fields.get("fields")
    names = [name.removesuffix("_minor") for name in named] if isinstance(named, dict) else []
    known = [name for name in names if name in form.fields]
    form.add_error(known[0] if len(known) == 1 else None, error.message)


def uuid_of(text: str) -> UUID:
    """A uuid from an address or a form. Raises NotFound for anything else, as for one that names nothing."""
    try:
        return UUID(text)
    except ValueError:
        raise NotFound("There is no such thing.") from None
