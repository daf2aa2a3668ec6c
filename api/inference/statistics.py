"""What is counted about calls, in the shapes of the protocol's statistics extension and of Prometheus."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, UnknownMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector


@dataclass(slots=True)
class ModelStatistics:
    """Since this process began, of one version of one endpoint. Times in nanoseconds."""

    success: int = 0
    success_ns: int = 0
    fail: int = 0
    fail_ns: int = 0
    queue_ns: int = 0
    input_ns: int = 0
    infer_ns: int = 0
    output_ns: int = 0
    rows: int = 0
    executions: int = 0
    last_ms: int = 0

    def count_success(
        self, *, total_ns: int, queue_ns: int, input_ns: int, infer_ns: int, output_ns: int, rows: int
    ) -> None:
        self.success += 1
        self.success_ns += total_ns
        self.queue_ns += queue_ns
        self.input_ns += input_ns
        self.infer_ns += infer_ns
        self.output_ns += output_ns
        self.rows += rows
        self.last_ms = time.time_ns() // 1_000_000

    def count_failure(self, total_ns: int) -> None:
        self.fail += 1
        self.fail_ns += total_ns

    def as_json(self, name: str, version: str) -> dict[str, object]:
        return {
            "name": name,
            "version": version,
            "last_inference": self.last_ms,
            "inference_count": self.rows,
            "execution_count": self.executions,
            "inference_stats": {
                "success": {"count": self.success, "ns": self.success_ns},
                "fail": {"count": self.fail, "ns": self.fail_ns},
                "queue": {"count": self.success, "ns": self.queue_ns},
                "compute_input": {"count": self.success, "ns": self.input_ns},
                "compute_infer": {"count": self.success, "ns": self.infer_ns},
                "compute_output": {"count": self.success, "ns": self.output_ns},
            },
            "batch_stats": [],
        }


_COUNTERS = (
    ("nv_inference_request_success", "Calls that were answered", lambda each: each.success),
    ("nv_inference_request_failure", "Calls that failed", lambda each: each.fail),
    ("nv_inference_count", "Rows computed", lambda each: each.rows),
    ("nv_inference_exec_count", "Runs of the model", lambda each: each.executions),
    ("nv_inference_request_duration_us", "Time of answered calls", lambda each: each.success_ns // 1000),
    ("nv_inference_queue_duration_us", "Time spent waiting for a run", lambda each: each.queue_ns // 1000),
    ("nv_inference_compute_input_duration_us", "Time spent reading requests", lambda each: each.input_ns // 1000),
    ("nv_inference_compute_infer_duration_us", "Time spent in the model", lambda each: each.infer_ns // 1000),
    ("nv_inference_compute_output_duration_us", "Time spent writing answers", lambda each: each.output_ns // 1000),
)


class Statistics(Collector):
    """By model name (slug) and version."""

    def __init__(self) -> None:
        self._by_model: dict[tuple[str, str], ModelStatistics] = {}
        self.gauges: dict[str, tuple[str, float]] = {}
        """name -> (help, value), set just before a scrape."""

    def of(self, name: str, version: str) -> ModelStatistics:
        found = self._by_model.get((name, version))
        if found is None:
            found = self._by_model[name, version] = ModelStatistics()
        return found

    def collect(self) -> Iterator[UnknownMetricFamily | GaugeMetricFamily]:
        # of unknown type, not counters: the library would append `_total`, and dashboards know these names without
        for name, help_text, value in _COUNTERS:
            family = UnknownMetricFamily(name, help_text, labels=("model", "version"))
            for (model, version), each in self._by_model.items():
                family.add_metric((model, version), value(each))
            yield family
        for name, (help_text, number) in self.gauges.items():
            yield GaugeMetricFamily(name, help_text, value=number)


def exposition(statistics: Statistics, accept: str) -> tuple[bytes, str]:
    """The text for Prometheus in the format the Accept header asks for, and its Content-Type."""
    registry = CollectorRegistry()
    registry.register(statistics)
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type
