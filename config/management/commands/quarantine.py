"""`manage.py quarantine SHA256 --reason "…"`, `manage.py quarantine SHA256 --release --reason "…"`."""

from argparse import ArgumentParser
from typing import Any

from accounts.actors import system
from common.errors import NotFound
from config.management.base import OperatorCommand
from registry import queries
from registry.services import quarantine
from registry.states import Origin


class Command(OperatorCommand):
    help = "Hold a stored file back everywhere: no download, endpoint or job gets it. With --release, let it go again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("sha256", help="of the file")
        parser.add_argument("--reason", required=True, help="a sentence that its owners will read")
        parser.add_argument("--release", action="store_true", help="end every quarantine of the file")

    def answer(self, *, sha256: str, reason: str, release: bool, **_: Any) -> dict[str, Any]:
        blob = queries.blob_by_digest(sha256)
        if blob is None:
            raise NotFound(f"No file with the SHA-256 {sha256[:64]} is stored here.", code="file_not_found")
        operator = system("operator")
        if release:
            rows = [quarantine.release(operator, row.uuid, reason) for row in queries.quarantines_of_blob(blob)]
            return {"sha256": sha256, "released": [str(row.uuid) for row in rows]}
        row = quarantine.hold_back(operator, blob, reason, Origin.STAFF)
        return {"sha256": sha256, "quarantine": str(row.uuid), "reason": row.reason}
