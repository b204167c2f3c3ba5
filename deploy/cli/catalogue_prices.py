"""The price book of a catalogue file beside those that credits knows."""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from deploy.cli.grants import UnusableFileError
from libs.chassis.errors import RemoteError
from libs.chassis.service_client import ServiceClient
from libs.contracts.errors import PRICE_BOOK_IN_USE
from libs.contracts.http.prices_v1 import ActivationOrder, PriceBookDocument, PriceBookVersions
from libs.contracts.price_book import PriceBook
from services.credits.domain.pricing.changes import changes


@dataclass(frozen=True, slots=True)
class PriceBookPlan:
    """What becomes otherwise by a file's price book, in words, and what there is to remark."""

    changes: Sequence[str] = ()
    remarks: Sequence[str] = ()


async def plan(credits: ServiceClient, book: PriceBook) -> PriceBookPlan:
    """Compare a book with the last one that was activated. Raises UnusableFileError if its version says otherwise."""
    versions = (await credits.get("/price-books", PriceBookVersions)).data
    there = next((each for each in versions if each.version == book.version), None)
    activated = [each for each in versions if each.state != "draft"]
    if there is not None and there.state != "draft":
        if said := changes(await _book(credits, book.version), book):
            raise UnusableFileError(
                f'the price book "{book.version}" is in use and says something else: {"; ".join(said)}. '
                "Give it a new version"
            )
        if there.state == "superseded":
            return PriceBookPlan(remarks=[f"The price book {book.version} was superseded by {activated[0].version}."])
        return PriceBookPlan()
    state = "new" if there is None else "a draft"
    said = [f"{state}; it becomes active a minute after it is applied"]
    if activated:
        otherwise = changes(await _book(credits, activated[0].version), book)
        said += otherwise or [f"prices as {activated[0].version} does"]
    return PriceBookPlan(said)


async def apply(credits: ServiceClient, book: PriceBook, *, by: str) -> list[str]:
    """Have a new book become active a minute from now; says what was done. Raises DomainError, UnusableFileError."""
    if not (await plan(credits, book)).changes:
        return []
    path, caller = f"/price-books/{book.version}", f"staff:{by}"
    try:
        await credits.put(path, book, PriceBookDocument, caller=caller)
    except RemoteError as error:
        if error.code != PRICE_BOOK_IN_USE or (await plan(credits, book)).changes:
            raise
        return []  # somebody else applied it meanwhile
    made = await credits.post(f"{path}/activate", ActivationOrder(), PriceBookDocument, caller=caller)
    return [f"becomes active at {made.active_from:%Y-%m-%d %H:%M:%S} (UTC)"]


async def _book(credits: ServiceClient, version: str) -> PriceBook:
    document = await credits.get(f"/price-books/{version}", PriceBookDocument)
    return PriceBook.model_validate_json(orjson.dumps(document.book))
