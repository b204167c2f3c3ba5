"""Saving cards while answers are lost and we die: one setup intent, and in the end the list that Stripe has."""

import pytest
from stripe import StripeClient

from libs.chassis.errors import UnavailableError
from services.payments.operations.seeing_to_cards import PATIENCE
from tests.integration.payments.shop import Shop, a_buyer
from tests.integration.payments.test_dying import Arm, DiedError, arm
from tests.integration.payments.test_unknown_outcomes import CUSTOMERS, KINDS, fault
from tests.integration.payments.wallets import (
    MASTERCARD,
    VISA,
    begin,
    cards_at_stripe,
    come_round,
    confirm,
    default_at_stripe,
    digits,
    events_of,
    give,
    make_default,
    method_of,
    remove,
    save,
    saved,
    setups_at_stripe,
)

__all__ = ["arm"]

SETUPS = "/v1/setup_intents"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", [CUSTOMERS, SETUPS])
async def test_a_lost_answer_makes_no_second_setup(shop: Shop, dashboard: StripeClient, kind: str, path: str) -> None:
    buyer = a_buyer()
    await shop.faults(fault(kind, path))
    with pytest.raises(UnavailableError):
        await begin(shop, buyer, key="k")
    shop.travel(PATIENCE * 2)
    assert (await come_round(shop))[0] == 1
    setup = await begin(shop, buyer, key="k")
    assert await give(shop, setup) == "succeeded"
    assert len(await setups_at_stripe(dashboard, shop, buyer)) == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_a_removal_whose_answer_is_lost_ends_without_anybody(
    shop: Shop, dashboard: StripeClient, kind: str
) -> None:
    buyer = a_buyer()
    card = await save(shop, buyer)
    await shop.faults(fault(kind, "/v1/payment_methods/*/detach"))
    with pytest.raises(UnavailableError):
        await remove(shop, card, buyer.account)
    assert await saved(shop, buyer) == []
    shop.travel(PATIENCE * 2)
    assert await come_round(shop) == (0, 1)
    assert await cards_at_stripe(dashboard, shop, buyer) == []
    shop.travel(PATIENCE * 4)
    assert await come_round(shop) == (0, 0)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_choice_whose_answer_is_lost_shows_as_stripe_has_it(
    shop: Shop, dashboard: StripeClient, kind: str
) -> None:
    buyer = a_buyer()
    await save(shop, buyer)
    second = await save(shop, buyer, MASTERCARD)
    await shop.faults(fault(kind, "/v1/customers/*"))
    with pytest.raises(UnavailableError):
        await make_default(shop, second, buyer.account)
    chosen = [card for card in await saved(shop, buyer) if card.default]
    assert [await method_of(shop, card) for card in chosen] == [await default_at_stripe(dashboard, shop, buyer)]
    assert (await make_default(shop, second, buyer.account)).default


async def test_the_first_card_becomes_the_default_though_stripe_was_away(shop: Shop) -> None:
    buyer = a_buyer()
    setup = await begin(shop, buyer)
    await give(shop, setup)
    await shop.faults(fault("reset_before", "/v1/customers/*"))
    with pytest.raises(UnavailableError):
        await confirm(shop, setup)
    assert await digits(shop, buyer) == [("4242", False)]
    shop.travel(PATIENCE * 2)
    assert await come_round(shop) == (0, 1)
    assert await digits(shop, buyer) == [("4242", True)]


STARTING = [
    "payments.card_setup_start.before_commit",
    "payments.card_setup_start.after_commit",
    "payments.customer.before_commit",
    "payments.customer.after_commit",
    "payments.card_setup.before_commit",
    "payments.card_setup.after_commit",
    "payments.card_setup_answer.before_commit",
]


@pytest.mark.parametrize("point", STARTING)
async def test_a_setup_that_died_is_begun_again_and_there_is_one(
    shop: Shop, dashboard: StripeClient, arm: Arm, point: str
) -> None:
    buyer = a_buyer()
    arm(point)
    with pytest.raises(DiedError):
        await begin(shop, buyer, key="k")
    setup = await begin(shop, buyer, key="k")
    assert setup == await begin(shop, buyer, key="k")
    assert len(await setups_at_stripe(dashboard, shop, buyer)) == 1
    assert await give(shop, setup) == "succeeded"


@pytest.mark.parametrize(
    "point", ["payments.cards.before_commit", "payments.cards.after_commit", "payments.cards.told"]
)
async def test_a_look_that_died_is_done_again_by_whoever_comes(shop: Shop, arm: Arm, point: str) -> None:
    buyer = a_buyer()
    setup = await begin(shop, buyer)
    await give(shop, setup)
    arm(point)
    with pytest.raises(DiedError):
        await confirm(shop, setup)
    if point == "payments.cards.before_commit":
        for event in await events_of(shop, buyer, "setup_intent.succeeded"):
            await shop.tell(event)
    else:
        shop.travel(PATIENCE * 2)
        assert await come_round(shop) == (0, 1)
    assert await digits(shop, buyer) == [("4242", True)]


@pytest.mark.parametrize("point", ["payments.remove_card.before_commit", "payments.remove_card.after_commit"])
async def test_a_removal_that_died_is_finished_once_it_was_decided(
    shop: Shop, dashboard: StripeClient, arm: Arm, point: str
) -> None:
    buyer = a_buyer()
    card = await save(shop, buyer, VISA)
    arm(point)
    with pytest.raises(DiedError):
        await remove(shop, card, buyer.account)
    decided = point.endswith("after_commit")
    assert len(await saved(shop, buyer)) == (not decided)
    shop.travel(PATIENCE * 2)
    assert await come_round(shop) == (0, decided)
    assert len(await cards_at_stripe(dashboard, shop, buyer)) == (not decided)
