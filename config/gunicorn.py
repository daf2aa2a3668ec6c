"""How gunicorn serves the site. The address is given on the command line.

Threads (gthread, mended in gunicorn_worker.py): one per open request, so that a slow upload or download holds a thread and not a
process; files of the filesystem store leave through sendfile. `RAW_URI` keeps the escaped slashes that Hugging Face clients send
in revisions."""

import os
from pathlib import Path

from prometheus_client import multiprocess

from config.logs import dictionary
from config.settings.env import Environment

_env = Environment()

worker_class = "config.gunicorn_worker.Worker"
workers = _env.web_processes
threads = _env.web_threads
preload_app = True
keepalive = 75
# Long enough for a load balancer's idle limit above; a stuck process is replaced after this many seconds without a sign.
timeout = 120
graceful_timeout = 8
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - heartbeats in memory, not on a busy disk
control_socket_disable = True
# Tokens and file names of clients stay well under it; Xet sends long query strings.
limit_request_line = 8190
forwarded_allow_ips = "*" if _env.trusted_proxy else "127.0.0.1,::1"
logconfig_dict = dictionary(_env.log_format, _env.log_level)
# gunicorn's own logger keeps its lines to itself otherwise, in a format of its own.
logconfig_dict["loggers"]["gunicorn.error"] = {"level": "INFO", "handlers": ["stderr"], "propagate": False}


def child_exit(server: object, worker: object) -> None:
    """The metrics files of a process that has ended count no longer as live."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        multiprocess.mark_process_dead(worker.pid)  # type: ignore[attr-defined]
