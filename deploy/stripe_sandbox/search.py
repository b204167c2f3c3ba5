"""Stripe's search: metadata['purchase_id']:'pur_1' AND status:'succeeded'."""

import re
from collections.abc import Callable
from itertools import islice
from typing import Annotated

from pydantic import Field

from deploy.stripe_sandbox.call import Call
from deploy.stripe_sandbox.errors import InvalidRequestError, Object
from deploy.stripe_sandbox.params import Params, Text, Whole

Clause = Callable[[Object], bool]

CLAUSE = re.compile(
    r"""\s*(?P<not>-)?(?P<field>\w+)(?:\[["'](?P<key>[^"']+)["']\])?\s*(?P<sign>:|~|>=|<=|>|<)\s*"""
    r"""(?:"(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>(?:[^'\\]|\\.)*)'|(?P<bare>\w+))\s*"""
)
JOINT = re.compile(r"(AND|OR)\s|\s*", re.IGNORECASE)
ORDERED: dict[str, Callable[[int, int], bool]] = {
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
}


class SearchParams(Params):
    """What a search takes; `page` is what the page before gave as `next_page`."""

    query: Text
    limit: Annotated[Whole, Field(ge=1, le=100)] = 10
    page: Text | None = None


def search(call: Call, kind: str, params: SearchParams, *, fields: frozenset[str], url: str) -> Object:
    """Find the newest objects of a kind that fit a query over these fields and metadata.

    Stripe's search is behind its writes, by up to a minute; so is this one when told to be.
    """
    fits = _parsed(params.query, fields)
    after = call.named(kind, params.page, "page")["id"] if params.page else None
    seen_until = call.now - call.search_lag_s
    walk = (
        item
        for item in call.records.newest_first(kind, older_than=after)
        if not item.get("deleted") and item["created"] <= seen_until and fits(item)
    )
    found = list(islice(walk, params.limit + 1))
    has_more = len(found) > params.limit
    items = found[: params.limit]
    return {
        "object": "search_result",
        "data": items,
        "has_more": has_more,
        "next_page": items[-1]["id"] if has_more else None,
        "url": url,
    }


def _parsed(query: str, fields: frozenset[str]) -> Clause:
    clauses: list[Clause] = []
    joints: set[str] = set()
    rest = query.strip()
    while rest:
        match = CLAUSE.match(rest)
        if match is None:
            raise InvalidRequestError(f"We were unable to parse your search query: {query}", param="query")
        clauses.append(_clause(match, fields))
        rest = rest[match.end() :]
        joint = JOINT.match(rest)
        if joint and joint[1]:
            joints.add(joint[1].upper())
            rest = rest[joint.end() :]
        elif rest:
            joints.add("AND")
    if len(joints) > 1:
        raise InvalidRequestError("You cannot combine AND and OR in one search query.", param="query")
    return _joined(clauses, "OR" if "OR" in joints else "AND")


def _joined(clauses: list[Clause], joint: str) -> Clause:
    if joint == "OR":
        return lambda item: any(clause(item) for clause in clauses)
    return lambda item: all(clause(item) for clause in clauses)


def _clause(match: re.Match[str], fields: frozenset[str]) -> Clause:
    field, key, sign = match["field"], match["key"], match["sign"]
    is_known = key is not None if field == "metadata" else key is None and field in fields
    if not is_known:
        raise InvalidRequestError(f"Field `{field}` is an unsupported search field for this resource.", param="query")
    wanted = re.sub(r"\\(.)", r"\1", match["double"] or match["single"] or match["bare"] or "")
    holds = _comparison(sign, wanted)

    def clause(item: Object) -> bool:
        value = item["metadata"].get(key) if key else item[field]
        return holds(value) != bool(match["not"])

    return clause


def _comparison(sign: str, wanted: str) -> Callable[[object], bool]:
    if sign in ORDERED:
        if not wanted.isdigit():
            raise InvalidRequestError(f"`{wanted}` is not a number to compare with.", param="query")
        return lambda value: isinstance(value, int) and ORDERED[sign](value, int(wanted))
    if wanted == "null":
        return lambda value: value is None
    if sign == "~":
        return lambda value: value is not None and wanted.lower() in str(value).lower()
    return lambda value: value is not None and str(value).lower() == wanted.lower()
