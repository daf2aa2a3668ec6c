"""Staff look at trade here. Nothing is changed: credits, refunds and listings have services, and the ledger can't be edited."""

from django.contrib import admin
from django.http import HttpRequest

from market.models import (
    Account,
    Dispute,
    Entitlement,
    LedgerEntry,
    LedgerTransaction,
    Listing,
    Order,
    Plan,
    ProviderEvent,
)


class _ReadOnly(admin.ModelAdmin):
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


class _Entries(admin.TabularInline):
    model = LedgerEntry
    can_delete = False
    extra = 0

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


class _Plans(admin.TabularInline):
    model = Plan
    can_delete = False
    extra = 0

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


@admin.register(Listing)
class ListingAdmin(_ReadOnly):
    list_display = ["title", "namespace", "slug", "subject_kind", "state", "visibility", "sales", "published_at"]
    list_filter = ["state", "subject_kind", "visibility"]
    list_select_related = ["namespace"]
    search_fields = ["title", "slug", "namespace__name"]
    inlines = [_Plans]


@admin.register(Order)
class OrderAdmin(_ReadOnly):
    list_display = [
        "uuid",
        "buyer",
        "seller",
        "listing",
        "total_minor",
        "refunded_minor",
        "currency",
        "state",
        "created_at",
    ]
    list_filter = ["state", "currency"]
    list_select_related = ["buyer", "seller", "listing"]
    search_fields = ["uuid", "buyer__name", "seller__name"]


@admin.register(Entitlement)
class EntitlementAdmin(_ReadOnly):
    list_display = ["uuid", "holder", "listing", "granted_units", "settled_units", "created_at", "revoked_at"]
    list_select_related = ["holder", "listing"]
    search_fields = ["uuid", "holder__name"]


@admin.register(Account)
class AccountAdmin(_ReadOnly):
    list_display = ["key", "namespace", "kind", "balance_minor", "currency"]
    list_filter = ["kind", "currency"]
    list_select_related = ["namespace"]
    search_fields = ["key", "namespace__name"]


@admin.register(LedgerTransaction)
class LedgerTransactionAdmin(_ReadOnly):
    list_display = ["seal_id", "kind", "source", "source_id", "order_id", "at", "memo"]
    list_filter = ["kind"]
    search_fields = ["source_id"]
    inlines = [_Entries]


@admin.register(ProviderEvent)
class ProviderEventAdmin(_ReadOnly):
    list_display = ["event_id", "backend", "type", "reference", "received_at", "processed_at", "problem"]
    list_filter = ["backend", "topic"]
    search_fields = ["event_id", "reference", "key"]


@admin.register(Dispute)
class DisputeAdmin(_ReadOnly):
    list_display = ["reference", "order", "state", "amount_minor", "reason", "opened_at", "due_at", "closed_at"]
    list_filter = ["state"]
    list_select_related = ["order"]
    search_fields = ["reference", "order__uuid"]
