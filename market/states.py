"""The words that market rows may hold, and which state may follow which."""

from enum import StrEnum

from common.states import StateMachine


class SubjectKind(StrEnum):
    """What can be listed."""

    MODEL = "model"
    DATASET = "dataset"
    ALGORITHM = "algorithm"
    ENDPOINT = "endpoint"


class Visibility(StrEnum):
    """Who sees a published listing: those who manage it, the members of the seller's organisation (its private catalogue), whoever
    has its address, everybody."""

    PRIVATE = "private"
    ORGANIZATION = "organization"
    UNLISTED = "unlisted"
    PUBLIC = "public"


LEAVES_HOUSE = frozenset({Visibility.UNLISTED, Visibility.PUBLIC})
"""What strangers can see."""


class ListingState(StrEnum):
    """`in_review`: somebody else has to look at it before it is published; meanwhile nobody edits it."""

    DRAFT = "draft"
    IN_REVIEW = "in_review"
    PUBLISHED = "published"
    WITHDRAWN = "withdrawn"


LISTINGS = StateMachine(
    "listing",
    {
        ListingState.DRAFT: frozenset({ListingState.IN_REVIEW, ListingState.PUBLISHED, ListingState.WITHDRAWN}),
        ListingState.IN_REVIEW: frozenset({ListingState.PUBLISHED, ListingState.DRAFT}),
        ListingState.PUBLISHED: frozenset({ListingState.WITHDRAWN, ListingState.IN_REVIEW}),
        ListingState.WITHDRAWN: frozenset({ListingState.PUBLISHED, ListingState.IN_REVIEW}),
    },
)


class ReviewStep(StrEnum):
    """What happened to a listing on its way through review."""

    SUBMITTED = "submitted"
    COMMENTED = "commented"
    RETURNED = "returned"
    APPROVED = "approved"
    TAKEN_BACK = "taken_back"


REVIEW_CHECKS = {
    "truthful": "The description says what is delivered, and claims nothing that the card does not bear out.",
    "rights": "The seller may sell it under this licence.",
    "lawful": "Nothing in it is personal, confidential or forbidden here.",
    "terms": "Price, support and terms of return are clear.",
}
"""What a reviewer confirms, one by one, before a listing is published."""


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


class PayoutMethod(StrEnum):
    """`wallet`: to spend on this site; `outside`: the operator pays and notes the reference; `provider`: a transfer by the
    payment backend."""

    WALLET = "wallet"
    OUTSIDE = "outside"
    PROVIDER = "provider"


class PayoutState(StrEnum):
    """`waiting`: the money is set aside; `sending`: the provider has been asked, its answer is not here; `failed`: the money is
    back in the earnings."""

    WAITING = "waiting"
    SENDING = "sending"
    PAID = "paid"
    FAILED = "failed"


PAYOUTS = StateMachine(
    "payout",
    {
        PayoutState.WAITING: frozenset({PayoutState.SENDING, PayoutState.PAID, PayoutState.FAILED}),
        PayoutState.SENDING: frozenset({PayoutState.PAID, PayoutState.FAILED}),
        # a bank may send money back days later
        PayoutState.PAID: frozenset({PayoutState.FAILED}),
        PayoutState.FAILED: frozenset(),
    },
)


class EvaluationState(StrEnum):
    """Of a blind evaluation. A failed or cancelled one gives the buyer the run back."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


EVALUATIONS = StateMachine(
    "evaluation",
    {
        EvaluationState.QUEUED: frozenset({EvaluationState.RUNNING, EvaluationState.FAILED, EvaluationState.CANCELLED}),
        # running again: a worker was killed, and another has taken over
        EvaluationState.RUNNING: frozenset(
            {
                EvaluationState.RUNNING,
                EvaluationState.SUCCEEDED,
                EvaluationState.FAILED,
                EvaluationState.CANCELLED,
            }
        ),
        EvaluationState.SUCCEEDED: frozenset(),
        EvaluationState.FAILED: frozenset(),
        EvaluationState.CANCELLED: frozenset(),
    },
)
COUNTED = frozenset({EvaluationState.QUEUED, EvaluationState.RUNNING, EvaluationState.SUCCEEDED})
"""States in which an evaluation takes one of the buyer's runs."""
