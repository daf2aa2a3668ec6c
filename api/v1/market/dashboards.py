"""The figures of the dashboards: what a namespace sells, and what it spends."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import Action
from api.v1.market.views import NamespaceView
from market.dashboard_periods import Period, month_of, period_of
from market.dashboard_queries import Flows, Interest, MoneyOf, seller_figures
from market.spending_queries import Spending, Spent, SpentIn, forecasts, spending_of
from market.use_queries import Used, UseIn

RANGE = [
    OpenApiParameter("days", int, description="The last so many days, 1 to 366; 30 unless days are named."),
    OpenApiParameter("since", OpenApiTypes.DATE, description="The first day."),
    OpenApiParameter("until", OpenApiTypes.DATE, description="The last day, with it; today unless said."),
    OpenApiParameter("time_zone", str, description="Where days begin and end, such as Europe/Berlin; UTC unless said."),
]


class FlowsWire(serializers.Serializer):
    """Minor units. `earned_minor` = gross − refunds − disputed − fees − royalties out + royalties in."""

    gross_minor = serializers.IntegerField()
    refunds_minor = serializers.IntegerField()
    disputed_minor = serializers.IntegerField()
    fees_minor = serializers.IntegerField()
    royalties_out_minor = serializers.IntegerField()
    royalties_in_minor = serializers.IntegerField()
    earned_minor = serializers.IntegerField()
    paid_out_minor = serializers.IntegerField()


class FlowsOfDayWire(FlowsWire):
    day = serializers.DateField()


class EarningsInWire(serializers.Serializer):
    """`held_minor` and `ready_minor` are of now, not of the period."""

    currency = serializers.CharField()
    total = FlowsWire()
    held_minor = serializers.IntegerField()
    ready_minor = serializers.IntegerField()
    days = FlowsOfDayWire(many=True)


class InterestWire(serializers.Serializer):
    """A trial is a free order or a blind evaluation; a purchase is a paid order."""

    views = serializers.IntegerField()
    trials = serializers.IntegerField()
    purchases = serializers.IntegerField()
    calls = serializers.IntegerField()


class InterestOfDayWire(InterestWire):
    day = serializers.DateField()


class PaidInWire(serializers.Serializer):
    currency = serializers.CharField()
    paid_minor = serializers.IntegerField()


class TopListingWire(InterestWire):
    listing = serializers.UUIDField()
    title = serializers.CharField()
    paid = PaidInWire(many=True)


class SellerDashboardWire(serializers.Serializer):
    """Days on which nothing moved are left out."""

    since = serializers.DateField()
    until = serializers.DateField()
    time_zone = serializers.CharField()
    money = EarningsInWire(many=True)
    interest = InterestWire()
    interest_days = InterestOfDayWire(many=True)
    listings = TopListingWire(many=True)


class SpentWire(serializers.Serializer):
    orders = serializers.IntegerField()
    paid_minor = serializers.IntegerField()
    refunded_minor = serializers.IntegerField()


class SpentOfDayWire(SpentWire):
    day = serializers.DateField()


class SpentOfListingWire(SpentWire):
    listing = serializers.UUIDField()
    title = serializers.CharField()


class SpentOfMemberWire(SpentWire):
    member = serializers.CharField(allow_blank=True)


class UsedWire(serializers.Serializer):
    """`cost_minor`: what was drawn, at the price that it was charged; 0 within a quota, and of what was bought as a whole."""

    calls = serializers.IntegerField()
    cost_minor = serializers.IntegerField()


class UsedOfDayWire(UsedWire):
    day = serializers.DateField()


class UsedOfEndpointWire(UsedWire):
    title = serializers.CharField()


class UsedOfTokenWire(UsedWire):
    """`token`: such as `walt: notebook`; empty: it was not noted, or is gone. `teams`: those its person is in today; null: it cannot be
    told."""

    token = serializers.CharField(allow_blank=True)
    teams = serializers.ListField(child=serializers.CharField(), allow_null=True)
    endpoints = UsedOfEndpointWire(many=True)


class UsedOfTeamWire(UsedWire):
    """`teams`: more than one for people who are in several, none for people in no team; null: it cannot be told."""

    teams = serializers.ListField(child=serializers.CharField(), allow_null=True)


class UseWire(serializers.Serializer):
    """Calls of the period, whenever they were paid. Days, tokens and teams each sum to `total`; a person has no teams."""

    total = UsedWire()
    days = UsedOfDayWire(many=True)
    tokens = UsedOfTokenWire(many=True)
    teams = UsedOfTeamWire(many=True)


class SpentInWire(serializers.Serializer):
    currency = serializers.CharField()
    total = SpentWire()
    days = SpentOfDayWire(many=True)
    listings = SpentOfListingWire(many=True)
    members = SpentOfMemberWire(many=True)
    use = UseWire()


class ForecastWire(serializers.Serializer):
    """What the present month comes to when it goes on as it began: so far, by the part of the month that is over."""

    currency = serializers.CharField()
    so_far_minor = serializers.IntegerField()
    month_minor = serializers.IntegerField()


class SpendingWire(serializers.Serializer):
    """Days on which nothing moved are left out."""

    since = serializers.DateField()
    until = serializers.DateField()
    time_zone = serializers.CharField()
    money = SpentInWire(many=True)
    use_without_purchase = UseWire(help_text="Calls to endpoints of one's own, and free ones.")
    forecast = ForecastWire(many=True)


class DashboardView(NamespaceView):
    def period(self) -> Period:
        given = self.request.query_params
        return period_of(
            days=given.get("days", ""), first=given.get("since", ""), last=given.get("until", ""), zone=self.zone
        )

    @property
    def zone(self) -> str:
        return self.request.query_params.get("time_zone") or "UTC"


class Selling(DashboardView):
    @extend_schema(responses=SellerDashboardWire, parameters=RANGE, tags=["market"])
    def get(self, request: Request, name: str) -> Response:
        """What a namespace sold: money by currency, the way from a look to a purchase, by day and by listing."""
        found = seller_figures(self.namespace(Action.NAMESPACE_SELL), self.period())
        return Response(
            {
                **_days(found.period),
                "money": [_earnings(each) for each in found.money],
                "interest": _interest(found.interest),
                "interest_days": [
                    {"day": day, **_interest(each)} for day, each in sorted(found.interest_by_day.items())
                ],
                "listings": [
                    {
                        "listing": each.listing.uuid,
                        "title": each.listing.title,
                        **_interest(each.interest),
                        "paid": [{"currency": key, "paid_minor": each.gross[key]} for key in sorted(each.gross)],
                    }
                    for each in found.top
                ],
            }
        )


class Spendings(DashboardView):
    @extend_schema(responses=SpendingWire, parameters=RANGE, tags=["market"])
    def get(self, request: Request, name: str) -> Response:
        """What a namespace spent: by day, listing and who ordered; what its calls cost, by day, token and team; a
        forecast for the month."""
        namespace = self.namespace(Action.ORDER_READ)
        found = spending_of(namespace, self.period())
        return Response(
            {
                **_days(found.period),
                "money": [_spent_in(found, each) for each in found.money],
                "use_without_purchase": _use(found.free),
                "forecast": [
                    {"currency": each.currency, "so_far_minor": each.so_far, "month_minor": each.until_end}
                    for each in forecasts(namespace, month_of(self.zone))
                ],
            }
        )


def _days(period: Period) -> dict[str, Any]:
    return {"since": period.first, "until": period.last, "time_zone": period.zone.key}


def _earnings(each: MoneyOf) -> dict[str, Any]:
    return {
        "currency": each.currency,
        "total": _flows(each.total),
        "held_minor": each.standing.held_minor,
        "ready_minor": each.standing.ready_minor,
        "days": [{"day": day, **_flows(flows)} for day, flows in sorted(each.by_day.items())],
    }


def _flows(flows: Flows) -> dict[str, int]:
    return {
        "gross_minor": flows.gross,
        "refunds_minor": flows.refunds,
        "disputed_minor": flows.disputed,
        "fees_minor": flows.fees,
        "royalties_out_minor": flows.royalties_out,
        "royalties_in_minor": flows.royalties_in,
        "earned_minor": flows.earned,
        "paid_out_minor": flows.paid_out,
    }


def _interest(each: Interest) -> dict[str, int]:
    return {"views": each.views, "trials": each.trials, "purchases": each.purchases, "calls": each.calls}


def _spent_in(found: Spending, each: SpentIn) -> dict[str, Any]:
    return {
        "currency": each.currency,
        "total": _spent(each.total),
        "days": [{"day": day, **_spent(spent)} for day, spent in sorted(each.by_day.items())],
        "listings": [
            {"listing": found.listings[pk].uuid, "title": found.listings[pk].title, **_spent(spent)}
            for pk, spent in sorted(each.by_listing.items(), key=lambda pair: -pair[1].net)
        ],
        "members": [
            {"member": name, **_spent(spent)}
            for name, spent in sorted(each.by_member.items(), key=lambda pair: -pair[1].net)
        ],
        "use": _use(each.use),
    }


def _use(use: UseIn) -> dict[str, Any]:
    return {
        "total": _used(use.total),
        "days": [{"day": day, **_used(used)} for day, used in sorted(use.by_day.items())],
        "tokens": [
            {
                "token": each.name,
                "teams": each.teams,
                **_used(each.total),
                "endpoints": [{"title": title, **_used(used)} for title, used in sorted(each.by_title.items())],
            }
            for each in use.tokens
        ],
        "teams": [{"teams": each.teams, **_used(each.total)} for each in use.teams],
    }


def _used(used: Used) -> dict[str, int]:
    return {"calls": used.calls, "cost_minor": used.cost_minor}


def _spent(spent: Spent) -> dict[str, int]:
    return {"orders": spent.orders, "paid_minor": spent.paid, "refunded_minor": spent.back}
