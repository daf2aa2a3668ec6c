"""Which programs a job runs, as one digest: two results can be told apart by what made them."""

import functools
import hashlib
from pathlib import Path

FOLDER = Path(__file__).parent


@functools.cache
def sources_sha256() -> str:
    """SHA-256 (hex) over path and content of every source file of the programs, which import each other; computed once a process.
    It changes with every change of any of them."""
    total = hashlib.sha256()
    for path in sorted(FOLDER.rglob("*.py")):
        content = path.read_bytes()
        total.update(f"{path.relative_to(FOLDER).as_posix()}\0{len(content)}\0".encode() + content)
    return total.hexdigest()
