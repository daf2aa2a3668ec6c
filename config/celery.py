"""The Celery application for those who start workers with Celery's own command: `celery -A config.celery worker`.
`manage.py worker` does the same with the right options."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.dev")
django.setup()

from work.rings import app  # noqa: E402 - models can be imported only after the set-up

__all__ = ["app"]
