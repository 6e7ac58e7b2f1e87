"""The lines of a TOML file: each key is found where it was written, with any strings and comments around it."""

import json
import tomllib
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sms_service.config_file.toml_lines import Lines, Path, deepest, longest

PIECES = ("a", "\n", "[x]\n", "\n[[x]]\n", "\nk1 = 1\n", "#", '"', '""', "'", "''", "\\", "{", "}", "]", ",", "=", ".",
          "\u2028", "\x85", "{code}", "好")  # fmt: skip
nasty = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)


def basic(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def literal(text: str) -> str:
    return "'" + text.replace("'", "").replace("\n", "") + "'"


def long_basic(text: str) -> str:
    return '"""' + text.replace("\\", "\\\\").replace('"""', '""\\"') + '"""'


def long_literal(text: str) -> str:
    while "'''" in text:
        text = text.replace("'''", "''")
    return "'''" + text + "'''"


strings = st.builds(lambda kind, text: kind(text), st.sampled_from([basic, literal, long_basic, long_literal]), nasty)
scalars = strings | st.sampled_from(["1", "-1.5e3", "true", "2099-12-31", "07:32:00", "1979-05-27 07:32:00", "0x1F"])
comments = st.sampled_from(["", " ", "# [x]", "# '''", '# """', "#\u2028 k = 1", "# \x85 [[x]]"])


class Writer:
    """Writes a random document and remembers the line of each key."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.text = ""
        self.lines: dict[Path, int] = {}
        self._names = count()

    def write(self, text: str) -> None:
        self.text += text

    def note(self, path: Path) -> None:
        self.lines[path] = self.text.count("\n") + 1

    def name(self) -> tuple[str, str]:
        """A new key, and its spelling in the file."""
        plain = f"k{next(self._names)}"
        odd = f"{plain} #[]='"
        return self.draw(st.sampled_from([(plain, plain), (odd, basic(odd)), (odd[:-1], literal(odd))]))

    def key(self) -> tuple[Path, str]:
        names = [self.name() for _ in range(self.draw(st.integers(1, 3)))]
        dot = self.draw(st.sampled_from([".", " . "]))
        return tuple(name for name, _ in names), dot.join(spelling for _, spelling in names)

    def document(self) -> None:
        for _ in range(self.draw(st.integers(1, 6))):
            table = self.header()
            for _ in range(self.draw(st.integers(0, 3))):
                self.filler()
                self.pair(table, 3)
                self.write("\n")

    def header(self) -> Path:
        """A new table or a new list of tables; at the beginning of a document perhaps none."""
        self.filler()
        path, spelling = self.key()
        if not self.lines and self.draw(st.booleans()):
            return ()
        if self.draw(st.booleans()):
            return self.entries(path, spelling)
        self.note(path)
        self.write(f"[{spelling} ]\n")
        return path

    def entries(self, path: Path, spelling: str) -> Path:
        """Some entries, each with its own table and list."""
        entry: Path = ()
        for place in range(self.draw(st.integers(1, 3))):
            entry = (*path, place)
            self.note(entry)
            self.write(f"[[ {spelling}]]\n")
            self.filler()
            self.pair(entry, 1)
            self.write("\n")
            self.note((*entry, "sub"))
            self.write(f"[{spelling}.sub] # [x]\n")
            self.pair((*entry, "sub"), 1)
            self.write("\n")
            self.note((*entry, "more", 0))
            self.write(f"[[{spelling} . more]]\n")
        return (*entry, "more", 0)

    def filler(self) -> None:
        for line in self.draw(st.lists(comments, max_size=2)):
            self.write(line + self.draw(st.sampled_from(["\n", "\r\n"])))

    def pair(self, table: Path, depth: int) -> None:
        path, spelling = self.key()
        self.note(table + path)
        self.write(f"{spelling} = ")
        self.value(table + path, depth)

    def value(self, path: Path, depth: int) -> None:
        kind = self.draw(st.sampled_from(["scalar", "array", "table"])) if depth else "scalar"
        if kind == "scalar":
            self.write(self.draw(scalars))
        elif kind == "array":
            self.write("[")
            for place in range(self.draw(st.integers(0, 3))):
                self.write(self.draw(st.sampled_from(["", "\n", " # ]'\n", "\n\n# [x]\n"])))
                self.note((*path, place))
                self.value((*path, place), depth - 1)
                self.write(self.draw(st.sampled_from([",", " ,\n"])))
            self.write("]")
        else:
            self.write("{")
            for place in range(self.draw(st.integers(0, 3))):
                self.write(", " if place else " ")
                self.pair(path, depth - 1)
            self.write("}")


@st.composite
def documents(draw: st.DrawFn) -> Writer:
    writer = Writer(draw)
    writer.document()
    return writer


@given(documents())
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)  # other work may slow the machine down
def test_every_key_table_and_element_is_on_the_line_where_it_was_written(written: Writer) -> None:
    data = tomllib.loads(written.text)
    lines = Lines(written.text)
    for path, line in written.lines.items():
        found = data
        for part in path:
            found = found[part]
        assert lines.of(path) == line, (path, written.text)
        assert lines.of((*path, "not there", 3)) == line


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ('text = """\n[Haoma]\n{code}"""\npurpose = "bad"\n', ("purpose",), 4),
        ("text = '''\n[[budgets]]\n'''\n\n[[budgets]]\nday = 1", ("budgets", 0), 5),
        ("# \u2028 \x85\na = 1", ("a",), 2),
        ('a = """x"""""\nb = 1', ("b",), 2),
        ("[a.b]\n[a]\nc = 1", ("a",), 2),
        ("[[a]]\n[[a]]\n[a.b]\nc = 1", ("a", 1, "b", "c"), 4),
        ("a.b = 1\na.c = 2", ("a", "c"), 2),
        ('"a\\u0062" = 1', ("ab",), 1),
        ("a = [\n1,\n{b = 2}]", ("a", 1, "b"), 3),
        ("", ("a",), 1),
    ],
)
def test_lines_that_were_once_wrong(text: str, path: Path, line: int) -> None:
    assert Lines(text).of(path) == line


def test_a_text_of_a_megabyte_is_read_quickly() -> None:
    text = f'a = """{"x" * 500_000}"""\nb = [{"1," * 100_000}]\n{"c = " + repr("y" * 400_000)}\n'
    assert Lines(text).of(("c",)) == 3


def test_the_lines_of_too_many_brackets_and_too_many_digits() -> None:
    assert deepest('a = "' + "[" * 500 + '"\nb = 1\nc = ' + "[\n" * 50 + "{d=" * 51) == 53
    assert longest(f"# {'1' * 5000}\na = 1\nb = {'1' * 5000}") == 3
