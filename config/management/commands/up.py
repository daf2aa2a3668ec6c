"""`manage.py up`: the whole site under one supervisor."""

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from argparse import ArgumentParser
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import DatabaseError, connection, connections

from accounts.models import User
from config import static
from config.demo.accounts import BUYER, SELLER, Memory
from config.parts import NAMES, parts
from config.supervisor import PartFailed, Supervisor

_console = threading.Lock()


class Command(BaseCommand):
    help = "Prepare and start the whole site: web, worker, scheduler and inference, until Ctrl-C."
    requires_system_checks: list[str] = []  # noqa: RUF012 - run below, with sentences

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--data", default=str(settings.DATA), help="the data folder (default: %(default)s)")
        parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
        parser.add_argument("--port", type=int, default=8000, help="the port of the site; inference takes the next one")
        parser.add_argument("--no-demo", action="store_true", help="leave an empty installation empty")
        parser.add_argument("--parts", default=",".join(NAMES), help="what to start (default: %(default)s)")

    def handle(self, *args: Any, data: str, host: str, port: int, no_demo: bool, **options: Any) -> None:
        names = tuple(name for name in NAMES if name in options["parts"].split(","))
        environment = {**os.environ, **environment_for(Path(data).resolve(), host, port)}
        if Path(data).resolve() != settings.DATA:
            # The settings of this process were read before --data was: begin again with it.
            sys.stdout.flush()
            os.execve(sys.executable, [sys.executable, *sys.argv], environment)  # noqa: S606 - ourselves
        lock = only_one(settings.DATA)
        require_free(host, [port + ("inference" in names) * step for step in (0, 1)])
        prepare()
        fresh = not User.objects.exists()
        pending = settings.DATA / "demo-pending"
        if fresh and not no_demo:
            pending.touch()
        connections.close_all()
        self.run(names, host, port, environment, demo=pending if pending.exists() and not no_demo else None)
        lock.close()

    def run(
        self, names: tuple[str, ...], host: str, port: int, environment: dict[str, str], *, demo: Path | None
    ) -> None:
        supervisor = Supervisor(
            parts(host, port, names), environment=environment, folder=settings.DATA / "log", say=say
        )
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: supervisor.stopping.set())
        code = 0
        try:
            say(f"Starting {', '.join(names)} (logs: {settings.DATA / 'log'})")
            supervisor.start()
            supervisor.await_ready()
            if not supervisor.stopping.is_set():
                say(f"ready http://{host}:{port}")
                show_demo(supervisor, environment, demo)
                supervisor.watch()
        except PartFailed as error:
            say(str(error))
            code = 1
        finally:
            say("Stopping …")
            supervisor.stop()
            say("Stopped.")
        if code:
            sys.exit(code)


def say(line: str) -> None:
    """One line on standard output, whole, at once."""
    with _console:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def stop_with(sentence: str) -> None:
    """End before anything was started, with a sentence on standard error and exit code 2."""
    sys.stderr.write(sentence + "\n")
    sys.exit(2)


def environment_for(data: Path, host: str, port: int) -> dict[str, str]:
    """What all parts are told; what the operator has set already stands."""
    here = "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104 - compared, not bound
    own = {
        "PUBLIC_URL": f"http://{here}:{port}",
        "INFERENCE_URL": f"http://{here}:{port + 1}",
        "LOG_FORMAT": "json",
        "ALLOWED_HOSTS": ",".join(dict.fromkeys(["127.0.0.1", "localhost", "[::1]", here])),
    }
    return {
        "MERCATO_DATA": str(data),
        "PROMETHEUS_MULTIPROC_DIR": str(data / "run" / "metrics"),
        **{key: os.environ.get(key, value) for key, value in own.items()},
    }


def only_one(data: Path) -> IO[str]:
    """Hold the data folder for this process: two sites on one folder would each restart what the other stops."""
    folder = data / "run"
    folder.mkdir(parents=True, exist_ok=True)
    handle = (folder / "up.lock").open("a+")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        stop_with(f"A site is already running on the data folder {data}. Stop it first, or name another with --data.")
    metrics = folder / "metrics"
    shutil.rmtree(metrics, ignore_errors=True)
    metrics.mkdir()
    return handle


def require_free(host: str, ports: list[int]) -> None:
    for port in ports:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OverflowError:
                stop_with(f"{port} is not a port: choose one below 65535.")
            except OSError as error:
                stop_with(
                    f"Port {port} on {host} cannot be used ({error.strerror}). Stop what uses it, or choose another one: "
                    f"make run PORT={ports[0] + 100}"
                )


def prepare() -> None:
    """Bring the database and the static files up to date; seconds at the first start, nothing much afterwards."""
    say(f"Data folder {settings.DATA}")
    try:
        say(f"Preparing the database ({connection.display_name}) …")
        call_command("migrate", interactive=False, verbosity=0)
    except DatabaseError as error:
        stop_with(f"The database cannot be used: {str(error).strip()}")
    if static.collect():
        say("Collected the files that pages load.")


def show_demo(supervisor: Supervisor, environment: dict[str, str], pending: Path | None) -> None:
    """Make the demonstration if it is wanted, and tell how to sign in to it."""
    if pending is not None:
        say("Preparing the demonstration: real data, real training, real calls. This takes a few minutes, once.")
        process = subprocess.Popen(
            [sys.executable, "manage.py", "demo"], cwd=settings.BASE_DIR, env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        reader = threading.Thread(target=_pass_on, args=(process,), daemon=True)
        reader.start()
        while process.poll() is None and not supervisor.stopping.wait(0.3):
            supervisor.tend()
        if supervisor.stopping.is_set():
            process.terminate()
            process.wait()
            return
        reader.join(5)
        if process.returncode != 0:
            say(
                "The demonstration stopped half-way; it is taken up again at the next start. The site itself is running."
            )
            return
        pending.unlink()
    elif (memory := Memory()).path.exists():
        say("The demonstration's accounts:")
        for player in (SELLER, BUYER):
            say(f"  {player.username}  password {memory.get(f'password:{player.username}')}  ({player.display_name})")
    site, inference = environment["PUBLIC_URL"], environment["INFERENCE_URL"]
    say(f"Mercato is running at {site} (inference: {inference}). Ctrl-C ends it.")


def _pass_on(process: subprocess.Popen[str]) -> None:
    for line in process.stdout or ():
        say("  " + line.rstrip())
