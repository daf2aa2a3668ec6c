"""Upload and download through a running site, against `cp` and SHA-256 of the same bytes in the same run.

    python bench/transfer.py [--mib 256] [--url http://… --token …]

Starts a site of its own in a temporary folder unless `--url` is given. Prints one JSON object: MB/s of each way, and the ratio
to `cp` (to disk, synced) and to hashing, which bounds every upload from below. Take several runs: a busy machine shows.
"""

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from huggingface_hub import HfApi

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = dict(os.environ)

CLIENT = """
import sys, time
from huggingface_hub import HfApi
deed, repo, path = sys.argv[1:]
api = HfApi()
api.model_info(repo)
began = time.perf_counter()
if deed == "upload":
    api.upload_file(path_or_fileobj=path, path_in_repo="data.bin", repo_id=repo)
else:
    api.hf_hub_download(repo, "data.bin", cache_dir=path, force_download=True)
print(time.perf_counter() - began)
"""


@contextlib.contextmanager
def site(folder: Path) -> Iterator[tuple[str, str]]:
    """A site of its own (web only) and a token for it."""
    environment = {**ENVIRONMENT, "MERCATO_DATA": str(folder)}
    manage = [sys.executable, str(ROOT / "manage.py")]
    port = "18980"
    up = [*manage, "up", "--data", str(folder), "--port", port, "--no-demo", "--parts", "web"]
    process = subprocess.Popen(
        up, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert process.stdout is not None
        if not any(line.startswith("ready ") for line in process.stdout):
            raise SystemExit("the site did not start")
        user = ["create_user", "bench", "--email", "bench@example.org", "--password", "bench-password-1"]
        subprocess.run([*manage, *user], cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
        made = subprocess.run(
            [*manage, "create_token", "bench", "--name", "bench", "--scope", "*"],
            cwd=ROOT, env=environment, check=True, capture_output=True, text=True,
        )  # fmt: skip
        yield f"http://127.0.0.1:{port}", json.loads(made.stdout)["token"]
    finally:
        process.terminate()
        process.wait(30)


def seconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def copy_and_sync(source: Path, target: Path) -> None:
    subprocess.run(["cp", source, target], check=True)
    with target.open("rb") as file:
        os.fsync(file.fileno())


def hash_file(source: Path) -> str:
    with source.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=256, help="size of the file")
    parser.add_argument("--url", help="a running site; its own one otherwise")
    parser.add_argument("--token", help="a token for it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        work = Path(name)
        url, token = (options.url, options.token) if options.url else stack.enter_context(site(work / "site"))
        print(json.dumps(measure(work, url, token, options.mib), indent=2))


def measure(work: Path, url: str, token: str, mib: int) -> dict[str, float]:
    source = work / "data.bin"
    figures: dict[str, float] = {"mib": mib}
    spent: dict[str, float] = {}

    def client(deed: str, repo: str, path: Path, **extra: str) -> float:
        environment = {
            **ENVIRONMENT, "HF_ENDPOINT": url, "HF_TOKEN": token, "HF_HOME": str(work / "home"), "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            **extra,
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", CLIENT, deed, repo, str(path)],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        )
        return float(done.stdout.split()[-1])

    for way, extra in (("xet", {}), ("lfs", {"HF_HUB_DISABLE_XET": "1"})):
        # fresh noise each time: neither end has seen these bytes
        with source.open("wb") as file:
            for _ in range(mib):
                file.write(os.urandom(1024**2))
        repo = HfApi(endpoint=url, token=token).create_repo(f"bench-{way}-{os.getpid()}").repo_id
        spent[f"upload_{way}"] = client("upload", repo, source, **extra)
        spent["download"] = client("download", repo, work / "cache", **extra)
        shutil.rmtree(work / "cache")
    spent["cp"] = seconds(lambda: copy_and_sync(source, work / "copy.bin"))
    spent["sha256"] = seconds(lambda: hash_file(source))
    size_mb = source.stat().st_size / 1e6
    for deed, duration in spent.items():
        figures[f"{deed}_mb_per_s"] = round(size_mb / duration, 1)
    for deed in ("upload_xet", "upload_lfs", "download"):
        figures[f"{deed}_over_cp"] = round(spent["cp"] / spent[deed], 3)
    figures["upload_lfs_over_sha256"] = round(spent["sha256"] / spent["upload_lfs"], 3)
    return figures


if __name__ == "__main__":
    main()
