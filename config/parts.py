"""The processes of an installation, and the command of each."""

import sys
from pathlib import Path

from config.settings.env import ROOT
from config.supervisor import Part

NAMES = ("web", "worker", "scheduler", "inference")


def parts(host: str, port: int, names: tuple[str, ...] = NAMES) -> list[Part]:
    """The parts called `names`; the site listens on `port`, inference on the next one."""
    manage = [sys.executable, str(Path(ROOT) / "manage.py")]
    here = "127.0.0.1" if host in {"0.0.0.0", "::", ""} else host  # noqa: S104 - compared, not bound
    known = {
        "web": Part(
            "web",
            [
                sys.executable, "-m", "gunicorn", "--config", "python:config.gunicorn",
                "--bind", f"{host}:{port}", "--chdir", str(ROOT), "config.wsgi:application",
            ],
            f"http://{here}:{port}/-/health",
        ),
        "worker": Part("worker", [*manage, "worker"]),
        "scheduler": Part("scheduler", [*manage, "scheduler"]),
        "inference": Part(
            "inference", [*manage, "inference", "--host", host, "--port", str(port + 1)], f"http://{here}:{port + 1}/v2/health/live"
        ),
    }  # fmt: skip
    return [known[name] for name in names]
