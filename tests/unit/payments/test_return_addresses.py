"""Where a buyer may be sent after paying."""

import pytest

from services.payments.domain.errors import ReturnAddressRefusedError
from services.payments.domain.return_addresses import ReturnAddresses

ALLOWED = ReturnAddresses.of(["https://shop.example", "https://SHOP.example:8443", "myapp://"], loopback=False)
WITH_LOOPBACK = ReturnAddresses.of(["https://shop.example"], loopback=True)


@pytest.mark.parametrize(
    "address",
    [
        None,
        "https://shop.example",
        "https://shop.example/paid?purchase=1#top",
        "https://shop.example:443/paid",
        "https://shop.example:8443/paid",
        "HTTPS://Shop.Example/paid",
        "myapp://paid/now",
        "myapp:///paid",
    ],
)
def test_a_listed_origin_is_allowed(address: str | None) -> None:
    ALLOWED.check(address)


@pytest.mark.parametrize(
    "address",
    [
        "http://shop.example/paid",
        "https://shop.example.evil.example/paid",
        "https://evil.example/https://shop.example",
        "https://shop.example@evil.example/",
        "https://shop.example:444/",
        "https://evil.example\\@shop.example/",
        "https:shop.example",
        "https:///shop.example",
        "https://",
        "https://shop.example:port/",
        "https://shop.exa\u006dple\u3002evil.example/",
        "https://shop.example/\tpaid",
        "javascript://shop.example/%0aalert(1)",
        "data:text/html,hello",
        "otherapp://paid",
        "http://localhost:3000/paid",
        "http://127.0.0.1/paid",
        "//shop.example/paid",
    ],
)
def test_anything_else_is_refused(address: str) -> None:
    with pytest.raises(ReturnAddressRefusedError):
        ALLOWED.check(address)


@pytest.mark.parametrize("address", ["http://localhost:3000/paid", "http://127.0.0.1:8/x", "http://[::1]:9000/"])
def test_ones_own_machine_is_allowed_where_the_setting_says_so(address: str) -> None:
    WITH_LOOPBACK.check(address)


@pytest.mark.parametrize(
    "address", ["http://localhost.evil.example/", "http://10.0.0.1/", "http://0x7f.1.evil.example"]
)
def test_only_ones_own_machine_is_loopback(address: str) -> None:
    with pytest.raises(ReturnAddressRefusedError):
        WITH_LOOPBACK.check(address)


@pytest.mark.parametrize("origin", ["shop.example", "javascript://x", "https://user@shop.example", "https://"])
def test_an_origin_that_is_none_is_an_error_at_start(origin: str) -> None:
    with pytest.raises(ValueError, match="address"):
        ReturnAddresses.of([origin], loopback=False)
