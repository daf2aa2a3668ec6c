"""The composition: what is set up once per process, when Django has loaded."""

from importlib import import_module

from django.apps import AppConfig
from django.conf import settings

from config import logs


class ConfigConfig(AppConfig):
    name = "config"

    def ready(self) -> None:
        logs.configure(settings.LOG_FORMAT, settings.LOG_LEVEL)
        # Not imported above: both reach models, which exist only when all apps are loaded.
        import_module("config.checks")
        import_module("config.wiring").connect()
