"""Secrets of vouchers: known to everybody only where no real money is taken."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from services.payments.settings import Settings

OWN = {"voucher_secret": "a newer secret of ours, an older secret of ours", "mail_secret": "a secret for our mails"}


def settings(**given: Any) -> Settings:
    needed = {
        "database_url": "postgresql://role:password@127.0.0.1/payments",
        "catalogue": Path("catalogue.yaml"),
        "SCRIP_CREDITS_URL": "http://127.0.0.1:8002",
        "stripe_secret_key": "sk_test_1",
        "stripe_publishable_key": "pk_test_1",
    }
    return Settings.model_validate(needed | given)


def test_secrets_are_listed_with_the_newest_first() -> None:
    assert settings(**OWN).voucher_secrets == ["a newer secret of ours", "an older secret of ours"]
    assert settings(**OWN).mail_secrets == ["a secret for our mails"]


@pytest.mark.parametrize("key", ["sk_live_1", "rk_live_1"])
@pytest.mark.parametrize("missing", ["voucher_secret", "mail_secret"])
def test_real_money_is_not_taken_with_a_secret_that_everybody_knows(key: str, missing: str) -> None:
    assert settings(stripe_secret_key=key, **OWN)
    given = {name: value for name, value in OWN.items() if name != missing}
    with pytest.raises(ValidationError, match="of your own"):
        settings(stripe_secret_key=key, **given)


@pytest.mark.parametrize("secret", ["short", "", ", ,,,,,,,,,,,,,,,,", "short, and one that is long enough"])
def test_a_secret_that_can_be_guessed_is_refused(secret: str) -> None:
    with pytest.raises(ValidationError):
        settings(voucher_secret=secret)


def test_secrets_are_not_shown() -> None:
    assert "newer secret" not in repr(settings(**OWN))
