import pytest

from libs.chassis.sealing import BrokenSealError, Seal


def test_what_was_sealed_is_opened_by_the_same_secret_alone() -> None:
    sealed = Seal(["a secret"]).close("Größe")
    assert Seal(["a secret"]).open(sealed) == "Größe"
    assert Seal(["a newer secret", "a secret"]).open(sealed) == "Größe"
    with pytest.raises(BrokenSealError):
        Seal(["a newer secret"]).open(sealed)


def test_the_same_text_is_sealed_another_way_each_time_and_cannot_be_read() -> None:
    seal = Seal(["a secret"])
    assert seal.close("text") != seal.close("text")
    assert "text" not in seal.close("text")


@pytest.mark.parametrize("broken", ["", "no seal", "a.b.c.d.e"])
def test_what_is_no_seal_is_said_to_be_broken(broken: str) -> None:
    with pytest.raises(BrokenSealError):
        Seal(["a secret"]).open(broken)


def test_a_seal_that_was_touched_is_broken() -> None:
    head, *_, tag = Seal(["a secret"]).close("text").split(".")
    other = Seal(["a secret"]).close("other").split(".")
    with pytest.raises(BrokenSealError):
        Seal(["a secret"]).open(".".join([head, *other[1:-1], tag]))
