"""Staff look at the runs of the collection here; everything else has pages of its own."""

from django.contrib import admin
from django.http import HttpRequest

from registry.models import GarbageRun


@admin.register(GarbageRun)
class GarbageRunAdmin(admin.ModelAdmin):
    list_display = ["started_at", "finished_at", "counts", "problem"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False
