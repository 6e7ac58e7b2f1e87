"""The children of metrics, remembered by their labels."""

from functools import lru_cache
from typing import TypeVar

from prometheus_client import Counter, Gauge, Histogram

MetricT = TypeVar("MetricT", Counter, Gauge, Histogram)


@lru_cache(maxsize=4096)
def child(metric: MetricT, *labels: str | int) -> MetricT:
    """``metric.labels``, at a fifth of its cost for values that come again."""
    return metric.labels(*labels)
