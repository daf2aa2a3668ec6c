"""`manage.py signing_keys NAMESPACE [--add FILE --name N | --revoke KEY_ID --reason "…" | --rotate]`."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from accounts.actors import system
from common.errors import Invalid
from config.management.base import OperatorCommand
from registry.services import own_keys, signing


class Command(OperatorCommand):
    help = "The keys that versions of NAMESPACE are signed with: list them, add the public half of one, revoke one, make new ones."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("namespace", help="a person's or an organisation's name")
        deeds = parser.add_mutually_exclusive_group()
        deeds.add_argument("--add", metavar="FILE", type=Path, help="a public key, PEM, whose private half is not here")
        deeds.add_argument("--revoke", metavar="KEY_ID", help="take nothing any more that is signed with this key")
        deeds.add_argument("--rotate", action="store_true", help="have this site sign with new keys from now on")
        parser.add_argument("--name", default="", help="of the key that is added")
        parser.add_argument("--reason", default="", help="why the key is revoked; everybody can read it")

    def answer(
        self, *, namespace: str, add: Path | None, revoke: str | None, rotate: bool, name: str, reason: str, **_: Any
    ) -> dict[str, Any]:
        operator = system("operator")
        if add is not None:
            try:
                pem = add.read_text("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise Invalid(f"{add} cannot be read: {error}.") from error
            own_keys.add_key(operator, namespace, name=name, public_key=pem)
        elif revoke is not None:
            signing.revoke_key(operator, namespace, revoke, reason=reason)
        elif rotate:
            signing.rotate_keys(operator, namespace)
        return {
            "namespace": namespace,
            "keys": [
                {
                    "key_id": key.key_id,
                    "algorithm": key.algorithm,
                    "name": key.name,
                    "held_by": "owner" if key.is_external else "site",
                    "versions": key.version_count,  # type: ignore[attr-defined]  # annotated by keys_of
                    "created_at": key.created_at,
                    "retired_at": key.retired_at,
                    "revoked_at": key.revoked_at,
                }
                for key in signing.keys_of(operator, namespace)
            ],
        }
