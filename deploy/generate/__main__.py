import argparse
import sys
from collections.abc import Callable

from deploy.generate import (
    api,
    asyncapi,
    errors,
    events,
    metrics,
    openapi,
    pages,
    schemas,
    settings,
)
from deploy.generate.documents import REFERENCE, SCHEMAS, Documents, differences, write

GENERATORS: tuple[Callable[[], Documents], ...] = (
    schemas.documents,
    openapi.documents,
    asyncapi.documents,
    api.documents,
    events.documents,
    errors.documents,
    settings.documents,
    metrics.documents,
    pages.documents,
)
FOLDERS = (SCHEMAS, REFERENCE)
"""Where nothing but generated files may lie."""


def generated() -> Documents:
    """Write everything, into memory."""
    return {path: text for generator in GENERATORS for path, text in generator().items()}


def main() -> None:
    """Write, or check."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.generate", description="write the files that are generated from the code"
    )
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is out of date")
    documents = generated()
    if not parser.parse_args().check:
        write(documents)
    if found := differences(documents, FOLDERS):
        sys.exit("\n".join([*found, "run: make generate"]))


if __name__ == "__main__":
    main()
