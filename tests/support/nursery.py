"""Inference processes that start in milliseconds: this one has loaded everything, and forks a real one per line on its standard
input. A test that kills twenty of them would otherwise mostly wait for imports."""

import os
import signal
import sys

import django
from django.core.management import call_command


def main(port: str) -> None:
    """Each line on standard input starts one `manage.py inference --port port`; its process id goes to standard output."""
    django.setup()
    __import__("api.inference.app")
    # children are awaited by nobody: let the kernel take their status
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for _ in sys.stdin:
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.close(0)
            os.open(os.devnull, os.O_RDONLY)
            call_command("inference", port=int(port))
            os._exit(0)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
