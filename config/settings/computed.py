"""Settings that follow from others and that nobody sets by hand."""

import os
import secrets
from pathlib import Path


def secret_key_in(data: Path) -> str:
    """The installation's own key: made once in `data/secret_key` (mode 0600), the same ever after."""
    path = data / "secret_key"
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        data.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(64))
        try:
            # link, not rename: of two processes that start together, the first one's key stands
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
        return path.read_text().strip()
