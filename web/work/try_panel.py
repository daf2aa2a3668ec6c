"""The try-it form of an endpoint: its fields, who pays for the call, and the same call from a program."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from accounts.actors import Actor
from compute.endpoint_queries import Addresses, addresses
from compute.endpoint_states import SERVING
from market.policies import plans_on_sale
from market.prices import price_of
from market.trial_queries import Way, right_of, trial_calls
from web.links import endpoint_url, listing_url
from web.market.cards import access_in_words, next_call_in_words
from web.work.samples import Sample, samples_of
from web.work.tryit import InputPlan, TryForm, form_of

if TYPE_CHECKING:
    from datetime import datetime

    from compute.models import Endpoint
    from market.models import Listing
    from market.trial_queries import Right

SHOWN_ROWS = 20
"""Rows of the example that stand in the form at first."""
_NOTES = {
    Way.OWN: "You call it as one of its owner's people: nothing is charged.",
    Way.SHARED: "It is shared with you: nothing is charged.",
}


@dataclass(frozen=True)
class TryCell:
    label: str
    value: str
    is_text: bool


@dataclass(frozen=True)
class TryTable:
    """The inputs that are columns of one table; `columns` and `tensors` are JSON for the script."""

    heads: list[str]
    rows: list[list[TryCell]]
    columns: str
    tensors: str


@dataclass(frozen=True)
class TryInput:
    """`kind` as in InputPlan. `plan` is JSON for the script."""

    name: str
    kind: str
    hint: str
    text: str
    plan: str


@dataclass(frozen=True)
class TryPanel:
    """`way`: by which right the reader would call. `left` (None: not counted) free calls of today, until `ends_at`."""

    is_serving: bool
    can_run: bool
    is_signed_in: bool
    infer_href: str
    token_href: str
    note: str
    no_seat: str
    """What is said to people of an organisation that bought calls by the seat, who have none."""
    left: int | None
    calls_per_day: int
    ends_at: "datetime | None"
    plans_href: str
    after: str
    """What a call costs beyond the free ones, in words."""
    table: TryTable | None
    inputs: list[TryInput]
    outputs: str
    example: str
    samples: list[Sample]
    addresses: Addresses

    @classmethod
    def of(cls, actor: Actor, endpoint: "Endpoint", listing: "Listing | None", *, may_call: bool) -> "TryPanel":
        """`may_call`: whether the actor has the right now, by whatever way. About eight queries."""
        signature = endpoint.signature or endpoint.next_signature
        example = signature.get("example") or {}
        form, where = form_of(signature), addresses(endpoint)
        right = right_of(actor, endpoint, listing)
        here = endpoint_url(endpoint.namespace.name, endpoint.name)
        shop = listing_url(listing.namespace.name, listing.slug) if listing else ""
        prices = [price_of(plan) for plan in plans_on_sale(actor, listing)] if listing else []
        is_out = right.trial is not None and not right.trial.left
        return cls(
            is_serving=endpoint.state in SERVING,
            can_run=(may_call or right.way == Way.TRIAL) and not is_out,
            is_signed_in=actor.is_authenticated,
            infer_href=where.infer,
            token_href=f"{shop}/try/token" if right.way == Way.TRIAL else f"{here}/trial-token",
            note=_note(actor, right),
            no_seat=right.unseated.sentence if right.unseated else "",
            left=right.trial.left if right.trial else None,
            calls_per_day=trial_calls(listing) if listing else 0,
            ends_at=right.trial.ends_at if right.trial else None,
            plans_href=f"{shop}#plans" if shop else "",
            after=", or ".join(prices[:3]),
            table=_table(form, example),
            inputs=[_field(each, example) for each in form.inputs if each.kind != "table"],
            outputs=json.dumps(form.as_json()["outputs"]),
            example=json.dumps(example),
            samples=samples_of(where, example),
            addresses=where,
        )

    @property
    def is_trial(self) -> bool:
        return self.left is not None

    @property
    def has_fields(self) -> bool:
        return self.table is not None or any(each.kind != "json" for each in self.inputs)


def _note(actor: Actor, right: "Right") -> str:
    if right.next_call is None:
        return _NOTES.get(right.way, "")
    return f"{access_in_words(actor, right.next_call.entitlement)} {next_call_in_words(right.next_call)}"


def _table(form: TryForm, example: Mapping[str, Any]) -> TryTable | None:
    plans = form.table
    if not plans:
        return None
    heads = [column for plan in plans for column in plan.columns]
    values = [_flat(example, plan.name) for plan in plans]
    counts = {len(found) // len(plan.columns) for plan, found in zip(plans, values, strict=True)}
    count = min(SHOWN_ROWS, *counts) or 1
    rows = []
    for number in range(count):
        row = []
        for plan, found in zip(plans, values, strict=True):
            width, is_text = len(plan.columns), plan.datatype == "BYTES"
            given = found[number * width : (number + 1) * width] or [""] * width
            row += [
                TryCell(f"{column}, row {number + 1}", str(value), is_text)
                for column, value in zip(plan.columns, given, strict=False)
            ]
        rows.append(row)
    tensors = [
        {"name": plan.name, "datatype": plan.datatype, "width": len(plan.columns), "rank": len(plan.shape)}
        for plan in plans
    ]
    return TryTable(heads, rows, json.dumps(heads), json.dumps(tensors))


def _field(plan: InputPlan, example: Mapping[str, Any]) -> TryInput:
    hint = plan.image.in_words if plan.image else plan.audio.in_words if plan.audio else ""
    text = "\n".join(map(str, _flat(example, plan.name))) if plan.kind == "text" else ""
    sent = TryForm((plan,), ()).as_json()["inputs"][0]
    return TryInput(plan.name, plan.kind, hint, text, json.dumps(sent))


def _flat(example: Mapping[str, Any], name: str) -> list[Any]:
    """The values that the example gives an input, in one list."""
    inputs = example.get("inputs")
    data: Any = next(
        (each.get("data") for each in inputs if isinstance(each, Mapping) and each.get("name") == name), None
    ) if isinstance(inputs, list) else None  # fmt: skip
    data = data if isinstance(data, list) else []
    while data and all(isinstance(each, list) for each in data):
        data = list(chain.from_iterable(data))
    return data
