"""Named parameters become numbered ones; everything else in a statement stays as it is."""

import json
from datetime import timedelta
from uuid import UUID

import pytest

from shared.sql import Statement, load_sql, parse_sql


def test_parameters_are_numbered_by_their_first_occurrence() -> None:
    statement = parse_sql("select :name, :user_id, :name")

    assert statement == Statement("select $1, $2, $1", ("name", "user_id"))


def test_arguments_are_ordered_by_their_numbers() -> None:
    statement = parse_sql("select :b, :a")

    assert statement.arguments(a=1, b=2) == [2, 1]


@pytest.mark.parametrize("values", [{"a": 1}, {"a": 1, "b": 2, "c": 3}, {"a": 1, "c": 3}, {}])
def test_missing_and_unknown_parameters_are_an_error_that_names_them(values: dict[str, int]) -> None:
    with pytest.raises(TypeError) as error:
        parse_sql("select :a, :b").arguments(**values)

    assert all(f"'{name}'" in str(error.value) for name in {"a", "b"} ^ values.keys())


def test_a_statement_without_parameters_takes_no_arguments() -> None:
    assert parse_sql("select now()").arguments() == []
    with pytest.raises(TypeError, match="'a'"):
        parse_sql("select now()").arguments(a=1)


ADD_ROWS = """
    insert into t select r.* from json_to_recordset(:rows::json) as r (
        id uuid, body bytea,
        networks bigint[]
    ), json_to_recordset(:others::json)
        as others (id int) where id = :id
"""


def test_rows_become_json_with_bytes_and_ids_as_postgresql_reads_them() -> None:
    statement = parse_sql(ADD_ROWS)
    row = {"id": UUID(int=7), "body": b"\x00\xff", "networks": [1, None]}

    rows, others, id_ = statement.arguments(rows=[row, row | {"networks": []}], others=[], id=3)

    assert json.loads(str(rows)) == [
        {"id": str(UUID(int=7)), "body": "\\x00ff", "networks": networks} for networks in ([1, None], [])
    ]
    assert (others, id_) == ("[]", 3)


@pytest.mark.parametrize("row", [{"id": 1, "body": b""}, {"id": 1, "body": b"", "networks": [], "network": 1}])
def test_a_row_with_a_missing_or_unknown_column_is_an_error_that_names_it(row: dict[str, object]) -> None:
    complete = {"id": 1, "body": b"", "networks": []}
    with pytest.raises(TypeError, match=r"rows: .*'network"):
        parse_sql(ADD_ROWS).arguments(rows=[complete, row], others=[], id=3)


def test_rows_that_are_left_out_are_a_missing_parameter() -> None:
    with pytest.raises(TypeError, match=r"missing parameters: .'others'"):
        parse_sql(ADD_ROWS).arguments(rows=[], id=3)


@pytest.mark.parametrize(
    "text",
    [
        "select from JSON_TO_RECORDSET(:r::json) as r (id int)",
        "select from json_to_recordset(:r::json) r (id int)",
        "select from json_to_recordset(:r::json) as r (price numeric(10, 2), id int)",
        'select from json_to_recordset(:r::json) as r ("range" text)',
        "select from json_to_recordset(:r::json) as r (Id int)",
        "select from json_to_recordset(:r::json) as r (id int,)",
        "select from json_to_recordset(:r::json) as a (id int), json_to_recordset(:r::json) as b (name text)",
    ],
    ids=["upper case", "no as", "parentheses", "quoted", "capital", "comma", "twice"],
)
def test_rows_whose_columns_cannot_be_read_are_an_error_at_once(text: str) -> None:
    with pytest.raises(ValueError, match="json_to_recordset"):
        parse_sql(text)


def test_a_value_that_json_has_no_word_for_is_an_error() -> None:
    with pytest.raises(TypeError, match="timedelta"):
        parse_sql(ADD_ROWS).arguments(rows=[], others=[{"id": timedelta(1)}], id=3)


def test_the_longest_name_is_the_parameter() -> None:
    assert parse_sql("select :at, :at_most").parameters == ("at", "at_most")


@pytest.mark.parametrize(
    "text",
    [
        "select '2020-01-01'::date",
        "select 'a :quoted text, it''s one'",
        r"select E'an escaped quote \' and :no parameter'",
        'select "a:column" from "odd ""table:name"""',
        "select $$ :body $$",
        "select $tag$ :body $$ :more $tag$",
        "select parts[1:count] from t",
        "select parts[low:high], parts[matrix[1]:2] from t",
        "select a::text::jsonb",
    ],
    ids=["cast", "string", "escape", "identifier", "dollar", "tagged", "slice", "slices", "casts"],
)
def test_colons_in_casts_strings_identifiers_and_slices_are_not_parameters(text: str) -> None:
    assert parse_sql(text) == Statement(text, ())


def test_a_parameter_may_be_cast_and_may_begin_a_slice() -> None:
    assert parse_sql("select :ids::uuid[], parts[:low]").text == "select $1::uuid[], parts[$2]"


def test_comments_are_dropped_with_the_colons_in_them() -> None:
    statement = parse_sql("-- :first line\nselect 1 -- it's :here\n/* and\n :there */ + :x")

    assert statement.parameters == ("x",)
    assert statement.text.split() == ["select", "1", "+", "$1"]


def test_what_looks_like_a_comment_inside_a_string_stays() -> None:
    assert parse_sql("select '-- no comment', '/* none */', :x").text == "select '-- no comment', '/* none */', $1"


def test_numbered_parameters_cannot_be_mixed_with_named_ones() -> None:
    with pytest.raises(ValueError, match=r"\$2"):
        parse_sql("select :a, $2")


def test_a_file_is_read_from_its_package(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "rooms_of_sql"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "add.sql").write_text("select :left + :right\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    assert load_sql("rooms_of_sql", "add.sql") == Statement("select $1 + $2", ("left", "right"))
