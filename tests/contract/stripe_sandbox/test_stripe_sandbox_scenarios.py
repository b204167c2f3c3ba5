"""Scenarios: what befalls payments and webhooks, written down beforehand."""

import re
from pathlib import Path
from typing import Any

import pytest
import stripe

from tests.support.stripe_checks import Audit
from tests.support.stripe_sandbox import RunningSandbox, running_sandbox, stripe_client, until

README = Path(__file__).parents[3] / "deploy" / "stripe_sandbox" / "README.md"

PAID: Any = {"amount": 1000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True,
             "capture_method": "automatic", "return_url": "https://a.example"}  # fmt: skip

SCENARIO = """
seed: 7
steps:
  - {after_payments: 4, do: dispute, reason: product_not_received, amount: 400}
  - {after_payments: 4, do: refund, amount: 300}
  - {after_payments: 4, do: warn, fraud_type: made_with_stolen_card}
  - {after_payments: 5, do: end_dispute, outcome: won}
  - {after_payments: 5, do: fail_refund}
  - {at_s: 86400, do: webhooks, webhooks: {drop: 0.2, seed: 7}}
"""


async def pay(client: stripe.StripeClient, times: int) -> list[str]:
    return [str((await client.v1.payment_intents.create_async(PAID)).latest_charge) for _ in range(times)]


async def done(sandbox: RunningSandbox) -> dict[int, str | None]:
    """Say what the steps that were done befell, by their places."""
    [scenario] = (await sandbox.get("scenarios"))["data"]
    return {place: step["befell"] for place, step in enumerate(scenario["done"]) if step}


async def until_done(sandbox: RunningSandbox, steps: int) -> dict[int, str | None]:
    async def enough() -> bool:
        return len(await done(sandbox)) == steps

    await until(enough)
    return await done(sandbox)


async def played(path: Path) -> list[int]:
    """Play a scenario in a fresh sandbox; say which payments it befell, by their places."""
    async with running_sandbox(scenario=path) as sandbox, stripe_client(sandbox.url) as client:
        charges = await pay(client, 4)
        dispute, refund, warning = (await until_done(sandbox, 3)).values()
        befallen = [
            (await client.v1.disputes.retrieve_async(str(dispute))).charge,
            (await client.v1.refunds.retrieve_async(str(refund))).charge,
            (await client.v1.radar.early_fraud_warnings.retrieve_async(str(warning))).charge,
        ]
        assert await Audit(sandbox.url).problems() == []
        return [charges.index(str(charge)) for charge in befallen]


async def test_a_scenario_is_the_same_at_every_run_by_its_seed(tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text(SCENARIO)
    first = await played(path)
    assert len(set(first[:2])) == 2, "what is disputed is not refunded as well"
    assert await played(path) == first
    found = [first]
    for seed in range(8, 14):
        path.write_text(SCENARIO.replace("seed: 7\nsteps", f"seed: {seed}\nsteps"))
        found.append(await played(path))
        if found[-1] != first:
            return
    pytest.fail(f"every seed befalls the same: {found}")


async def test_a_scenario_goes_on_where_it_was_when_the_process_died(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, offset = tmp_path / "scenario.yaml", tmp_path / "offset"
    path.write_text(SCENARIO)
    offset.write_text("0")
    monkeypatch.setenv("SCRIP_CLOCK_OFFSET_FILE", str(offset))
    flags: dict[str, object] = {"scenario": path, "data": tmp_path / "sandbox.db"}
    async with running_sandbox(**flags) as sandbox, stripe_client(sandbox.url) as client:
        await pay(client, 4)
        before = await until_done(sandbox, 3)
        await sandbox.kill()
    async with running_sandbox(**flags) as sandbox, stripe_client(sandbox.url) as client:
        assert await done(sandbox) == before
        await pay(client, 1)
        after = await until_done(sandbox, 5)
        assert after == {**before, 3: before[0], 4: before[1]}
        assert (await client.v1.disputes.retrieve_async(str(after[3]))).status == "won"
        assert (await client.v1.refunds.retrieve_async(str(after[4]))).status == "failed"
        total = (await sandbox.get("books"))["totals"]["usd"]
        assert total["net"] == 5 * 1000 - 5 * 59 - 1500
        fresh = offset.with_suffix(".new")
        fresh.write_text("86401")
        fresh.replace(offset)
        await until_done(sandbox, 6)
        assert (await sandbox.get("webhooks"))["drop"] == 0.2
        assert await Audit(sandbox.url).problems() == []


async def test_a_scenario_can_begin_later_and_says_when_it_found_nothing_to_do() -> None:
    async with running_sandbox() as sandbox, stripe_client(sandbox.url) as client:
        await pay(client, 2)
        steps = [{"at_s": 0, "do": "refund"}, {"after_payments": 1, "do": "dispute"}]
        begun = await sandbox.post("scenarios", {"seed": 1, "steps": steps})
        assert begun["steps"] == steps
        assert await until_done(sandbox, 1) == {0: None}
        [charge] = await pay(client, 1)
        await until_done(sandbox, 2)
        assert [each["charge"] for each in (await sandbox.get("books"))["disputes"]] == [charge]
        assert (await sandbox.get("books"))["refunds"] == []


async def test_the_example_in_the_readme_is_one(tmp_path: Path) -> None:
    [example] = re.findall(r"```yaml\n(.*?)```", README.read_text(), re.DOTALL)
    path = tmp_path / "scenario.yaml"
    path.write_text(example)
    async with running_sandbox(scenario=path) as sandbox, stripe_client(sandbox.url) as client:
        await pay(client, 10)
        assert None not in (await until_done(sandbox, 4)).values()
        assert await Audit(sandbox.url).problems() == []


@pytest.mark.parametrize(
    "step",
    [
        {"do": "dispute"},
        {"do": "dispute", "after_payments": 1, "at_s": 1},
        {"do": "explode", "at_s": 1},
        {"do": "refund", "at_s": 1, "colour": "red"},
        {"do": "refund", "after_payments": 0},
    ],
)
async def test_a_scenario_that_makes_no_sense_is_refused(sandbox: RunningSandbox, step: dict[str, Any]) -> None:
    answer = await sandbox.http.post("/sandbox/scenarios", json={"steps": [step]})
    assert answer.status_code == 422


async def test_a_file_that_is_no_scenario_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text("steps: [{do: explode}]")
    with pytest.raises(AssertionError, match="and not where it is"):
        async with running_sandbox(scenario=path):
            pass
