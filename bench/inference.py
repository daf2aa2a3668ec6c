"""What a call costs: our whole path (token, right, budget, rate limit, spool, metering) against FastAPI with the same
onnxruntime session, against a server that answers a hundred fixed bytes, and against onnxruntime without any server.

    python bench/inference.py [--seconds 3] [--rounds 3] [--connections 32]

All in one run, on one machine, in turns, so that a busy machine hurts each of them alike; ratios are taken within a round and
the median is shown. Answers are compared before anything is timed. Uses wrk when it is installed, else a client of ours, which
is slower and lowers all figures. The data folder is temporary."""

import argparse
import asyncio
import atexit
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

DATA = Path(tempfile.mkdtemp(prefix="mercato-bench-"))
atexit.register(shutil.rmtree, DATA, ignore_errors=True)
os.environ |= {
    "DJANGO_SETTINGS_MODULE": "config.settings.dev",
    "MERCATO_DATA": str(DATA),
    "OMP_NUM_THREADS": "1",
    "INFERENCE_CALLS_PER_S": "1000000",
    "LOG_LEVEL": "WARNING",
}
for name in ("DATABASE_URL", "STORAGE_URL"):
    os.environ.pop(name, None)

import django  # noqa: E402

django.setup()

import onnxruntime as ort  # noqa: E402
from django.core.management import call_command  # noqa: E402

from accounts.models import Namespace  # noqa: E402
from api.inference.recorder import Recorder  # noqa: E402
from metering.models import UsageRecord  # noqa: E402
from tests.factories.endpoints import make_endpoint, make_person, make_token, sell_calls  # noqa: E402
from tests.support import onnx_models  # noqa: E402
from tests.support.http_load import exchange, hammer, post  # noqa: E402


@dataclass(frozen=True)
class Case:
    """One model with the request every server gets. `body` for ours and the null server, `plain` for FastAPI."""

    name: str
    raw: bytes
    feeds: dict[str, np.ndarray]
    output: str
    body: bytes
    headers: dict[str, str]
    plain: bytes


@dataclass(frozen=True)
class Figures:
    count: int
    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    """Processor time of the server's process for one call."""
    beside_us: float
    """The same of its child, our recorder, which runs beside the calls."""


def cases() -> list[Case]:
    row = np.random.default_rng(1).random((1, 30), dtype="f4")
    document = {"inputs": [{"name": "x", "shape": [1, 30], "datatype": "FP32", "data": row.ravel().tolist()}]}
    image = np.random.default_rng(2).random((1, 1, 28, 28), dtype="f4")
    given = {
        "name": "image",
        "shape": [1, 1, 28, 28],
        "datatype": "FP32",
        "parameters": {"binary_data_size": image.nbytes},
    }
    head = json.dumps({"inputs": [given], "parameters": {"binary_data_output": True}}).encode()
    return [
        Case(
            "MLP, 30 features, JSON", onnx_models.mlp(), {"x": row}, "probabilities",
            json.dumps(document).encode(), {"content-type": "application/json"},
            json.dumps({"data": row.tolist()}).encode(),
        ),
        Case(
            "small CNN, binary", onnx_models.cnn(), {"image": image}, "scores",
            head + image.tobytes(), {"inference-header-content-length": str(len(head))},
            json.dumps({"data": image.tolist()}).encode(),
        ),
    ]  # fmt: skip


PEER = """
import numpy as np, onnxruntime as ort
from fastapi import FastAPI
from pydantic import BaseModel
options = ort.SessionOptions()
options.intra_op_num_threads = 1
session = ort.InferenceSession({path!r}, options)
name = session.get_inputs()[0].name
class Given(BaseModel):
    data: list
app = FastAPI()
@app.post("/predict")
async def predict(given: Given):
    return {{"data": session.run(None, {{name: np.array(given.data, dtype="float32")}})[0].tolist()}}
"""
NULL = """
BODY = b"x" * 100
START = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"100")]}
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send(START)
    await send({"type": "http.response.body", "body": BODY})
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running(argv: list[str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        argv, cwd=ROOT, env=os.environ | {"PYTHONPATH": f"{DATA}:{ROOT}"}, stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            if time.monotonic() > until or process.poll() is not None:
                raise SystemExit(f"{argv} did not start") from None
            time.sleep(0.05)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def uvicorn(module: str, port: int) -> list[str]:
    return [
        sys.executable, "-m", "uvicorn", f"{module}:app", "--port", str(port), "--http", "httptools", "--loop", "uvloop",
        "--no-access-log", "--log-level", "error",
    ]  # fmt: skip


def once(port: int, request: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
    async def ask() -> tuple[int, dict[bytes, bytes], bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        reply = await exchange(reader, writer, request)
        writer.close()
        return reply.status, reply.headers, reply.body

    return asyncio.run(ask())


def cpu_s(process: subprocess.Popen[bytes]) -> tuple[float, float]:
    """Processor time so far, of the process and of its children."""
    parent = psutil.Process(process.pid)
    return sum(parent.cpu_times()[:2]), sum(sum(each.cpu_times()[:2]) for each in parent.children(recursive=True))


WRK_SCRIPT = """
wrk.method = "POST"
local file = io.open({body!r}, "rb")
wrk.body = file:read("*a")
file:close()
{headers}
done = function(summary, latency, requests)
  io.write(string.format("RESULT %d %d %f %f %d\\n", summary.requests, summary.duration, latency:percentile(50),
    latency:percentile(99), summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout))
end
"""


def load(
    process: subprocess.Popen[bytes],
    port: int,
    path: str,
    body: bytes,
    headers: dict[str, str],
    options: argparse.Namespace,
) -> Figures:
    before = cpu_s(process)
    measure = with_wrk if shutil.which("wrk") else with_hammer
    count, seconds, p50_ms, p99_ms = measure(port, path, body, headers, options)
    own, beside = (after - earlier for after, earlier in zip(cpu_s(process), before, strict=True))
    return Figures(count, count / seconds, p50_ms, p99_ms, own / count * 1e6, beside / count * 1e6)


def with_wrk(
    port: int, path: str, body: bytes, headers: dict[str, str], options: argparse.Namespace
) -> tuple[int, float, float, float]:
    (DATA / "body").write_bytes(body)
    lines = "\n".join(f"wrk.headers[{name!r}] = {value!r}" for name, value in headers.items())
    (DATA / "load.lua").write_text(WRK_SCRIPT.format(body=str(DATA / "body"), headers=lines))
    done = subprocess.run(
        ["wrk", "-t1", f"-c{options.connections}", f"-d{options.seconds}s", "-s", str(DATA / "load.lua"), f"http://127.0.0.1:{port}{path}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = re.search(r"RESULT (\d+) (\d+) ([\d.]+) ([\d.]+) (\d+)", done.stdout)
    assert found, done.stdout
    if int(found[5]):
        raise SystemExit(f"{found[5]} calls failed: {done.stdout}")
    return int(found[1]), int(found[2]) / 1e6, float(found[3]) / 1e3, float(found[4]) / 1e3


def with_hammer(
    port: int, path: str, body: bytes, headers: dict[str, str], options: argparse.Namespace
) -> tuple[int, float, float, float]:
    async def go() -> tuple[int, float, float, float]:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(options.seconds, stop.set)
        began = time.perf_counter()
        seen = await hammer(port, post(path, body, **headers), connections=options.connections, stop=stop)
        taken = time.perf_counter() - began
        assert seen.statuses().keys() == {200}, seen.statuses()
        times = sorted(seen.latencies_s)
        return len(times), taken, times[len(times) // 2] * 1e3, times[len(times) * 99 // 100] * 1e3

    return asyncio.run(go())


def bare(case: Case, seconds: float) -> Figures:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(case.raw, options)
    taken: list[float] = []
    until = time.perf_counter() + seconds
    cpu = time.process_time()
    while time.perf_counter() < until:
        began = time.perf_counter()
        session.run([case.output], case.feeds)
        taken.append(time.perf_counter() - began)
    cpu = time.process_time() - cpu
    taken.sort()
    count = len(taken)
    p50_ms, p99_ms = taken[count // 2] * 1e3, taken[count * 99 // 100] * 1e3
    return Figures(count, count / sum(taken), p50_ms, p99_ms, cpu / count * 1e6, 0.0)


def ours(case: Case, slug: str, token: str, port: int) -> np.ndarray:
    """Our answer to the case; waits until the endpoint is deployed."""
    request = post(f"/v2/models/{slug}/infer", case.body, authorization=f"Bearer {token}", **case.headers)
    until = time.monotonic() + 60
    while True:
        status, headers, body = once(port, request)
        if status == 200:
            break
        if time.monotonic() > until:
            raise SystemExit(f"not served: {status} {body!r}")
        time.sleep(0.2)
    length = headers.get(b"inference-header-content-length")
    if length is None:
        return np.array(json.loads(body)["outputs"][0]["data"], dtype="f4")
    return np.frombuffer(body[int(length) :], "<f4")


def compare(case: Case, name: str, answer: np.ndarray) -> None:
    (expected,) = ort.InferenceSession(case.raw).run([case.output], case.feeds)
    if not np.allclose(answer.ravel(), expected.ravel(), rtol=1e-4, atol=1e-5):
        raise SystemExit(f"{name} answers otherwise than onnxruntime")


def show(case: Case, rounds: dict[str, list[Figures]]) -> None:
    print(f"\n{case.name}")
    print(f"{'':24}{'calls/s':>10}{'p50 ms':>9}{'p99 ms':>9}{'CPU us':>9}{'beside':>9}{'x FastAPI':>11}{'x null':>9}")
    for name, seen in rounds.items():

        def middle(pick: Callable[[Figures], float], seen: list[Figures] = seen) -> float:
            return statistics.median(pick(each) for each in seen)

        against = [
            statistics.median(mine.per_s / other.per_s for mine, other in zip(seen, rounds[peer], strict=True))
            for peer in ("FastAPI async", "null uvicorn")
        ]
        print(
            f"{name:24}{middle(lambda f: f.per_s):10.0f}{middle(lambda f: f.p50_ms):9.3f}{middle(lambda f: f.p99_ms):9.3f}"
            f"{middle(lambda f: f.cpu_us):9.0f}{middle(lambda f: f.beside_us):9.0f}{against[0]:11.2f}{against[1]:9.2f}"
        )


def ended() -> threading.Event:
    event = threading.Event()
    event.set()
    return event


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=32)
    options = parser.parse_args()
    call_command("migrate", verbosity=0)
    seller, buyer = make_person("seller"), make_person("buyer")
    token = make_token(buyer)
    deployed = []
    for number, case in enumerate(cases()):
        endpoint = make_endpoint(seller, f"m{number}", case.raw)
        sell_calls(endpoint, Namespace.objects.get(name="buyer"), 1_000_000_000)
        (DATA / f"peer{number}.onnx").write_bytes(case.raw)
        (DATA / f"peer{number}.py").write_text(PEER.format(path=str(DATA / f"peer{number}.onnx")))
        deployed.append(endpoint)
    (DATA / "null_app.py").write_text(NULL)
    ports = [free_port() for _ in range(4)]
    with ExitStack() as stack:
        argv = [sys.executable, "manage.py", "inference", "--port", str(ports[0])]
        mine = stack.enter_context(running(argv, ports[0]))
        null = stack.enter_context(running(uvicorn("null_app", ports[1]), ports[1]))
        served = 0
        for number, (case, endpoint) in enumerate(zip(cases(), deployed, strict=True)):
            peer_port = ports[2 + number]
            peer = stack.enter_context(running(uvicorn(f"peer{number}", peer_port), peer_port))
            compare(case, "Mercato", ours(case, endpoint.slug, token, ports[0]))
            status, _, body = once(peer_port, post("/predict", case.plain, **{"content-type": "application/json"}))
            assert status == 200, body
            compare(case, "FastAPI", np.array(json.loads(body)["data"], dtype="f4"))
            path, headers = f"/v2/models/{endpoint.slug}/infer", {"authorization": f"Bearer {token}", **case.headers}
            rounds: dict[str, list[Figures]] = {}
            for _ in range(options.rounds):
                figures = load(mine, ports[0], path, case.body, headers, options)
                served += figures.count
                rounds.setdefault("Mercato, full path", []).append(figures)
                peer_figures = load(
                    peer, peer_port, "/predict", case.plain, {"content-type": "application/json"}, options
                )
                rounds.setdefault("FastAPI async", []).append(peer_figures)
                rounds.setdefault("null uvicorn", []).append(load(null, ports[1], "/", case.body, {}, options))
                rounds.setdefault("bare onnxruntime", []).append(bare(case, 0.5))
            show(case, rounds)
    # what the recorder had no time for before its server ended
    Recorder(DATA / "inference-spool").run(ended())
    recorded = UsageRecord.objects.filter(payer=Namespace.objects.get(name="buyer").uuid).count()
    print(f"\ncounted by the client: {served}, recorded: {recorded} (a few more: calls in flight when a round ended)")


if __name__ == "__main__":
    main()
