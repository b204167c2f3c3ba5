"""How the sandbox speaks: keys, parameters, idempotency, pages of lists, expansion, search."""

import asyncio
from typing import Any

import pytest
import stripe

from tests.support.stripe_sandbox import KEY, RunningSandbox, stripe_client, until

CREATE = "/v1/payment_intents"
FORM = {"amount": "1000", "currency": "usd"}
SECRET = {"Authorization": f"Bearer {KEY}"}


async def post(sandbox: RunningSandbox, path: str, form: dict[str, str], **headers: str) -> Any:
    return await sandbox.http.post(path, data=form, headers={**SECRET, **headers})


async def struck(sandbox: RunningSandbox) -> bool:
    return bool((await sandbox.get("faults"))["faults"][0]["struck"])


async def test_no_key_is_refused_and_a_live_key_never_taken(sandbox: RunningSandbox) -> None:
    bare = await sandbox.http.get(CREATE)
    assert (bare.status_code, bare.json()["error"]["type"]) == (401, "invalid_request_error")
    for key in ("sk_live_abc", "rubbish"):
        refused = await sandbox.http.get(CREATE, headers={"Authorization": f"Bearer {key}"})
        assert refused.status_code == 401
        assert key not in refused.text
    assert (await sandbox.http.get(CREATE, auth=(KEY, ""))).status_code == 200


async def test_the_official_client_is_told_what_is_wrong_with_its_key(sandbox: RunningSandbox) -> None:
    async with stripe_client(sandbox.url, key="sk_live_abc") as client:
        with pytest.raises(stripe.AuthenticationError):
            await client.v1.customers.list_async()


async def test_headers_are_stripes(sandbox: RunningSandbox) -> None:
    version = {"Stripe-Version": "2026-10-28.endive"}
    answer = await post(sandbox, CREATE, FORM, **version)
    assert answer.headers["stripe-version"] == "2026-10-28.endive"
    assert answer.headers["request-id"].startswith("req_")
    assert answer.headers["content-type"] == "application/json"
    log = await sandbox.get(f"requests/{answer.headers['request-id']}")
    assert (log["path"], log["status"], log["answer"]["id"]) == (CREATE, 200, answer.json()["id"])
    assert (await post(sandbox, CREATE, FORM, **{"Stripe-Version": "soon"})).status_code == 400


@pytest.mark.parametrize(
    ("form", "code", "param"),
    [
        ({**FORM, "colour": "red"}, "parameter_unknown", "colour"),
        ({**FORM, "payment_method_types[0]": "card"}, "parameter_unknown", "payment_method_types"),
        ({**FORM, "shipping[name]": "A", "shipping[street]": "B"}, "parameter_unknown", "shipping[street]"),
        ({"currency": "usd"}, "parameter_missing", "amount"),
        ({**FORM, "amount": "10.5"}, "parameter_invalid_integer", "amount"),
        ({**FORM, "customer": ""}, "parameter_invalid_empty", "customer"),
        ({**FORM, "customer": "cus_none"}, "resource_missing", "customer"),
        ({**FORM, "confirm": "yes"}, None, "confirm"),
        ({**FORM, "capture_method": "later"}, None, "capture_method"),
        ({**FORM, "statement_descriptor": "X" * 23}, None, "statement_descriptor"),
        ({**FORM, "return_url": "https://a.example"}, None, "return_url"),
        ({**FORM, "metadata[a]": "x" * 501}, None, "metadata"),
        ({**FORM, "metadata[" + "k" * 41 + "]": "x"}, None, "metadata"),
        ({**FORM, **{f"metadata[k{each}]": "x" for each in range(51)}}, None, "metadata"),
        ({**FORM, "expand[0]": "colour"}, None, "expand"),
    ],
)
async def test_a_malformed_request_is_refused_and_leaves_nothing(
    sandbox: RunningSandbox, form: dict[str, str], code: str | None, param: str
) -> None:
    before = await sandbox.get("books")
    answer = await post(sandbox, CREATE, form)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert (error["type"], error.get("code"), error["param"]) == ("invalid_request_error", code, param)
    assert await sandbox.get("books") == before


async def test_unknown_addresses_and_unplayed_calls_are_404(sandbox: RunningSandbox) -> None:
    for path in ("/v1/subscriptions", "/v1/nonsense", "/v1/payment_intents/pi_none"):
        answer = await sandbox.http.get(path, headers=SECRET)
        assert (answer.status_code, answer.json()["error"]["type"]) == (404, "invalid_request_error")


async def test_metadata_is_merged_and_its_keys_unset_by_empty_values(client: stripe.StripeClient) -> None:
    customer = await client.v1.customers.create_async({"metadata": {"a": "1", "b": "2"}})
    changed = await client.v1.customers.update_async(customer.id, {"metadata": {"a": "", "c": "3"}})
    assert changed.metadata is not None
    assert changed.metadata.to_dict() == {"b": "2", "c": "3"}
    emptied = await client.v1.customers.update_async(customer.id, {"metadata": ""})
    assert emptied.metadata is not None
    assert emptied.metadata.to_dict() == {}


async def test_the_same_key_gets_the_first_answer_again(sandbox: RunningSandbox) -> None:
    first = await post(sandbox, CREATE, FORM, **{"Idempotency-Key": "key-same"})
    again = await post(sandbox, CREATE, FORM, **{"Idempotency-Key": "key-same"})
    assert again.content == first.content
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["original-request"] == first.headers["request-id"] != again.headers["request-id"]
    assert "idempotent-replayed" not in first.headers


async def test_a_refusal_by_the_bank_is_an_answer_too(client: stripe.StripeClient, sandbox: RunningSandbox) -> None:
    params: Any = {**FORM, "amount": 1000, "payment_method": "pm_card_chargeDeclined", "confirm": True,
                   "return_url": "https://a.example", "metadata": {"purchase": "declined-once"}}  # fmt: skip
    for _ in range(2):
        with pytest.raises(stripe.CardError):
            await client.v1.payment_intents.create_async(params, {"idempotency_key": "key-declined"})
    mine = [each for each in (await sandbox.get("books"))["payment_intents"]
            if each["metadata"].get("purchase") == "declined-once"]  # fmt: skip
    assert len(mine) == 1


async def test_a_key_belongs_to_one_request(client: stripe.StripeClient, sandbox: RunningSandbox) -> None:
    key: Any = {"idempotency_key": "key-reused"}
    await client.v1.payment_intents.create_async({"amount": 1000, "currency": "usd"}, key)
    with pytest.raises(stripe.IdempotencyError):
        await client.v1.payment_intents.create_async({"amount": 1001, "currency": "usd"}, key)
    with pytest.raises(stripe.IdempotencyError):
        await client.v1.customers.create_async({}, key)


async def test_a_request_that_failed_validation_is_not_remembered(sandbox: RunningSandbox) -> None:
    key = {"Idempotency-Key": "key-invalid"}
    assert (await post(sandbox, CREATE, {"currency": "usd"}, **key)).status_code == 400
    assert (await post(sandbox, CREATE, FORM, **key)).status_code == 200


async def test_a_key_in_use_is_a_conflict(sandbox: RunningSandbox) -> None:
    await sandbox.put("faults", {"faults": [{"kind": "slow", "method": "POST", "path": CREATE, "seconds": 0.5}]})
    key = {"Idempotency-Key": "key-running"}
    slow = asyncio.create_task(post(sandbox, CREATE, FORM, **key))
    await until(lambda: struck(sandbox))
    conflict = await post(sandbox, CREATE, FORM, **key)
    assert (conflict.status_code, conflict.json()["error"]["code"]) == (409, "idempotency_key_in_use")
    first = await slow
    assert first.status_code == 200
    assert (await post(sandbox, CREATE, FORM, **key)).content == first.content


async def test_a_key_has_at_most_255_characters(sandbox: RunningSandbox) -> None:
    assert (await post(sandbox, CREATE, FORM, **{"Idempotency-Key": "k" * 256})).status_code == 400
    assert (await post(sandbox, CREATE, FORM, **{"Idempotency-Key": "k" * 255})).status_code == 200


async def test_lists_are_cut_newest_first_in_both_directions(client: stripe.StripeClient) -> None:
    customer = (await client.v1.customers.create_async({})).id
    made = [
        (await client.v1.payment_intents.create_async({"amount": 500, "currency": "usd", "customer": customer})).id
        for _ in range(5)
    ]
    newest = list(reversed(made))
    first = await client.v1.payment_intents.list_async({"customer": customer, "limit": 2})
    assert ([each.id for each in first.data], first.has_more) == (newest[:2], True)
    rest = await client.v1.payment_intents.list_async({"customer": customer, "starting_after": newest[1]})
    assert ([each.id for each in rest.data], rest.has_more) == (newest[2:], False)
    before = await client.v1.payment_intents.list_async({"customer": customer, "ending_before": newest[3], "limit": 2})
    assert ([each.id for each in before.data], before.has_more) == (newest[1:3], True)
    everything = [each.id async for each in first.auto_paging_iter()]
    assert everything == newest
    for wrong in ({"limit": 0}, {"limit": 101}, {"starting_after": "pi_none"}):
        with pytest.raises(stripe.InvalidRequestError):
            await client.v1.payment_intents.list_async(wrong)  # type: ignore[arg-type]


async def test_lists_can_be_narrowed_by_when(client: stripe.StripeClient) -> None:
    intent = await client.v1.payment_intents.create_async({"amount": 500, "currency": "usd"})
    at = intent.created
    narrowed: Any
    for narrowed, found in (({"gte": at}, True), ({"gt": at + 60}, False), ({"lt": at}, False), (at, True)):
        page = await client.v1.payment_intents.list_async({"created": narrowed, "limit": 100})
        assert (intent.id in [each.id for each in page.data]) == found


async def test_expansion_turns_ids_into_objects(client: stripe.StripeClient) -> None:
    customer = await client.v1.customers.create_async({"email": "b@example.com"})
    created: Any = {
        "amount": 1000, "currency": "usd", "customer": customer.id, "payment_method": "pm_card_visa", "confirm": True,
        "return_url": "https://a.example", "capture_method": "automatic",
        "expand": ["customer", "latest_charge.balance_transaction", "latest_charge.refunds", "payment_method"],
    }  # fmt: skip
    intent = await client.v1.payment_intents.create_async(created)
    assert isinstance(intent.customer, stripe.Customer)
    assert isinstance(intent.payment_method, stripe.PaymentMethod)
    assert isinstance(intent.latest_charge, stripe.Charge)
    assert isinstance(intent.latest_charge.balance_transaction, stripe.BalanceTransaction)
    assert intent.latest_charge.refunds is not None
    assert intent.latest_charge.refunds.data == []
    page = await client.v1.payment_intents.list_async({"customer": customer.id, "expand": ["data.latest_charge"]})
    assert isinstance(page.data[0].latest_charge, stripe.Charge)
    entries = await client.v1.balance_transactions.list_async(
        {"source": intent.latest_charge.id, "expand": ["data.source"]}
    )
    assert isinstance(entries.data[0].source, stripe.Charge)


async def test_search_finds_by_metadata_and_fields(client: stripe.StripeClient, sandbox: RunningSandbox) -> None:
    purchase = "pur_search_'1'"
    intent = await client.v1.payment_intents.create_async(
        {"amount": 1234, "currency": "usd", "metadata": {"purchase_id": purchase}}
    )
    by_metadata = "metadata['purchase_id']:'pur_search_\\'1\\''"
    for query, found in (
        (by_metadata, True),
        (f"{by_metadata} AND status:'requires_payment_method' AND amount>1233", True),
        (f"{by_metadata} AND -status:'requires_payment_method'", False),
        (f"{by_metadata} OR status:'no such'", True),
        ("metadata['purchase_id']:'another'", False),
        ("amount<=1233 AND metadata['purchase_id']:null", False),
    ):
        page = await client.v1.payment_intents.search_async({"query": query, "limit": 100})
        assert (intent.id in [each.id for each in page.data]) == found, query
    await sandbox.put("search", {"lag_s": 60})
    assert (await client.v1.payment_intents.search_async({"query": by_metadata})).data == []
    await sandbox.put("search", {"lag_s": 0})
    for wrong in ("purchase=7", "colour:'red'", "status:'a' AND status:'b' OR status:'c'"):
        with pytest.raises(stripe.InvalidRequestError):
            await client.v1.payment_intents.search_async({"query": wrong})


async def test_search_pages_and_finds_customers(client: stripe.StripeClient) -> None:
    made = [(await client.v1.customers.create_async({"metadata": {"batch": "paged"}})).id for _ in range(3)]
    first = await client.v1.customers.search_async({"query": "metadata['batch']:'paged'", "limit": 2})
    assert first.has_more
    assert [each.id async for each in first.auto_paging_iter()] == list(reversed(made))


async def test_customers_can_be_changed_and_deleted(client: stripe.StripeClient) -> None:
    customer = await client.v1.customers.create_async({"email": "gone@example.com", "name": "Gone", "phone": "1"})
    changed = await client.v1.customers.update_async(
        customer.id,
        {
            "name": "",
            "address": {"line1": "1 Street", "city": "Town"},
            "tax_exempt": "reverse",
            "preferred_locales": ["de"],
        },
    )
    assert (changed.name, changed.email, changed.tax_exempt) == (None, "gone@example.com", "reverse")
    assert changed.address is not None
    assert changed.address.line1 == "1 Street"
    assert len((await client.v1.customers.list_async({"email": "gone@example.com"})).data) == 1
    assert (await client.v1.customers.delete_async(customer.id)).deleted
    assert (await client.v1.customers.list_async({"email": "gone@example.com"})).data == []
    assert (await client.v1.customers.retrieve_async(customer.id)).deleted
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.customers.update_async(customer.id, {"name": "Back"})


async def test_a_catalogue_is_kept_by_lookup_keys(client: stripe.StripeClient) -> None:
    product = await client.v1.products.create_async(
        {"name": "50 credits", "id": "pack-50", "metadata": {"pack": "p50"}}
    )
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.products.create_async({"name": "50 credits", "id": "pack-50"})
    assert refused.value.code == "resource_already_exists"
    old = await client.v1.prices.create_async(
        {"product": product.id, "currency": "usd", "unit_amount": 999, "lookup_key": "pack_50"}
    )
    dearer: Any = {"product": product.id, "currency": "usd", "unit_amount": 1099, "lookup_key": "pack_50"}
    with pytest.raises(stripe.InvalidRequestError, match="already uses that lookup key"):
        await client.v1.prices.create_async(dearer)
    new = await client.v1.prices.create_async(dearer | {"transfer_lookup_key": True})
    found = await client.v1.prices.list_async({"lookup_keys": ["pack_50", "pack_60"], "expand": ["data.product"]})
    assert [each.id for each in found.data] == [new.id]
    await client.v1.prices.update_async(old.id, {"active": False})
    assert [each.id for each in (await client.v1.prices.list_async({"product": product.id, "active": True})).data] == [
        new.id
    ]
    await client.v1.products.update_async(product.id, {"default_price": new.id, "active": False, "description": "Old"})
    with pytest.raises(stripe.InvalidRequestError, match="cannot be deleted"):
        await client.v1.products.delete_async(product.id)
    plan = await client.v1.prices.create_async(
        {"product_data": {"name": "Pro"}, "currency": "usd", "unit_amount": 2900, "recurring": {"interval": "month"}}
    )
    assert (plan.type, plan.recurring is not None) == ("recurring", True)
    free = await client.v1.products.create_async({"name": "Unsold"})
    assert (await client.v1.products.delete_async(free.id)).deleted
