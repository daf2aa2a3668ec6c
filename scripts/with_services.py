"""Run a command beside a PostgreSQL and a Redis that live only as long as it does: DATABASE_URL and BROKER_URL name them.

    python scripts/with_services.py COMMAND [ARGUMENT …]

Nothing is kept and nothing is flushed to disk, so it is fast, and it never touches a server that runs already."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NOBODY = 65534


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def await_port(port: int, name: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    sys.exit(f"{name} did not start")


def postgres_programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    program = str(found[-1]) if found else shutil.which("initdb")
    if not program:
        sys.exit("PostgreSQL's server is not installed (Debian: apt-get install postgresql)")
    return Path(program).parent


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A cluster in `folder`; its URL. PostgreSQL refuses to run as root, so root runs it as nobody."""
    programs, data, port = postgres_programs(), folder / "postgres", free_port()
    data.mkdir()
    identity: dict[str, Any] = {}
    if os.geteuid() == 0:
        os.chown(data, NOBODY, NOBODY)
        identity = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    subprocess.run(
        [programs / "initdb", "-D", data, "-A", "trust", "-U", "mercato", "-E", "UTF8", "--no-sync", "--no-instructions"],
        check=True, stdout=subprocess.DEVNULL, cwd=data, **identity,
    )  # fmt: skip
    options = {
        "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200",
        "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "port": str(port),
    }  # fmt: skip
    flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    with (folder / "postgres.log").open("w") as log:
        server = subprocess.Popen(
            [programs / "postgres", "-D", data, *flags], stdout=log, stderr=log, cwd=data, **identity
        )
    try:
        await_port(port, "PostgreSQL")
        yield f"postgres://mercato@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)


@contextlib.contextmanager
def redis(folder: Path) -> Iterator[str]:
    program, port = shutil.which("redis-server"), free_port()
    if not program:
        sys.exit("Redis is not installed (Debian: apt-get install redis-server)")
    server = subprocess.Popen(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
    )
    try:
        await_port(port, "Redis")
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(30)


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="mercato-services-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with postgres(folder) as database_url, redis(folder) as broker_url:
            environment = {**os.environ, "DATABASE_URL": database_url, "BROKER_URL": broker_url}
            return subprocess.run(sys.argv[1:], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
