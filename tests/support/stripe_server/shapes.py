"""Values against the types of the `stripe` package: what a request may say, and what an object must look like."""

import builtins
import json
import sys
import types
import typing
from copy import deepcopy
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, NotRequired, Required

import stripe
import stripe.billing
import stripe.checkout
import stripe.params
import stripe.tax
from typing_extensions import is_typeddict

SAMPLES: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("samples.json").read_text())
CLASSES: dict[str, type] = {
    "checkout.session": stripe.checkout.Session,
    "payment_intent": stripe.PaymentIntent,
    "charge": stripe.Charge,
    "balance_transaction": stripe.BalanceTransaction,
    "refund": stripe.Refund,
    "dispute": stripe.Dispute,
    "event": stripe.Event,
    "account": stripe.Account,
    "account_link": stripe.AccountLink,
    "transfer": stripe.Transfer,
    "customer": stripe.Customer,
    "payment_method": stripe.PaymentMethod,
    "billing.meter_event": stripe.billing.MeterEvent,
}
_NONE = type(None)


class BadParameter(Exception):
    """What the API refuses, in its words."""

    def __init__(self, code: str, param: str, message: str) -> None:
        super().__init__(message)
        self.code, self.param = code, param


@cache
def hints(kind: type) -> dict[str, Any]:
    """The annotations of a class of the package, resolved; names that only its type checker imports are found, too."""
    names = {**vars(builtins), **vars(typing), **vars(stripe), **vars(sys.modules[kind.__module__])}

    class Finder(dict):
        def __missing__(self, name: str) -> Any:
            for place in (stripe, stripe.params, stripe.checkout, stripe.billing, stripe.tax):
                try:
                    return getattr(place, name)
                except AttributeError:
                    continue
            # an object of a kind that this server never makes
            return getattr(stripe, name.removesuffix("Resource"), stripe.StripeObject)

    holder = types.SimpleNamespace(__annotations__=kind.__annotations__)
    return typing.get_type_hints(holder, globalns=names, localns=Finder(names), include_extras=True)


def read(value: Any, wanted: Any, where: str) -> Any:
    """A decoded form value as the type `wanted`. Raises BadParameter."""
    origin, inside = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in {NotRequired, Required, typing.NotRequired, typing.Required}:
        return read(value, inside[0], where)
    if origin in {typing.Union, types.UnionType}:
        return _read_union(value, [each for each in inside if each is not _NONE], where)
    if origin is typing.Literal:
        if value not in inside:
            raise BadParameter("", where, f"Invalid {where}: must be one of {', '.join(map(str, inside))}")
        return value
    if origin is list:
        if not isinstance(value, list):
            raise BadParameter("", where, "Invalid array")
        return [read(each, inside[0], f"{where}[{number}]") for number, each in enumerate(value)]
    if origin is dict:
        if not isinstance(value, dict):
            raise BadParameter("", where, "Invalid object")
        return {name: read(each, inside[1], f"{where}[{name}]") for name, each in value.items()}
    if is_typeddict(wanted):
        return read_params(value, wanted, where)
    return _read_plain(value, wanted, where)


def read_params(value: Any, kind: type, where: str = "") -> dict[str, Any]:
    """The parameters of a request, or of a part of it. Unknown ones and missing ones are refused."""
    if not isinstance(value, dict):
        raise BadParameter("", where, "Invalid object")
    known = hints(kind)
    found = {}
    for name, each in value.items():
        inner = f"{where}[{name}]" if where else name
        if name not in known:
            raise BadParameter("parameter_unknown", inner, f"Received unknown parameter: {inner}")
        found[name] = read(each, known[name], inner)
    for name, wanted in known.items():
        if name not in value and typing.get_origin(wanted) not in {NotRequired, typing.NotRequired}:
            inner = f"{where}[{name}]" if where else name
            raise BadParameter("parameter_missing", inner, f"Missing required param: {inner}.")
    return found


def _read_union(value: Any, choices: list[Any], where: str) -> Any:
    literals = [each for each in choices if typing.get_origin(each) is typing.Literal]
    if literals and isinstance(value, str):
        # "one of these, or what a later version adds": this version knows these
        choices = [each for each in choices if each is not str]
    refusal = None
    for each in choices:
        try:
            return read(value, each, where)
        except BadParameter as error:
            refusal = error
    raise refusal or BadParameter("", where, f"Invalid {where}")


def _read_plain(value: Any, wanted: Any, where: str) -> Any:
    if wanted is Any:
        return value
    if not isinstance(value, str):
        raise BadParameter("", where, "Invalid string")
    if wanted is int:
        if not value.lstrip("-").isdigit():
            raise BadParameter("parameter_invalid_integer", where, f"Invalid integer: {value}")
        return int(value)
    if wanted is bool:
        if value not in {"true", "false"}:
            raise BadParameter("", where, f"Invalid boolean: {value}")
        return value == "true"
    if wanted in {float, Decimal}:
        return str(Decimal(value))
    return value


def faults_of(value: Any, wanted: Any, where: str) -> list[str]:  # noqa: PLR0911 - one for each sort of type
    """What is wrong with a part of an answer, in sentences."""
    origin, inside = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in {typing.Union, types.UnionType}:
        literals = [each for each in inside if typing.get_origin(each) is typing.Literal]
        if literals and isinstance(value, str):
            return [] if any(value in typing.get_args(each) for each in literals) else [f"{where}: no such {value!r}"]
        found = [faults_of(value, each, where) for each in inside]
        return [] if [] in found else found[0]
    if origin is typing.Literal:
        return [] if value in inside else [f"{where}: no such {value!r}"]
    if origin is list:
        if not isinstance(value, list):
            return [f"{where}: not a list"]
        return [fault for n, each in enumerate(value) for fault in faults_of(each, inside[0], f"{where}[{n}]")]
    if origin is dict or wanted is dict:
        return [] if isinstance(value, dict) else [f"{where}: not an object"]
    if origin is stripe.ListObject:
        return [] if isinstance(value, dict) and value.get("object") == "list" else [f"{where}: not a list object"]
    if wanted is Any or isinstance(wanted, typing.TypeVar):
        return []
    if wanted is _NONE:
        return [] if value is None else [f"{where}: not null"]
    if isinstance(wanted, type) and issubclass(wanted, stripe.StripeObject):
        return faults_of_object(value, wanted, where) if isinstance(value, dict) else [f"{where}: not an object"]
    if wanted in {int, str, bool}:
        return [] if type(value) is wanted else [f"{where}: {value!r} is not {wanted.__name__}"]
    return []


def faults_of_object(value: dict[str, Any], kind: type, where: str) -> list[str]:
    """An object must have every field that is not optional, and none that the package does not know."""
    known = {name: hint for name, hint in hints(kind).items() if typing.get_origin(hint) is not typing.ClassVar}
    if not known:
        return []
    found = [f"{where}.{name}: unknown to the package" for name in value if name not in known]
    for name, hint in known.items():
        if name not in value:
            if not _is_optional(hint) and name != "object":
                found.append(f"{where}.{name}: missing")
        else:
            found += faults_of(value[name], hint, f"{where}.{name}")
    return found


def faults(answer: Any) -> list[str]:
    """What is wrong with a whole answer; the objects that it holds by their own kinds."""
    if not isinstance(answer, dict):
        return []
    if answer.get("object") == "list":
        return [fault for each in answer["data"] for fault in faults(each)]
    kind = CLASSES.get(answer.get("object", ""))
    return faults_of_object(answer, kind, answer["object"]) if kind else []


def blank(kind: str, **told: Any) -> dict[str, Any]:
    """A new object of `kind`: the published sample with everything that may be empty emptied, and `told`."""
    known = hints(CLASSES[kind])
    made = {
        name: None if _is_optional(known[name]) else deepcopy(value)
        for name, value in SAMPLES[kind].items()
        if name in known and (value is not None or _is_optional(known[name]))
    }
    return {**made, "object": kind, **told}


def _is_optional(hint: Any) -> bool:
    return _NONE in typing.get_args(hint)
