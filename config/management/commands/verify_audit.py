"""`manage.py verify_audit`."""

from typing import Any

from accounts.services import audit
from config.management.base import OperatorCommand, fail


class Command(OperatorCommand):
    help = "Check that no record of the audit trail was altered, removed or put in between."

    def answer(self, **_: Any) -> dict[str, Any]:
        found = audit.verify()
        if found.first_bad is not None:
            fail(
                "audit_broken",
                f"Record {found.first_bad} does not fit the chain: {found.reason}.",
                checked=found.checked,
                first_bad=found.first_bad,
            )
        return {"checked": found.checked, "head_sha256": found.head_sha256}
