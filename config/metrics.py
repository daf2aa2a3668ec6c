"""What Prometheus reads about the site. Counters live in each process; a scrape adds them up over the processes."""

import os
from collections.abc import Iterator, Mapping

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

REQUESTS = Counter("mercato_requests", "Answered requests of the site", ["method", "route", "status"])
REQUEST_SECONDS = Histogram(
    "mercato_request_seconds",
    "Time until the answer begins, by route",
    ["route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)


class _Present(Collector):
    """Values read at the moment of the scrape: name -> (help, value)."""

    def __init__(self, values: Mapping[str, tuple[str, float]]) -> None:
        self.values = values

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for name, (help_text, value) in self.values.items():
            yield GaugeMetricFamily(name, help_text, value=value)


def exposition(accept: str, present: Mapping[str, tuple[str, float]]) -> tuple[bytes, str]:
    """All metrics in the format that the header `accept` asks for, with its content type. `present` maps the name of a gauge
    to its help and its value now."""
    registry = CollectorRegistry()
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        MultiProcessCollector(registry)
    else:
        # a process of its own (tests, a shell): its counters are in the library's registry
        registry.register(REGISTRY)
    registry.register(_Present(present))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type
