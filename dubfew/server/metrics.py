"""Numbers for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

from dubfew.jobs.store import JobStore
from dubfew.version import __version__


class ServerMetrics:
    """Numbers of the queue, read when they are asked for, and counts of requests.

    Args:
        store: the queue.
        num_workers: function that counts the workers that run.
    """

    def __init__(self, store: JobStore, num_workers: Callable[[], int]) -> None:
        from prometheus_client import CollectorRegistry, Counter

        self._store, self._num_workers = store, num_workers
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "dubfew_http_requests",
            "Answered requests.",
            ["method", "status"],
            registry=self._registry,
        )
        self._registry.register(cast(Any, self))

    def count_request(self, method: str, status: int) -> None:
        """Count an answered request.

        Args:
            method: method of HTTP; unknown ones count as "other", so that callers cannot fill the
                memory with names.
            status: code of the answer.
        """
        known = ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS")
        self._requests.labels(method if method in known else "other", str(status)).inc()

    def describe(self) -> list[Any]:
        """Return nothing: the numbers of the queue are read when they are asked for."""
        return []

    def collect(self) -> Iterator[Any]:
        """Read the numbers of the queue."""
        from prometheus_client.core import (
            GaugeMetricFamily,
            InfoMetricFamily,
            SummaryMetricFamily,
        )

        yield InfoMetricFamily("dubfew", "Version.", value={"version": __version__})
        jobs = GaugeMetricFamily("dubfew_jobs", "Jobs by state.", labels=["state"])
        for state, count in self._store.count_states().items():
            jobs.add_metric([state], count)
        yield jobs
        sent = GaugeMetricFamily("dubfew_webhooks", "Webhooks by status.", labels=["status"])
        for status, count in self._store.count_deliveries().items():
            sent.add_metric([status], count)
        yield sent
        yield GaugeMetricFamily("dubfew_workers", "Workers that run.", self._num_workers())
        count, seconds = self._store.sum_durations()
        yield SummaryMetricFamily(
            "dubfew_job_seconds", "Durations of ended jobs.", count_value=count, sum_value=seconds
        )

    def render(self) -> bytes:
        """Write all numbers in Prometheus's text format."""
        from prometheus_client import generate_latest

        return generate_latest(self._registry)
