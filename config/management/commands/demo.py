"""`manage.py demo`: fill an empty installation with real data, models, sales and calls."""

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from common.errors import DomainError
from config.demo.accounts import BUYER, SELLER, Memory
from config.demo.story import Story


class Command(BaseCommand):
    help = "Make the demonstration on a running site. Interrupted, it goes on from there when called again."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            Story(self._say).tell()
        except DomainError as error:
            sys.stderr.write(f"{error.message}\n")
            sys.exit(2)
        memory = Memory()
        self._say(f"The demonstration is ready at {settings.PUBLIC_URL}. Sign in as:")
        for player in (SELLER, BUYER):
            password = memory.get(f"password:{player.username}")
            self._say(f"  {player.username}  password {password}  ({player.display_name}: {player.part})")

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
