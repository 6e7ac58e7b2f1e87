"""What is counted of the user source."""

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter("haoma_user_source_requests_total", "Questions for the user source, by their outcome", ["outcome"])
"""The outcomes: ``found``, ``absent``, ``failed`` (no answer, or none of the two) and ``invalid`` (a user who cannot be
imported). Without a request: ``remembered`` (absent a short while ago), ``shed`` (beyond the rate, or too many at once)
and ``open`` (the circuit breaker)."""

CIRCUIT_OPEN = Gauge("haoma_user_source_circuit_open", "1 while the user source is not asked because it keeps failing")
DURATION = Histogram(
    "haoma_user_source_duration_seconds",
    "From a request to the user source to its answer, or to the deadline",
    buckets=(0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6),
)
