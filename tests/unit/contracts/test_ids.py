import time

from libs.contracts import ids


def test_ids_made_in_one_millisecond_sort_in_the_order_in_which_they_were_made() -> None:
    made = [ids.new_id() for _ in range(10_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_an_id_is_a_uuid_of_version_7_that_begins_with_its_instant() -> None:
    before = time.time_ns() // 1_000_000
    made = ids.new_id()
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert before <= made.int >> 80 <= time.time_ns() // 1_000_000 + 1
    assert ids.at_millis(5).int >> 80 == 5
