from typing import ClassVar

from libs.chassis.errors import DomainError, RemoteError
from libs.contracts import errors as codes
from libs.contracts.errors import ErrorCode


class TooLateError(DomainError):
    """It is too late for this.

    What follows the first line is for readers of the code.
    """

    code: ClassVar[ErrorCode] = codes.PURCHASE_STATE


def test_an_error_says_the_first_line_of_its_docstring() -> None:
    assert str(TooLateError()) == TooLateError().detail == "It is too late for this."


def test_an_error_may_say_it_in_other_words_and_bring_facts_and_headers() -> None:
    error = TooLateError("by an hour", headers={"Retry-After": "60"}, hours=1)
    assert (error.detail, error.headers, error.facts) == ("by an hour", {"Retry-After": "60"}, {"hours": 1})


def test_a_remote_error_has_the_code_that_came() -> None:
    assert RemoteError(codes.NOT_FOUND, "not here", pack="big").code is codes.NOT_FOUND
