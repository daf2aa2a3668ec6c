"""How long `manage.py fsck` takes, and whether it finds what is wrong: a million stored objects, a hundred planted faults.

    python bench/registry_fsck.py [--objects 1000000] [--folder FOLDER]

SQLite and a storage folder in a temporary place (below FOLDER when it is given); the objects are files of no bytes, because only
rows and listing are compared. Prints one JSON object. The limit of the product is ten minutes for a million.
"""

import argparse
import hashlib
import json
import os
import tempfile
import time
from pathlib import Path

import django

LIMIT_S = 600
FAULTS = 25
"""Of each of four kinds."""


def fill(objects: int, root: Path) -> None:
    """Rows as the product writes them, and files where its store keeps them."""
    from registry.models import Blob  # noqa: PLC0415 - models exist only after django.setup()

    at_once = 10_000
    for start in range(0, objects, at_once):
        rows = [
            Blob(sha256=hashlib.sha256(b"%d" % number).hexdigest(), size_bytes=0)
            for number in range(start, min(start + at_once, objects))
        ]
        Blob.objects.bulk_create(rows)
        for row in rows:
            _touch(root / row.key)


def _touch(path: Path) -> None:
    try:
        path.touch()
    except FileNotFoundError:
        path.parent.mkdir(parents=True)
        path.touch()


def plant(root: Path) -> None:
    """Faults of four kinds, spread over all digests."""
    from registry.models import Blob  # noqa: PLC0415

    rows = list(Blob.objects.order_by("?")[: 3 * FAULTS])
    for number, row in enumerate(rows):
        path = root / row.key
        if number % 3 == 0:
            path.unlink()
        elif number % 3 == 1:
            path.write_bytes(b"longer")
        else:
            Blob.objects.filter(pk=row.pk).update(size_bytes=7)
    for number in range(FAULTS):
        _touch(root / Blob(sha256=hashlib.sha256(b"extra %d" % number).hexdigest()).key)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument("--folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        os.environ["MERCATO_DATA"] = folder
        os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings.test"
        django.setup()
        from django.conf import settings  # noqa: PLC0415
        from django.core.management import call_command  # noqa: PLC0415

        from registry.services import integrity  # noqa: PLC0415

        root = Path(folder) / "objects"
        settings.STORAGE_URL = f"file://{root}"
        call_command("migrate", verbosity=0)
        begun = time.monotonic()
        fill(options.objects, root)
        filled = time.monotonic()
        sound = integrity.check()
        checked = time.monotonic()
        assert sound.is_sound
        assert sound.objects == options.objects
        plant(root)
        found = integrity.check().counts
        took = checked - filled
        print(
            json.dumps(
                {
                    "objects": options.objects,
                    "filled_s": round(filled - begun, 1),
                    "checked_s": round(took, 1),
                    "objects_per_s": round(options.objects / took),
                    "found": found,
                    "found_all": found == {"missing": FAULTS, "wrong_size": 2 * FAULTS, "extra": FAULTS},
                    "within_limit": took <= LIMIT_S * options.objects / 1_000_000,
                }
            )
        )


if __name__ == "__main__":
    main()
