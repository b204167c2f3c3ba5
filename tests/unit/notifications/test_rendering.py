from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from jinja2 import DictLoader, FileSystemLoader, UndefinedError

from libs.contracts.catalogue import Unit
from libs.contracts.credits import parse_credits
from libs.contracts.events.payments_v1 import DiscountTaken, PaidByCard
from libs.contracts.ids import read
from libs.contracts.money import Money
from services.notifications.domain.messages import MESSAGES, GiftCardMail, Message, Receipt, RefundNotice
from services.notifications.domain.rendering import Content, Templates, count_credits

GOLDEN = Path(__file__).parent / "golden"
FOLDER = Path(__file__).parents[3] / "services" / "notifications" / "templates"
TEMPLATES = Templates(FileSystemLoader(FOLDER), unit=Unit(), sender="Scrip")
PURCHASE = read("purchase", "pur_018f2b6c0d4e7a1b9c3d5e7f90a1b2c3")
IN_BERLIN = timezone(timedelta(hours=1))
RECEIPT = Receipt(
    purchase=PURCHASE,
    description="Pro: 150 + 10 credits",
    paid=Money(amount_minor=2499, currency="usd"),
    payment="pi_3SXk2eLkdIwHu7ix0abcdefg",
    at=datetime(2026, 11, 21, 13, 5, tzinfo=IN_BERLIN),
    credits=parse_credits("160"),
    bonus=parse_credits("10"),
    card=PaidByCard(brand="visa", last4="4242"),
)
DISCOUNTED = RECEIPT.model_copy(
    update={
        "paid": Money(amount_minor=1799, currency="usd"),
        "list_price": Money(amount_minor=2499, currency="usd"),
        "discounts": [
            DiscountTaken(by="volume", amount=Money(amount_minor=100, currency="usd")),
            DiscountTaken(by="tier", name="Silver", amount=Money(amount_minor=120, currency="usd")),
            DiscountTaken(by="promo_code", name="SPRING", amount=Money(amount_minor=480, currency="usd")),
        ],
        "tier": "Silver",
        "promo_code": "SPRING",
    }
)
REFUND = RefundNotice(
    purchase=PURCHASE,
    description="Pro: 150 + 10 credits",
    paid=Money(amount_minor=2499, currency="usd"),
    payment="pi_3SXk2eLkdIwHu7ix0abcdefg",
    at=datetime(2026, 11, 22, 9, 30, tzinfo=IN_BERLIN),
    amount=Money(amount_minor=500, currency="usd"),
    refunded=Money(amount_minor=1500, currency="usd"),
    revision=3,
    paid_at=datetime(2026, 11, 21, 13, 5, tzinfo=IN_BERLIN),
    card=PaidByCard(brand="visa", last4="4242"),
)
GIFT_CARD = GiftCardMail(
    gift_card=read("gift_card", "gft_018f2b6c0d4e7a1b9c3d5e7f90a1b2c3"),
    credits=parse_credits("50"),
    sender_name="Charles Babbage",
    message="For your engine.",
    sealed_code="",
)
HOSTILE = "<script>alert(1)</script> {{ 7 * 7 }} & \"'"


def written(message: Message, name: str = "Ada Lovelace") -> Content:
    return TEMPLATES.render(message, name=name, code="ABCD-EFGH-JKMN-PQRS")


@pytest.mark.parametrize(
    ("name", "message"),
    [("receipt", RECEIPT), ("receipt_discounted", DISCOUNTED), ("refund", REFUND), ("gift_card", GIFT_CARD)],
)
def test_a_message_reads_as_its_golden_text_and_html(name: str, message: Message) -> None:
    content = written(message)
    golden = GOLDEN / name
    assert f"Subject: {content.subject}\n\n{content.text}" == golden.with_suffix(".txt").read_text()
    assert content.html == golden.with_suffix(".html").read_text()


def test_every_message_has_its_templates() -> None:
    assert {folder.name for folder in FOLDER.iterdir() if folder.is_dir()} == set(MESSAGES)


def test_hostile_names_and_descriptions_are_escaped_in_html() -> None:
    content = written(RECEIPT.model_copy(update={"description": HOSTILE, "payment": HOSTILE}), name=HOSTILE)
    assert "<script>" not in content.html
    assert content.html.count("&lt;script&gt;alert(1)&lt;/script&gt; {{ 7 * 7 }} &amp; &#34;&#39;") == 3


@pytest.mark.parametrize("breaks", ["\r\n", "\n", "\r", "\x0b", "\x85", "\u2028", "\u2029", "\x1b[2K", "\x00"])
def test_nobody_can_write_a_line_of_his_own(breaks: str) -> None:
    name, description = f"Ada{breaks}Bcc: all@example.com", f"Pro{breaks}Subject: You won"
    content = written(RECEIPT.model_copy(update={"description": description}), name=name)
    lines = [*content.text.splitlines(), *content.subject.splitlines(), *content.name.splitlines()]
    assert not [line for line in lines if line.startswith(("Bcc:", "Subject:"))]
    assert len(content.subject.splitlines()) == len(content.name.splitlines()) == 1


def test_hostile_names_of_tiers_and_cards_are_escaped_and_kept_to_their_line() -> None:
    card, odd = PaidByCard(brand=HOSTILE[:50], last4="<b>4"), f"{HOSTILE}\nPaid 0"
    content = written(DISCOUNTED.model_copy(update={"card": card, "tier": odd, "promo_code": odd}))
    assert "<script>" not in content.html.lower()
    assert "<b>" not in content.html
    assert not [line for line in content.text.splitlines() if line.startswith("Paid 0")]


def test_what_was_paid_without_discount_by_something_else_than_a_card_says_so_little() -> None:
    content = written(RECEIPT.model_copy(update={"card": None}))
    for word in ("List price", "Discount", "Tier", "Promo code", "Card"):
        assert word not in content.text + content.html


def test_nothing_turns_the_text_around() -> None:
    assert written(RECEIPT, name="Ada \u202egnp.exe\u202c").name == "Ada gnp.exe"


def test_a_bonus_is_not_spoken_of_when_there_is_none() -> None:
    content = written(RECEIPT.model_copy(update={"bonus": 0}))
    assert "bonus" not in content.text + content.html


def test_a_total_is_told_only_when_it_differs_from_the_refund() -> None:
    content = written(REFUND.model_copy(update={"refunded": REFUND.amount}))
    assert "so far" not in content.text + content.html


@pytest.mark.parametrize(
    ("amount", "words"), [("1", "1 point"), ("0.5", "0.5 points"), ("2000", "2000 points"), ("0", "0 points")]
)
def test_credits_are_counted_in_the_units_of_the_catalogue(amount: str, words: str) -> None:
    assert count_credits(parse_credits(amount), Unit(singular="point", plural="points")) == words


def test_a_word_that_a_message_does_not_tell_is_an_error() -> None:
    templates = Templates(DictLoader({"receipt/subject.txt": "{{ surname }}"}), unit=Unit(), sender="Scrip")
    with pytest.raises(UndefinedError, match="surname"):
        templates.render(RECEIPT, name="Ada")
