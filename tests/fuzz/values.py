"""Values that break naive parsers: texts, numbers and structures."""

import json
from typing import Any
from urllib.parse import quote_plus

from hypothesis import strategies as st
from support.app import fresh_number

TEXTS = [
    *(
        "",
        " ",
        "\t",
        "\n",
        "\r\n",
        "\0",
        "\x7f",
        "\x85",
        "\ufeff",
        "\u202e",
        "\u2028",
        "null",
        "true",
        "NaN",
        "Infinity",
    ),
    *(
        "-1",
        "0",
        "00",
        "1e400",
        "0x10",
        "1_000",
        "+",
        "+86",
        "0086",
        "86",
        "999",
        "٣",
        "１３８００１３８０００",
        "13800138000\n",
    ),
    *("138 0013 8000", "138-0013-8000", "+86 13800138000", "008613800138000", "8613800138000", "tel:13800138000"),
    *("13800138000;ext=1", "13800138000x1", "+12125550123", "+8613800138000,13900139000", "23800138000", "1380013800"),
    *(
        "' or 1=1 --",
        "%s%s%n",
        "{{7*7}}",
        "${jndi:x}",
        "../../etc/passwd",
        "<script>",
        "%00",
        "%ff",
        "\\u0000",
        '"',
        "\\",
    ),
    *("👩‍👩‍👧‍👦" * 9, "a" * 33, "密码" * 70, "9" * 5000, "A" * 9000, "(" * 200, "\ud800", "\udfff", "e\u0301"),
    *("signup", "resetPassword", "resetPhone", "sign_up", "sign_in", "reset_password", "change_phone", "SIGN_UP"),
    *("secret123", "passwort mit ü", "12345", "d41d8cd98f00b204e9800998ecf8427e", "D41D8CD98F00B204E9800998ECF8427E"),
    *("000000", "909", "123456", "eyJhbGciOiJub25lIn0.e30.", "AA", "____", "=", "A" * 43, "zh-Hans-CN", "x-klingon"),
]
NUMBERS = [0, -0.0, -1, 1, 1.5, 1e308, 10**15, 10**16, 2**53, 2**63, -(2**63), 10**400, 13800138000, float("nan")]

texts = st.one_of(
    st.sampled_from(TEXTS),
    st.text(max_size=60),
    st.builds(fresh_number),
    st.builds(lambda before, after: before + fresh_number() + after, st.text(max_size=2), st.text(max_size=2)),
    st.from_regex(r"[0-9+\- ()]{1,34}", fullmatch=True),
)
scalars = st.one_of(st.none(), st.booleans(), st.sampled_from(NUMBERS), st.integers(), st.floats(), texts)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=9,
)
lists = st.lists(st.one_of(texts, scalars, anything), max_size=40)
deep = st.builds(lambda levels: json.loads("[" * levels + "]" * levels), st.integers(1, 60))
values = st.one_of(texts, scalars, anything, lists, deep)


def as_json(fields: dict[str, Any]) -> bytes:
    """JSON as Python writes it: with escaped lone surrogates, and with NaN."""
    return json.dumps(fields).encode()


def as_form(fields: dict[str, Any]) -> str:
    """A form or a query, with structures as JSON text and with lone surrogates encoded."""
    return "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in _flat(fields))


def _flat(fields: dict[str, Any]) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in fields.items():
        if isinstance(value, dict):
            found += [(f"{name}[{inner}]", each) for inner, each in value.items()]
        else:
            found.append((name, value))
    return found


def _quoted(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return quote_plus(text.encode("utf-8", "surrogatepass"))
