"""Arrays for the database, written in half the time.

asyncpg asks of every element of an array whether it is an array itself, by up to three abstract classes, each a call
into Python (0.31). We ask by concrete ones, in C. Applied once, when a pool is opened.
"""

from asyncpg.protocol import protocol

CONTAINERS = (list, tuple)
"""What may be given for an array; each one more would cost as much again."""


def apply() -> None:
    """Have asyncpg take these, and nothing else, for arrays."""
    protocol.IterableABC = protocol.SizedABC = CONTAINERS  # type: ignore[attr-defined] # they are not public
