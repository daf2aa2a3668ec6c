"""A dataset of a million files: made in commits of a size that clients send, then changed by one file.

    python bench/million_files.py [--files 1000000] [--batch 20000] [--one-commit]

Makes a database and a store of its own in a temporary folder. Prints one JSON object: seconds and the peak of memory of the
commits, the seconds of a commit that changes one file (the median of nine, beside that in a repository of a thousand files), and how long
listing what it changed takes.
"""

import argparse
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

import django

ROOT = Path(__file__).resolve().parent.parent
FOLDER = 1_000
"""Files of a folder."""


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--batch", type=int, default=20_000)
    parser.add_argument("--one-commit", action="store_true", help="everything in one commit instead of batches")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"DJANGO_SETTINGS_MODULE": "config.settings.dev", "MERCATO_DATA": folder}
        sys.path.insert(0, str(ROOT))
        print(json.dumps(measure(asked.files, asked.files if asked.one_commit else asked.batch), indent=2))
    return 0


def measure(files: int, batch: int) -> dict[str, float | int]:
    django.setup()
    from django.core.management import call_command  # noqa: PLC0415 - after django.setup()

    call_command("migrate", verbosity=0)
    from registry.changes import changes_of  # noqa: PLC0415 - after django.setup()
    from registry.queries import head_of  # noqa: PLC0415 - after django.setup()
    from registry.services import repos, storage  # noqa: PLC0415 - after django.setup()
    from registry.services.commits import AddFile, create_commit  # noqa: PLC0415 - after django.setup()
    from tests.factories.accounts import actor_of, make_user  # noqa: PLC0415 - after django.setup()

    actor = actor_of(make_user("ada"))
    blobs = storage.store_many([b"%d" % number for number in range(100)])
    sizes = {"small": 1_000, "large": files}
    made = {}
    result: dict[str, float | int] = {"files": files, "batch": batch, "rss_before_mib": _peak()}
    for name, size in sizes.items():
        repo = made[name] = repos.create_repo(actor, "dataset", "ada", name)
        began, slowest = time.perf_counter(), 0.0
        for start in range(0, size, batch):
            operations = (
                AddFile(f"train/{number // FOLDER:05d}/{number:08d}.png", blobs[number % 100])
                for number in range(start, min(size, start + batch))
            )
            at = time.perf_counter()
            create_commit(actor, repo, "main", operations, summary="Add files")
            slowest = max(slowest, time.perf_counter() - at)
        result[f"{name}_commit_s"] = round(time.perf_counter() - began, 2)
        result[f"{name}_slowest_batch_s"] = round(slowest, 2)
    result["rss_peak_mib"] = _peak()
    result["file_count"] = head_of(made["large"]).tree.file_count
    for name, repo in made.items():
        times = []
        for number in range(9):
            operation = AddFile(f"train/{0:05d}/{number:08d}.png", blobs[50 + number])
            at = time.perf_counter()
            create_commit(actor, repo, "main", [operation], summary="Change one")
            times.append(time.perf_counter() - at)
        result[f"{name}_one_file_ms"] = round(1000 * statistics.median(times), 1)
    at = time.perf_counter()
    changes, _ = changes_of(head_of(made["large"]))
    assert len(changes) == 1
    result["large_changes_ms"] = round(1000 * (time.perf_counter() - at), 1)
    return result


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    sys.exit(main())
