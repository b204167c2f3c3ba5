"""Codes: what they look like, how they are read, and by which secret they are known."""

import re

import pytest

from libs.contracts import ids
from services.payments.domain.vouchers import Codes

CODES = Codes(["a secret"])
VOUCHER = ids.read("voucher", "vch_018f2b6c0d4e7a1b9c3d5e7f90a1b2c3")


def test_a_code_is_four_groups_of_four_symbols_that_cannot_be_mixed_up() -> None:
    codes = {CODES.of(ids.new_id()) for _ in range(2000)}
    assert len(codes) == 2000
    assert all(re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){3}", code) for code in codes)
    assert set("".join(codes)) == set("0123456789ABCDEFGHJKMNPQRSTVWXYZ-")


def test_a_code_is_the_same_for_ever() -> None:
    assert CODES.of(VOUCHER) == Codes(["a secret"]).of(VOUCHER) == CODES.again(VOUCHER, CODES.hash_of(VOUCHER))
    assert CODES.of(VOUCHER) == "RJA6-NETZ-Y2WC-Y37C"


def test_a_code_is_found_however_it_is_typed() -> None:
    code = CODES.of(VOUCHER)
    misread = code.replace("1", "I").replace("0", "o")
    for typed in (
        code,
        code.lower(),
        code.replace("-", ""),
        code.replace("-", " "),
        f" {misread}\n",
        code.replace("-", "\u2014"),
    ):
        assert CODES.hashes(typed) == [CODES.hash_of(VOUCHER)]
    assert CODES.hashes("1I1L") == []


@pytest.mark.parametrize(
    "typed", ["", "-", "ABCD-EFGH-JKMN-PQR", "ABCD-EFGH-JKMN-PQRST", "UUUU-EFGH-JKMN-PQRS", "é" * 16]
)
def test_what_cannot_be_a_code_is_looked_for_nowhere(typed: str) -> None:
    assert CODES.hashes(typed) == []


def test_codes_of_a_secret_that_is_rotated_are_known_as_long_as_it_is_set() -> None:
    rotated = Codes(["a newer secret", "a secret"])
    assert rotated.again(VOUCHER, CODES.hash_of(VOUCHER)) == CODES.of(VOUCHER)
    assert CODES.hash_of(VOUCHER) in rotated.hashes(CODES.of(VOUCHER))
    assert rotated.of(VOUCHER) == Codes(["a newer secret"]).of(VOUCHER) != CODES.of(VOUCHER)
    with pytest.raises(LookupError):
        Codes(["a newer secret"]).again(VOUCHER, CODES.hash_of(VOUCHER))
