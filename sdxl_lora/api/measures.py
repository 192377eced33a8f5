"""What is counted, for Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats/)."""

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

MEDIA_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600)


class Measures:
    """The counters of one service, in a registry of their own: Streamlit has its own page of metrics."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self.requests = Counter(
            "sdxl_lora_http_requests",
            "Requests answered.",
            ("method", "path", "status"),
            registry=self._registry,
        )
        self.seconds = Histogram(
            "sdxl_lora_http_request_seconds",
            "From a request to the end of its answer, or to the beginning of a stream.",
            ("path",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.pictures = Counter(
            "sdxl_lora_pictures", "Pictures handed out.", ("path",), registry=self._registry
        )
        self.hung_up = Counter(
            "sdxl_lora_clients_gone",
            "Clients that left before their pictures were done.",
            registry=self._registry,
        )
        self._jobs = Gauge(
            "sdxl_lora_jobs", "Jobs of everybody, by state.", ("state",), registry=self._registry
        )

    def text(self, jobs: dict[str, int]) -> bytes:
        """The page that Prometheus reads. `jobs`: state -> how many there are now."""
        for state, number in jobs.items():
            self._jobs.labels(state).set(number)
        return generate_latest(self._registry)
