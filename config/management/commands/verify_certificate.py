"""`manage.py verify_certificate FILE [--key PEM_FILE]`."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from config.management.base import OperatorCommand, fail
from market.certificates import DOCUMENT_BYTES
from market.services import certificates


class Command(OperatorCommand):
    help = "Check the signature of a certificate of a blind evaluation, with this site's keys or with the public key in PEM_FILE."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--key", type=Path, help="a public key as PEM, of this site or of another; needs no database"
        )

    def answer(self, *, file: Path, key: Path | None, **_: Any) -> dict[str, Any]:
        with file.open("rb") as stream:
            text = stream.read(DOCUMENT_BYTES + 1)
        found = certificates.verify(text, public_pem=key.read_text(errors="replace") if key else "")
        if not found.is_good:
            fail("not_good", found.reason)
        return {
            "is_good": True,
            "message": found.reason,
            "key_id": found.key_id,
            "is_key_retired": found.is_retired,
            "certificate": found.statement,
        }
