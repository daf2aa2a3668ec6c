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


class ThreadKind(StrEnum):
    """A question can have an accepted answer."""

    QUESTION = "question"
    DISCUSSION = "discussion"


class ThreadState(StrEnum):
    OPEN = "open"
    CLOSED = "closed"


class ReportReason(StrEnum):
    """Why something should not stand."""

    SPAM = "spam"
    ABUSE = "abuse"
    OFF_TOPIC = "off_topic"
    PRIVATE = "private"
    UNTRUE = "untrue"
    OTHER = "other"


class PlanKind(StrEnum):
    FREE = "free"
    ONE_TIME = "one_time"
    PAY_PER_USE = "pay_per_use"
    SUBSCRIPTION = "subscription"


class DisputeStanding(StrEnum):
    OPEN = "open"
    WON = "won"
    LOST = "lost"


class OrderState(StrEnum):
    """`awaiting_approval`: somebody of the buyer's organisation has to agree, nothing has moved; `placed`: the payment is under way; `paid`: the money is ours, what it buys is not open yet (inside one transaction);
    `refunding`: access is closed, calls in flight are still being counted; the money goes back when they are; `disputed`: the
    buyer's bank has taken the money back for the time being, access rests; `lost`: it did so for good."""

    AWAITING_APPROVAL = "awaiting_approval"
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
        OrderState.AWAITING_APPROVAL: frozenset({OrderState.PLACED, OrderState.CANCELLED}),
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


class ApprovalOutcome(StrEnum):
    """What became of a wish to buy that needed an approval: nothing yet, a decision, taken back, or nobody decided in time."""

    WAITING = "waiting"
    APPROVED = "approved"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"
    LAPSED = "lapsed"


class Interval(StrEnum):
    """How long a period of a subscription is."""

    MONTH = "month"
    YEAR = "year"


class SubscriptionState(StrEnum):
    """`past_due`: the next period could not be collected, access goes on for now; `suspended`: it rests until somebody pays;
    `cancelled`: over, as its buyer wished; `ended`: over, as it was not paid, returned, or the listing is gone."""

    TRIALING = "trialing"
    ACTIVE = "active"
    PAST_DUE = "past_due"
    SUSPENDED = "suspended"
    CANCELLED = "cancelled"
    ENDED = "ended"


_OVER = frozenset({SubscriptionState.CANCELLED, SubscriptionState.ENDED})
SUBSCRIPTIONS = StateMachine(
    "subscription",
    {
        SubscriptionState.TRIALING: frozenset({SubscriptionState.ACTIVE, SubscriptionState.PAST_DUE}) | _OVER,
        # active again: the next period is paid
        SubscriptionState.ACTIVE: frozenset({SubscriptionState.ACTIVE, SubscriptionState.PAST_DUE}) | _OVER,
        SubscriptionState.PAST_DUE: frozenset({SubscriptionState.ACTIVE, SubscriptionState.SUSPENDED}) | _OVER,
        SubscriptionState.SUSPENDED: frozenset({SubscriptionState.ACTIVE}) | _OVER,
        SubscriptionState.CANCELLED: frozenset(),
        SubscriptionState.ENDED: frozenset(),
    },
)
UNPAID = frozenset({SubscriptionState.PAST_DUE, SubscriptionState.SUSPENDED})
"""States in which the next period waits for its money."""


class TermKind(StrEnum):
    """What an order of a subscription pays: `trial`: nothing, to try it; `period`: the next one; `upgrade`: a period of a dearer plan
    that begins at once; `overage`: calls beyond the quota."""

    TRIAL = "trial"
    PERIOD = "period"
    UPGRADE = "upgrade"
    OVERAGE = "overage"


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


class ReturnState(StrEnum):
    """Of a request for money back. `open`: the seller has to decide; `declined`: the buyer may still ask the operator; `escalated`: the
    operator has to decide; `rejected`: the operator has declined it, for good; `closed`: the order was undone or lost otherwise."""

    OPEN = "open"
    DECLINED = "declined"
    ESCALATED = "escalated"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    CLOSED = "closed"


_ENDED = frozenset({ReturnState.ACCEPTED, ReturnState.WITHDRAWN, ReturnState.CLOSED})
RETURNS = StateMachine(
    "return request",
    {
        ReturnState.OPEN: _ENDED | {ReturnState.DECLINED, ReturnState.ESCALATED},
        ReturnState.DECLINED: frozenset({ReturnState.ESCALATED, ReturnState.CLOSED}),
        ReturnState.ESCALATED: _ENDED | {ReturnState.REJECTED},
        ReturnState.ACCEPTED: frozenset(),
        ReturnState.REJECTED: frozenset(),
        ReturnState.WITHDRAWN: frozenset(),
        ReturnState.CLOSED: frozenset(),
    },
)
WAITING_RETURNS = frozenset({ReturnState.OPEN, ReturnState.ESCALATED})
"""Somebody has to decide; one at a time per order."""


class ReturnStep(StrEnum):
    """What happened to a request, in its thread. `escalated_late`: nobody had decided in time."""

    ASKED = "asked"
    WROTE = "wrote"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    ESCALATED = "escalated"
    ESCALATED_LATE = "escalated_late"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    CLOSED = "closed"


class ReturnSide(StrEnum):
    """On whose behalf something was said in the thread of a request; `site`: nobody's, the site itself noted it."""

    BUYER = "buyer"
    SELLER = "seller"
    OPERATOR = "operator"
    SITE = "site"


class DocumentKind(StrEnum):
    """`invoice`: what an order cost; `credit_note`: what of an invoice was taken back; `usage_statement`: which of the calls that
    were bought and invoiced before were used in a month, nothing to pay."""

    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"
    USAGE_STATEMENT = "usage_statement"
