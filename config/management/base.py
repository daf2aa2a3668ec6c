"""What the operator commands share: one JSON object on standard output, one JSON line on standard error, exit code 2."""

import json
import sys
from collections.abc import Callable
from typing import Any

from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from accounts.models import User
from backends.errors import BackendError
from common.errors import DomainError, NotFound


class OperatorCommand(BaseCommand):
    """A command that `answer`s with one JSON object. Expected errors end it with code 2 and `{"error", "message", …}`."""

    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's attribute; a broken check must not stop a repair
    # An answer is JSON or nothing: Django's colours have no place in it.
    requires_migrations_checks = False

    answer: Callable[..., dict[str, Any]]
    """Does the deed with the parsed options and returns what to print. Raises DomainError for what the operator can mend."""

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            result = self.answer(**options)
        except DomainError as error:
            fail(error.code, error.message, **error.fields)
        except BackendError as error:
            fail("backend", str(error))
        except ValidationError as error:
            fail("invalid", " ".join(error.messages))
        except (CommandError, ImproperlyConfigured) as error:
            fail("invalid", str(error))
        except DatabaseError as error:
            fail("database", f"The database refused: {error}".strip())
        except OSError as error:
            fail("system", str(error))
        self.stdout.write(json.dumps(result, default=str))


def fail(code: str, message: str, **fields: Any) -> None:
    """Say what went wrong as one JSON line on standard error, and end with code 2."""
    sys.stderr.write(json.dumps({"error": code, "message": message, **fields}, default=str) + "\n")
    sys.exit(2)


def user_called(name: str) -> User:
    """The account of that name, in any case. Raises NotFound."""
    user = User.objects.filter(username__iexact=name).first()
    if user is None:
        raise NotFound(f"There is no user called {name}.", code="user_not_found")
    return user
