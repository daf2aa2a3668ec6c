"""The words that market rows may hold, and which state may follow which."""

from enum import StrEnum

from common.states import StateMachine


class SubjectKind(StrEnum):
    """What can be listed."""

    MODEL = "model"
    DATASET = "dataset"
    ENDPOINT = "endpoint"


class Visibility(StrEnum):
    """Who finds a published listing: everybody, or the members of the seller's organisation."""

    PUBLIC = "public"
    ORGANIZATION = "organization"


class ListingState(StrEnum):
    DRAFT = "draft"
    PUBLISHED = "published"
    WITHDRAWN = "withdrawn"


LISTINGS = StateMachine(
    "listing",
    {
        ListingState.DRAFT: frozenset({ListingState.PUBLISHED, ListingState.WITHDRAWN}),
        ListingState.PUBLISHED: frozenset({ListingState.WITHDRAWN}),
        ListingState.WITHDRAWN: frozenset({ListingState.PUBLISHED}),
    },
)


class PlanKind(StrEnum):
    FREE = "free"
    ONE_TIME = "one_time"
    PAY_PER_CALL = "pay_per_call"


class DisputeStanding(StrEnum):
    OPEN = "open"
    WON = "won"
    LOST = "lost"


class OrderState(StrEnum):
    """`placed`: the payment is under way; `paid`: the money is ours, what it buys is not open yet (inside one transaction);
    `refunding`: access is closed, calls in flight are still being counted; the money goes back when they are; `disputed`: the
    buyer's bank has taken the money back for the time being, access rests; `lost`: it did so for good."""

    PLACED = "placed"
    PAID = "paid"
    FULFILLED = "fulfilled"
    REFUNDING = "refunding"
    REFUNDED = "refunded"
    CANCELLED = "cancelled"
    DISPUTED = "disputed"
    LOST = "lost"


ORDERS = StateMachine(
    "order",
    {
        OrderState.PLACED: frozenset({OrderState.PAID, OrderState.CANCELLED}),
        OrderState.PAID: frozenset({OrderState.FULFILLED}),
        OrderState.FULFILLED: frozenset({OrderState.REFUNDING, OrderState.DISPUTED}),
        OrderState.DISPUTED: frozenset({OrderState.FULFILLED, OrderState.LOST}),
        OrderState.LOST: frozenset(),
        OrderState.REFUNDING: frozenset({OrderState.REFUNDED}),
        OrderState.REFUNDED: frozenset(),
        OrderState.CANCELLED: frozenset(),
    },
)
