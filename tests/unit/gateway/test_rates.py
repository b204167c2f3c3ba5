"""Rate limits, as a rule: never more than the quota at once, and it refills evenly."""

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.rates import Rate, Verdict, judge, neighbourhood


def spend(rate: Rate, instants: list[float]) -> list[Verdict]:
    """Judge a caller's requests at these instants (milliseconds)."""
    full_at, verdicts = 0.0, []
    for now in instants:
        full_at, verdict = judge(rate, full_at_ms=full_at, now_ms=now)
        verdicts.append(verdict)
    return verdicts


def test_the_whole_quota_may_be_spent_at_once_and_no_more() -> None:
    verdicts = spend(Rate("x", 3), [1000.0] * 5)
    assert [verdict.allowed for verdict in verdicts] == [True, True, True, False, False]
    assert [verdict.remaining for verdict in verdicts] == [2, 1, 0, 0, 0]


def test_a_refused_request_costs_nothing_and_says_when_to_come_back() -> None:
    rate = Rate("x", 3)
    verdicts = spend(rate, [0.0] * 9)
    assert {verdict.retry_in_ms for verdict in verdicts[3:]} == {20_000.0}
    assert verdicts[-1].headers() == {
        "RateLimit-Policy": '"x";q=3;w=60',
        "RateLimit": '"x";r=0;t=60',
        "Retry-After": "20",
    }
    assert "Retry-After" not in verdicts[0].headers()
    assert [verdict.allowed for verdict in spend(rate, [0.0, 0.0, 0.0, 19_999.0, 20_000.0, 20_000.0])][3:] == [
        False,
        True,
        False,
    ]


@given(st.integers(1, 20), st.lists(st.floats(0, 30_000), max_size=120))
def test_in_no_window_are_more_than_twice_the_quota_allowed(quota: int, pauses: list[float]) -> None:
    rate, now, instants = Rate("x", quota), 0.0, []
    for pause in pauses:
        now += pause
        instants.append(now)
    allowed = [at for at, verdict in zip(instants, spend(rate, instants), strict=True) if verdict.allowed]
    for begin in allowed:
        within = [at for at in allowed if begin <= at < begin + rate.window_ms]
        assert len(within) <= 2 * quota
        at_once = [at for at in allowed if at == begin]
        assert len(at_once) <= quota


def test_a_client_is_an_ipv4_address_or_a_network_of_ipv6() -> None:
    assert neighbourhood("192.0.2.7") == "192.0.2.7"
    assert neighbourhood("::ffff:192.0.2.7") == "192.0.2.7"
    assert neighbourhood("2001:db8:1:2:3:4:5:6") == neighbourhood("2001:db8:1:2:ffff::") == "2001:db8:1:2::"
    assert neighbourhood("2001:db8:1:3::") != neighbourhood("2001:db8:1:2::")
    assert neighbourhood("testclient") == neighbourhood("") == "unknown"
