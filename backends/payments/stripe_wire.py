"""Requests to Stripe's API: which errors mean what, and how a key that was answered with an error is repeated."""

from collections.abc import Callable
from typing import Any

import stripe

from backends.errors import ConfigError, Missing, Rejected, Transient

THREE_DIGITS = frozenset({"KWD", "TND"})
"""Of these Stripe takes multiples of ten only: https://docs.stripe.com/currencies#three-decimal"""
_ATTEMPTS = 3


class Wire:
    """One client, for many threads. It repeats nothing by itself: tasks do, and the reconciler."""

    def __init__(self, secret_key: str, api_base: str, timeout_s: float) -> None:
        self.client = stripe.StripeClient(
            secret_key,
            base_addresses={"api": api_base} if api_base else {},
            max_network_retries=0,
            http_client=stripe.RequestsClient(timeout=timeout_s),
        )

    def read(self, method: Callable[..., Any], *arguments: Any) -> Any:
        """Ask; changes nothing. Raises Missing, Rejected, Transient."""
        try:
            return method(*arguments)
        except stripe.StripeError as error:
            raise meaning(error) from error

    def create(
        self,
        method: Callable[..., Any],
        params: dict[str, Any],
        key: str,
        *,
        find: Callable[[], Any] = lambda: None,
        account: str = "",
    ) -> tuple[Any, bool]:
        """Make an object under `key`, once; returns it and whether it is as fresh as it says: the answer to a repeated key is that of
        the first time. A server error that Stripe has stored under the key would be repeated for ever: then `find` looks whether
        the object is there, and if not the next key in line is used."""
        for number in range(1, _ATTEMPTS + 1):
            options = {"idempotency_key": key if number == 1 else f"{key}:{number}"}
            if account:
                options["stripe_account"] = account
            try:
                made = method(params, options)
            except stripe.StripeError as error:
                if not (_was_replayed(error.headers) and (error.http_status or 0) >= 500):
                    raise meaning(error) from error
                found = find()
                if found is not None:
                    return found, False
                continue
            headers = getattr(made.last_response, "headers", {})
            return made, not _was_replayed(headers)
        raise Transient("Stripe answers this request with a server error again and again")

    def find(self, method: Callable[..., Any], params: dict[str, Any], is_it: Callable[[Any], bool]) -> Any:
        """The first object of a list that fits, through all its pages; None when none does."""
        page = dict(params)
        while True:
            found = self.read(method, page)
            for each in found.data:
                if is_it(each):
                    return each
            if not found.has_more or not found.data:
                return None
            page["starting_after"] = found.data[-1].id


def meaning(error: stripe.StripeError) -> Exception:
    """The error of ours that tells what to do next."""
    text = error.user_message or str(error)
    if isinstance(error, stripe.APIConnectionError | stripe.RateLimitError):
        return Transient(f"Stripe does not answer: {text[:200]}")
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        return ConfigError(f"Stripe does not accept the key: {text[:200]}")
    if isinstance(error, stripe.InvalidRequestError) and error.code == "resource_missing":
        return Missing(text[:200])
    if isinstance(error, stripe.IdempotencyError):
        return Rejected("this key was used with another amount or another purpose")
    if isinstance(error, stripe.InvalidRequestError | stripe.CardError):
        return Rejected(text[:200])
    # 409 (another request with the same key is running) and everything of the 500s
    return Transient(f"Stripe could not do it now: {text[:200]}")


def text_of(found: Any, name: str) -> str:
    """A word in the metadata of an object; empty when there is none."""
    value = None if found is None else found.get(name) if isinstance(found, dict) else getattr(found, name, None)
    return value if isinstance(value, str) else ""


def first_of(found: Any, part: str, name: str) -> str:
    """A word in the metadata of an object that may be only its name."""
    return "" if found is None or isinstance(found, str) else text_of(getattr(found, part, None), name)


def _was_replayed(headers: Any) -> bool:
    return any(
        str(name).lower() == "idempotent-replayed" and value == "true" for name, value in dict(headers or {}).items()
    )
