"""The registry as its clients meet it: files through curl, against MLflow's artifact proxy in the same run; HEAD of a file; a commit of
many files; a snapshot of many small ones.

    python bench/registry_clients.py [--mib 256] [--files 10000] [--mlflow /path/to/python] [--nginx /path/to/nginx]

Starts a site of its own. `--mlflow` names an interpreter that has MLflow, `--nginx` an nginx that serves the same file from a folder; without
them those comparisons are left out. Prints one JSON object: medians of three rounds, ratios above 1 where we are faster.
"""

import argparse
import contextlib
import getpass
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.utils import disable_progress_bars
from transfer import ENVIRONMENT, copy_and_sync, hash_file, seconds, site

MLFLOW_PORT = 18985
NGINX_PORT = 18986
NGINX = """
user {user};
worker_processes 2;
daemon off;
error_log stderr;
pid {folder}/nginx.pid;
events {{}}
http {{
  access_log off; sendfile on; tcp_nopush on;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""
ROUNDS = 3


@contextlib.contextmanager
def mlflow(python: str, folder: Path) -> Iterator[str]:
    """MLflow's server with its artifact proxy over a folder."""
    folder.mkdir()
    command = [
        python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(MLFLOW_PORT), "--workers", "2",
        "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "artifacts"),
    ]  # fmt: skip
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with ended(process):
        wait_for(MLFLOW_PORT, "/health")
        yield f"http://127.0.0.1:{MLFLOW_PORT}/api/2.0/mlflow-artifacts/artifacts"


@contextlib.contextmanager
def nginx(program: str, folder: Path, root: Path) -> Iterator[str]:
    """Plain nginx over a folder."""
    folder.mkdir()
    (folder / "index.html").write_text("here")
    settings = folder / "nginx.conf"
    settings.write_text(NGINX.format(user=getpass.getuser(), folder=folder, root=root, port=NGINX_PORT))
    with ended(subprocess.Popen([program, "-p", str(folder), "-c", str(settings)], stderr=subprocess.DEVNULL)):
        wait_for(NGINX_PORT, f"/{folder.name}/index.html")
        yield f"http://127.0.0.1:{NGINX_PORT}/data.bin"


@contextlib.contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """The process, for as long as it is needed."""
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def wait_for(port: int, path: str) -> None:
    for _ in range(600):
        with contextlib.suppress(OSError):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return
        time.sleep(0.2)
    raise SystemExit(f"nothing answers on port {port}")


def curl(*arguments: str) -> None:
    subprocess.run(["curl", "-sSfL", "-o", "/dev/null", *arguments], check=True)


def put(url: str, repo: str, token: str, source: Path) -> float:
    """Seconds of one plain PUT, as git-lfs sends a file: the server checks size and SHA-256 on the way."""
    announced = {"oid": hash_file(source), "size": source.stat().st_size}
    asked = {"operation": "upload", "transfers": ["basic"], "objects": [announced]}
    request = urllib.request.Request(
        f"{url}/{repo}.git/info/lfs/objects/batch",
        data=json.dumps(asked).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/vnd.git-lfs+json"},
    )
    with urllib.request.urlopen(request) as response:
        action = json.load(response)["objects"][0]["actions"]["upload"]
    return seconds(lambda: curl("-T", str(source), action["href"]))


def median(act: Callable[[], object]) -> float:
    return statistics.median(seconds(act) for _ in range(ROUNDS))


def noise(path: Path, mib: int) -> None:
    """Bytes that nobody has seen before."""
    with path.open("wb") as file:
        for _ in range(mib):
            file.write(os.urandom(1024**2))


def transfer(
    api: HfApi, work: Path, url: str, token: str, mib: int, other: str | None, static: str | None
) -> dict[str, float]:
    """MB/s of whole files, up and down."""
    source = work / "data.bin"
    repo = api.create_repo("transfer").repo_id
    spent: dict[str, list[float]] = {
        "cp": [],
        "upload": [],
        "put": [],
        "download": [],
        "nginx": [],
        "mlflow_upload": [],
        "mlflow_download": [],
    }
    for number in range(ROUNDS):
        noise(source, mib)
        spent["put"].append(put(url, repo, token, source))
        noise(source, mib)
        # a new file each time, for everybody: to write where a file was before is twice as fast on some virtual machines
        name = f"data-{number}.bin"
        spent["cp"].append(seconds(lambda name=name: copy_and_sync(source, work / f"copy-{name}")))
        spent["upload"].append(
            seconds(lambda name=name: api.upload_file(path_or_fileobj=source, path_in_repo=name, repo_id=repo))
        )
        address = f"{url}/{repo}/resolve/main/{name}"
        spent["download"].append(seconds(lambda address=address: curl("-H", f"Authorization: Bearer {token}", address)))
        if static:
            spent["nginx"].append(seconds(lambda: curl(static)))
        if other:
            theirs = f"{other}/{name}"
            spent["mlflow_upload"].append(seconds(lambda theirs=theirs: curl("-T", str(source), theirs)))
            spent["mlflow_download"].append(seconds(lambda theirs=theirs: curl(theirs)))
    middle = {deed: statistics.median(times) for deed, times in spent.items() if times}
    figures = {f"{deed}_mb_per_s": round(mib * 1.048576 / duration, 1) for deed, duration in middle.items()}
    figures["download_over_cp"] = round(middle["cp"] / middle["download"], 2)
    if static:
        figures["download_over_nginx"] = round(middle["nginx"] / middle["download"], 2)
    for deed, theirs in (("upload", "upload"), ("put", "upload"), ("download", "download")) if other else ():
        figures[f"{deed}_over_mlflow"] = round(middle[f"mlflow_{theirs}"] / middle[deed], 2)
    return figures


def heads(url: str, token: str, path: str) -> dict[str, float]:
    """HEAD of a file in a repository: one client after the other request, then sixteen at once."""
    address = urlsplit(url)

    def ask(count: int) -> list[float]:
        connection = http.client.HTTPConnection(address.hostname or "", address.port)
        times = []
        for _ in range(count):
            began = time.perf_counter()
            connection.request("HEAD", path, headers={"Authorization": f"Bearer {token}"})
            response = connection.getresponse()
            response.read()
            times.append(time.perf_counter() - began)
            if response.status not in (200, 302):
                raise SystemExit(f"HEAD answered {response.status}")
        return times

    ask(50)
    alone = sorted(ask(500))
    began = time.perf_counter()
    with ThreadPoolExecutor(16) as pool:
        total = sum(len(times) for times in pool.map(ask, [100] * 16))
    return {
        "head_p50_ms": round(1000 * alone[len(alone) // 2], 2),
        "head_p99_ms": round(1000 * alone[len(alone) * 99 // 100], 2),
        "heads_per_s": round(total / (time.perf_counter() - began)),
    }


def commits(api: HfApi, files: int) -> dict[str, float]:
    """A commit of many files, and of one more."""
    repo = api.create_repo("many", repo_type="dataset").repo_id

    def commit(operations: list[CommitOperationAdd], title: str) -> float:
        return seconds(
            lambda: api.create_commit(repo, operations, commit_message=title, repo_type="dataset", num_threads=2)
        )

    many = [CommitOperationAdd(f"rows/{number:06}.txt", f"row {number}".encode()) for number in range(files)]
    first = commit(many, "Many files")
    one = statistics.median(
        commit([CommitOperationAdd("rows/000000.txt", f"again {at}".encode())], "One") for at in range(ROUNDS)
    )
    return {f"commit_of_{files}_s": round(first, 2), "commit_of_one_more_s": round(one, 3)}


def snapshot(api: HfApi, work: Path) -> dict[str, float]:
    """Fifty small files, by `snapshot_download` as it is."""
    repo = api.create_repo("small").repo_id
    api.create_commit(
        repo, [CommitOperationAdd(f"{at}.json", b"{}" * (at + 1)) for at in range(50)], commit_message="Fifty"
    )
    folders = iter(range(1000))
    spent = median(lambda: api.snapshot_download(repo, cache_dir=work / f"cache-{next(folders)}"))
    return {"snapshot_of_50_s": round(spent, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=256, help="size of the file")
    parser.add_argument("--files", type=int, default=10_000, help="files of the large commit")
    parser.add_argument("--mlflow", help="an interpreter that has MLflow")
    parser.add_argument("--nginx", help="an nginx")
    options = parser.parse_args()
    disable_progress_bars()
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        work = Path(name)
        url, token = stack.enter_context(site(work / "site"))
        other = stack.enter_context(mlflow(options.mlflow, work / "mlflow")) if options.mlflow else None
        static = stack.enter_context(nginx(options.nginx, work / "nginx", work)) if options.nginx else None
        api = HfApi(endpoint=url, token=token)
        figures = transfer(api, work, url, token, options.mib, other, static)
        figures |= heads(url, token, "/bench/transfer/resolve/main/data-0.bin")
        figures |= snapshot(api, work)
        figures |= commits(api, options.files)
        print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    sys.exit(main())
