"""What the processes of a system report at ``/metrics``, as values that tests compare."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families
from stack.system import Stack

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Scrape:
    """The samples of one process, by name and labels, and which of them only grow."""

    samples: Mapping[tuple[str, Labels], float]
    counters: frozenset[str]

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples that have these labels; 0 without any."""
        wanted = set(labels.items())
        return sum(value for (each, has), value in self.samples.items() if each == name and wanted <= has)


def parse(text: str) -> Scrape:
    """The samples of a text in the format of Prometheus."""
    samples, counters = {}, set()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples[sample.name, frozenset(sample.labels.items())] = sample.value
            if family.type in {"counter", "histogram"}:
                counters.add(sample.name)
    return Scrape(samples, frozenset(counters))


def read(stack: Stack, process: str) -> str:
    """What a process reports. Raises ``OSError`` if it does not answer within ten seconds."""
    with urlopen(f"{stack.services[process].monitoring_url}/metrics", timeout=10) as response:
        return str(response.read().decode())


def scrape(stack: Stack, process: str) -> Scrape:
    """The samples of a process."""
    return parse(read(stack, process))
