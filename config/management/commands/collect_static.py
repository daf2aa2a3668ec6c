"""`manage.py collect_static`: what `up` does before it starts; for images and deployments that start the parts themselves."""

from typing import Any

from django.conf import settings

from config import static
from config.management.base import OperatorCommand


class Command(OperatorCommand):
    help = "Collect the files that pages load, if any has changed."

    def answer(self, **_: Any) -> dict[str, Any]:
        return {"collected": static.collect(), "folder": settings.STATIC_ROOT}
