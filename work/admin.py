"""Staff look at tasks here and queue parked ones again."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from common.errors import Conflict
from work.claims import queue_again
from work.models import Schedule, Task


class _ReadOnly(admin.ModelAdmin):  # type: ignore[type-arg]
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


@admin.register(Task)
class TaskAdmin(_ReadOnly):
    list_display = ["name", "args", "queue", "state", "attempts", "run_at", "finished_at", "error"]
    list_filter = ["state", "queue", "name"]
    actions = ["queue_again"]

    @admin.action(description="Queue again", permissions=["view"])
    def queue_again(self, request: HttpRequest, queryset: QuerySet[Task]) -> None:
        for task_id in queryset.values_list("pk", flat=True):
            try:
                queue_again(task_id)
            except Conflict as error:
                self.message_user(request, f"{task_id}: {error.message}", messages.ERROR)


@admin.register(Schedule)
class ScheduleAdmin(_ReadOnly):
    list_display = ["name", "task", "every_s", "next_at", "last_at"]
