from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class WorkConfig(AppConfig):
    name = "work"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Every app's `tasks` registers itself, so that a service may name a task that stands above it.
        autodiscover_modules("tasks")
