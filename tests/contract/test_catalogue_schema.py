"""The catalogue's published schema, which editors complete and check by, takes what the services take."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from libs.contracts.catalogue import Catalogue

PROJECT = Path(__file__).parents[2]
SCHEMA = PROJECT / "libs" / "contracts" / "schemas" / "catalogue.json"
CATALOGUES = sorted((PROJECT / "deploy" / "catalogues").glob("*.yaml"))

every_catalogue = pytest.mark.parametrize("file", CATALOGUES, ids=lambda file: file.stem)


def document(file: Path) -> Any:
    return json.loads(json.dumps(yaml.safe_load(file.read_text()), default=str))


def validator() -> Draft202012Validator:
    schema = json.loads(SCHEMA.read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def test_there_are_five_catalogues() -> None:
    assert len(CATALOGUES) == 5


@every_catalogue
def test_a_catalogue_is_what_the_schema_describes_and_what_the_services_take(file: Path) -> None:
    validator().validate(document(file))
    Catalogue.of(document(file))


@every_catalogue
def test_a_catalogue_names_the_schema_for_editors(file: Path) -> None:
    first = file.read_text().splitlines()[0]
    assert (file.parent / first.removeprefix("# yaml-language-server: $schema=")).resolve() == SCHEMA


@pytest.mark.parametrize(
    "wrong",
    [
        {"packs": [{"id": "a", "name": "A", "credits": 5, "prices": [{"amount_minor": 500, "currency": "usd"}]}]},
        {"packs": [{"id": "A", "name": "A", "credits": "5", "prices": [{"amount_minor": 500, "currency": "usd"}]}]},
        {"packs": [{"id": "a", "name": "A", "credits": "5", "prices": []}]},
        {"pack": []},
        {"promo_codes": [{"code": "X Y", "gives": {"kind": "percent", "percent": 5}}]},
        {"promo_codes": [{"code": "XYZ", "gives": {"kind": "percent", "percent": 100}}]},
        {"burn_order": "lifo"},
    ],
)
def test_what_the_services_refuse_the_schema_refuses(wrong: dict[str, Any]) -> None:
    written = {"name": "shop", "price_book": {"version": "v1"}, **wrong}
    assert list(validator().iter_errors(written)) != []
    with pytest.raises(ValueError, match="validation error"):
        Catalogue.of(written)
