"""What notices are about. Every kind of notice belongs to one topic; people choose for each topic how they want to hear of it."""

from dataclasses import dataclass
from enum import StrEnum


class Topic(StrEnum):
    """One line of the preferences page."""

    SECURITY = "security"
    MONEY = "money"
    PURCHASES = "purchases"
    LISTINGS = "listings"
    COMMUNITY = "community"
    MENTIONS = "mentions"
    FOLLOWED = "followed"
    SHARING = "sharing"
    WORK = "work"


class Delivery(StrEnum):
    """How somebody hears of a topic. Whatever comes by mail stands on the site too."""

    SITE = "site"
    MAIL = "mail"
    DAILY = "daily"
    WEEKLY = "weekly"
    OFF = "off"


DIGESTS = (Delivery.DAILY, Delivery.WEEKLY)


@dataclass(frozen=True)
class Described:
    """`can_be_off`: whether it can be kept off the site as well. `usual`: what holds until somebody chooses."""

    title: str
    text: str
    usual: Delivery = Delivery.MAIL
    can_be_off: bool = True


TOPICS: dict[Topic, Described] = {
    Topic.SECURITY: Described("Security", "Quarantine, webhooks switched off, where your money goes", can_be_off=False),
    Topic.MONEY: Described("Money", "Sales, payouts, refunds, royalties, disputes", can_be_off=False),
    Topic.PURCHASES: Described(
        "Purchases",
        "What you have bought, subscriptions, seats, approvals, offers made to you, recalls",
        can_be_off=False,
    ),
    Topic.LISTINGS: Described("Your listings", "Reviews before publishing, blind evaluations, licences"),
    Topic.COMMUNITY: Described(
        "Reviews and questions", "Buyer reviews, questions, answers, discussions you take part in"
    ),
    Topic.MENTIONS: Described("Mentions", "Somebody has written @ and your name"),
    Topic.FOLLOWED: Described(
        "What you follow", "New versions, prices and listings, withdrawals", usual=Delivery.DAILY
    ),
    Topic.SHARING: Described("Sharing and access", "Somebody shares something with you, or asks for access"),
    Topic.WORK: Described("Jobs, imports, exports", "Work of yours that has ended"),
}

_OF_KIND: dict[str, Topic] = {
    "access": Topic.SHARING,
    "certificate-published": Topic.LISTINGS,
    "discussion": Topic.COMMUNITY,
    "evaluation": Topic.LISTINGS,
    "export": Topic.WORK,
    "import": Topic.WORK,
    "licence": Topic.LISTINGS,
    "market:approval": Topic.PURCHASES,
    "market:community": Topic.COMMUNITY,
    "market:dispute": Topic.MONEY,
    "market:followed": Topic.FOLLOWED,
    "market:listing": Topic.LISTINGS,
    "market:mention": Topic.MENTIONS,
    "market:offer": Topic.PURCHASES,
    "market:order": Topic.PURCHASES,
    "market:payout": Topic.MONEY,
    "market:payout-account": Topic.SECURITY,
    "market:payouts": Topic.MONEY,
    "market:recall": Topic.PURCHASES,
    "market:refund": Topic.MONEY,
    "market:return": Topic.MONEY,
    "market:royalties": Topic.MONEY,
    "market:royalty": Topic.MONEY,
    "market:sale": Topic.MONEY,
    "market:seat": Topic.PURCHASES,
    "market:subscription": Topic.PURCHASES,
    "market:usage": Topic.MONEY,
    "preparation": Topic.WORK,
    "quarantine": Topic.SECURITY,
    "recall": Topic.PURCHASES,
    "share": Topic.SHARING,
    "webhook": Topic.SECURITY,
}
_UNKNOWN = Topic.PURCHASES
"""A kind that nobody has sorted in is shown and mailed rather than lost."""


def topic_of(kind: str) -> Topic:
    """The topic of a kind of notice: that of the longest beginning, in whole words between colons, which is listed."""
    words = kind.split(":")
    for length in range(len(words), 0, -1):
        if topic := _OF_KIND.get(":".join(words[:length])):
            return topic
    return _UNKNOWN
