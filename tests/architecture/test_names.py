"""What is declared in one place is declared nowhere else."""

import ast
import re
from itertools import chain

import pytest
from prometheus_client.metrics import MetricWrapperBase

from libs.chassis import telemetry
from libs.chassis.errors import DecidedElsewhereError, DomainError
from libs.contracts import errors, events, topics
from libs.contracts.errors import ErrorCode
from libs.contracts.topics import Topic
from tests.architecture.sources import sources

PRODUCT = sources("services", "libs", "deploy")
TOPIC = re.compile(r"\bscrip\.[a-z_]+\.events\.v\d+(?:\.dlq)?\b")


def test_every_topic_that_is_named_anywhere_is_declared() -> None:
    declared = {topic.name for topic in topics.ALL}
    named = {(source.name, name) for source in PRODUCT for name in TOPIC.findall(source.text)}
    assert len(named) >= len(topics.DECLARED)
    assert {(where, name) for where, name in named if name not in declared} == set()


def test_every_topic_is_made_where_topics_are_declared() -> None:
    made = {
        source.name
        for source in PRODUCT
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Topic", "topics.Topic")
    }
    assert made == {"libs/contracts/topics.py"}


def test_every_declared_topic_has_a_name_of_its_own_and_a_topic_for_its_dead_letters() -> None:
    names = [topic.name for topic in topics.ALL]
    assert len(set(names)) == len(names) == 2 * len(topics.DECLARED)
    constants = {value for value in vars(topics).values() if isinstance(value, Topic)}
    assert constants == set(topics.DECLARED)


def test_every_event_goes_to_a_declared_topic_under_a_type_of_its_own() -> None:
    assert {event.topic for event in events.ALL} <= set(topics.DECLARED)
    assert len({event.type for event in events.ALL}) == len(events.ALL)


def test_every_error_code_is_unique() -> None:
    declared = [value for value in vars(errors).values() if isinstance(value, ErrorCode)]
    assert len(declared) > 30
    assert len({code.code for code in declared}) == len({code.title for code in declared}) == len(declared)
    assert set(errors.CODES.values()) == set(declared)


def test_error_codes_are_a_series_without_gaps() -> None:
    """A gap is a code that somebody deleted, which callers may still know."""
    assert sorted(errors.CODES) == [f"PAY{number:03}" for number in range(1, len(errors.CODES) + 1)]


def test_the_codes_that_the_world_knows_stay_what_they_are() -> None:
    fixed = {"PAY001": 402, "PAY002": 402, "PAY003": 422, "PAY004": 409, "PAY005": 400, "PAY006": 422}
    assert {code: errors.CODES[code].status for code in fixed} == fixed


def domain_errors() -> list[type[DomainError]]:
    for source in sources("services"):
        if "DomainError" in source.text and source.path.name != "__main__.py":
            source.module()
    found, todo = [], [DomainError]
    while todo:
        subclasses = todo.pop().__subclasses__()
        todo += subclasses
        found += [kind for kind in subclasses if kind.__module__.startswith(("libs.", "services."))]
    return found


def test_every_domain_error_has_a_declared_code_and_says_in_a_sentence_what_is_wrong() -> None:
    kinds = domain_errors()
    assert len(kinds) > 15
    for kind in kinds:
        assert issubclass(kind, DecidedElsewhereError) or kind.code in errors.CODES.values(), kind
        sentence = (kind.__doc__ or "").strip().splitlines()[0]
        assert sentence.endswith("."), f"{kind} says nothing"


def test_every_metric_is_declared_in_one_file_under_our_prefix() -> None:
    makers = {"Counter", "Gauge", "Histogram", "Summary", "Info"}
    made = {
        source.name
        for source in PRODUCT
        if "prometheus_client" in source.text
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in makers
    }
    assert made == {"libs/chassis/telemetry.py"}
    metrics = [value for value in vars(telemetry).values() if isinstance(value, MetricWrapperBase)]
    names = [family.name for family in chain.from_iterable(metric.collect() for metric in metrics)]
    assert len(set(names)) == len(names) > 5
    assert all(name.startswith("scrip_") for name in names)


@pytest.mark.parametrize("service", ["gateway", "payments", "credits", "notifications"])
def test_fail_points_are_named_by_their_service(service: str) -> None:
    points = [
        node.args[0].value
        for source in sources(f"services/{service}")
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "reach"
        if isinstance(node.args[0], ast.Constant)
    ]
    assert points
    assert [point for point in points if not re.fullmatch(rf"{service}(\.[a-z_]+){{2}}", str(point))] == []
