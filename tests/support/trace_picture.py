"""A trace as a picture: a bar for each span, below its parent, in the colour of its process."""

from collections.abc import Iterator, Sequence
from html import escape

from support.collector import Span

COLOURS = {
    "gateway": "#4c6ef5",
    "auth-service": "#12b886",
    "sms-service": "#f59f00",
    "sms-worker": "#e8590c",
    "contacts-service": "#ae3ec9",
}
WIDTH, LEFT, ROW, TOP = 1100, 400, 18, 46


def draw(spans: Sequence[Span]) -> str:
    """The spans of one trace as SVG. Pauses of the client between its requests are cut out."""
    rows = list(_rows(spans))
    when = _Clock([span for _, span in rows])
    height = TOP + ROW * len(rows) + 12
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="11">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        *_legend(when.total),
        *(line for row, (depth, span) in enumerate(rows) for line in _bar(row, depth, span, when)),
        "</svg>\n",
    ]
    return "\n".join(parts)


def _rows(spans: Sequence[Span]) -> Iterator[tuple[int, Span]]:
    """Each span with its depth, after its parent."""
    known = {span.span_id for span in spans}
    children: dict[str, list[Span]] = {}
    for span in sorted(spans, key=lambda span: span.started):
        children.setdefault(span.parent_id if span.parent_id in known else "", []).append(span)

    def below(parent: str, depth: int) -> Iterator[tuple[int, Span]]:
        for span in children.get(parent, []):
            yield depth, span
            yield from below(span.span_id, depth + 1)

    return below("", 0)


class _Clock:
    """Milliseconds since the first span began, without the time in which no span ran."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self._busy: list[list[int]] = []
        for span in sorted(spans, key=lambda span: span.started):
            if self._busy and span.started <= self._busy[-1][1]:
                self._busy[-1][1] = max(self._busy[-1][1], span.ended)
            else:
                self._busy.append([span.started, span.ended])
        self.total = self.at(max(span.ended for span in spans))

    def at(self, moment: int) -> float:
        return sum(max(0, min(moment, end) - start) for start, end in self._busy) / 1e6


def _legend(total: float) -> Iterator[str]:
    for place, (process, colour) in enumerate(COLOURS.items()):
        x = 12 + 150 * place
        yield f'<rect x="{x}" y="10" width="11" height="11" fill="{colour}"/><text x="{x + 16}" y="20">{process}</text>'
    yield f'<text x="{LEFT}" y="38" fill="#666">0 ms</text>'
    yield f'<text x="{WIDTH - 12}" y="38" fill="#666" text-anchor="end">{total:.0f} ms</text>'


def _bar(row: int, depth: int, span: Span, when: _Clock) -> Iterator[str]:
    scale = (WIDTH - LEFT - 70) / when.total
    x, width = LEFT + when.at(span.started) * scale, max(1.5, (when.at(span.ended) - when.at(span.started)) * scale)
    y, milliseconds = TOP + ROW * row, (span.ended - span.started) / 1e6
    yield f'<text x="{12 + 14 * depth}" y="{y + 12}">{escape(_title(span))}</text>'
    yield f'<rect x="{x:.1f}" y="{y + 3}" width="{width:.1f}" height="11" rx="2" fill="{COLOURS[span.process]}"/>'
    yield f'<text x="{x + width + 4:.1f}" y="{y + 12}" fill="#666">{milliseconds:.1f} ms</text>'


def _title(span: Span) -> str:
    system = {"postgresql": "PostgreSQL: ", "redis": "Redis: "}.get(str(span.attributes.get("db.system")), "")
    return f"{system}{span.name}"[:52]
