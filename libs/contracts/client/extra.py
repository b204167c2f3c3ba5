"""What the clients need beyond the package's own: the extra `client`."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def needs_the_extra() -> Iterator[None]:
    """Say what to install if a module is missing. Raises ImportError."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ImportError(f"the client needs {error.name}: install scrip-contracts[client]") from error
