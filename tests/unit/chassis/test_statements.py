from pathlib import Path

import pytest

from libs.chassis.migrations import PLUMBING, Migration, read, statements

ROOT = Path(__file__).parents[3]


def split(text: str) -> list[str]:
    return list(statements(text))


def test_statements_end_at_semicolons_and_the_last_needs_none() -> None:
    assert split("SELECT 1;\nSELECT 2") == ["SELECT 1", "SELECT 2"]


def test_empty_statements_are_none() -> None:
    assert split("") == split(" ;\n; ;") == split("-- nothing\n/* at; all */ ;") == []


@pytest.mark.parametrize(
    "quoted",
    [
        "';'",
        "'it''s; here'",
        "'back\\'",
        r"E'it\'s; here'",
        r"e'\\'",
        "E'it''s; here'",
        '"a;name"',
        '"a ""quoted""; name"',
        "$$ one; two $$",
        "$body$ one; $$ two; $$ three; $body$",
        "$a$ $b$ ; $a$",
        "'-- ;'",
        "'/* ;'",
        "$$ -- it's; $$",
        "'$$;'",
    ],
)
def test_a_semicolon_in_quotes_ends_nothing(quoted: str) -> None:
    assert split(f"SELECT {quoted}; SELECT 2") == [f"SELECT {quoted}", "SELECT 2"]


@pytest.mark.parametrize(
    "comment", ["-- one; it's two\n", "/* one; 'two */", "/* a /* nested; */ one; */", "/* -- */", "-- /* \n"]
)
def test_a_comment_is_left_out_and_ends_nothing(comment: str) -> None:
    words = [statement.split() for statement in split(f"SELECT 1 {comment}+ 2; SELECT 2")]
    assert words == [["SELECT", "1", "+", "2"], ["SELECT", "2"]]


def test_parameters_and_names_with_dollars_are_no_quotes() -> None:
    assert split("SELECT $1, a$b$c; SELECT $2") == ["SELECT $1, a$b$c", "SELECT $2"]


def test_a_name_that_ends_in_e_does_not_make_its_neighbour_an_escape_string() -> None:
    assert split(r"SELECT DATE'\'; SELECT 2") == [r"SELECT DATE'\'", "SELECT 2"]


def test_what_is_never_closed_is_left_to_the_server() -> None:
    assert split("SELECT 1 /* oops; SELECT 2") == ["SELECT 1"]
    assert split("SELECT 'oops") == ["SELECT 'oops"]


@pytest.mark.parametrize("folder", [PLUMBING, *sorted((ROOT / "services").glob("*/migrations"))], ids=str)
def test_our_own_migrations_split_into_statements_that_begin_as_such(folder: Path) -> None:
    words = {"CREATE", "GRANT", "ALTER", "DO", "INSERT", "REVOKE", "DROP", "UPDATE", "TRUNCATE"}
    found = [statement for file in read("any", folder) for statement in statements(file.text)]
    assert found
    assert {statement.split()[0] for statement in found} <= words


def test_migrations_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("0010_c", "0002_b", "0001_a"):
        (tmp_path / f"{name}.sql").write_text(name)
    assert [file.name for file in read("set", tmp_path)] == ["0001_a", "0002_b", "0010_c"]


def test_a_change_of_one_letter_changes_the_checksum() -> None:
    assert Migration("set", "0001", "SELECT 1").checksum != Migration("set", "0001", "SELECT 2").checksum
