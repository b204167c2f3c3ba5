"""YAML files that people write, and where in them something is wrong."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from yaml.error import MarkedYAMLError

from deploy.cli.grants import UnusableFileError
from libs.contracts.catalogue import Catalogue
from services.credits.domain.pricing import PriceBookError, Prices, line_of

_MOST_SHOWN = 10


def read_yaml(file: Path) -> tuple[str, Any]:
    """Read a file: its text, and what it says. Raises UnusableFileError."""
    try:
        text = file.read_text("utf-8")
        return text, yaml.safe_load(text)
    except MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UnusableFileError(f"{file}{line}: cannot be read: {error.problem}") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UnusableFileError(f"{file} cannot be read: {error}") from error


def read_catalogue(file: Path) -> Catalogue:
    """Read a catalogue whose price book can be used. Raises UnusableFileError, which names the lines."""
    text, document = read_yaml(file)
    try:
        catalogue = Catalogue.of(document)
        Prices(catalogue.price_book)
    except ValidationError as error:
        wrong = [(each["loc"], f"{'.'.join(map(str, each['loc']))}: {each['msg']}") for each in error.errors()]
    except PriceBookError as error:
        wrong = [(("price_book", *error.where), error.why)]
    else:
        return catalogue
    lines = [f"{file}, line {line_of(text, where)}: {why}" for where, why in wrong[:_MOST_SHOWN]]
    raise UnusableFileError("\n".join([*lines, *(["..."] if len(wrong) > _MOST_SHOWN else [])]))
