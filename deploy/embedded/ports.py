"""Free ports that stay free while their server restarts, and that no other process hands out meanwhile."""

import os
import random
import socket
from collections.abc import Iterator
from functools import cache
from itertools import cycle, islice

# Below the range from which the kernel takes the near end of outgoing connections (32768 and up by default):
# nothing but another server can take such a port between our choice and the bind, or while a server is down.
RANGE = range(20_000, 32_000)
BLOCK = 200


def free_ports(count: int) -> list[int]:
    """Choose distinct free ports of the loopback interface: in turn, so that one is not chosen again for long.

    Raises OSError if fewer are free in this process's block.
    """
    chosen = list(islice(filter(_is_free, islice(_block(os.getpid()), BLOCK - 1)), count))
    if len(chosen) < count:
        raise OSError(f"{count} ports are wanted and {len(chosen)} are free: end the servers this process left running")
    return chosen


@cache
def _block(_process: int) -> Iterator[int]:
    """Claim a block of ports, by holding its first for as long as the process lives: its others are ours to hand out.

    Between a choice and the bind lie seconds (a server starts after those it needs), and stacks start at once.
    """
    for first in random.sample(RANGE[::BLOCK], len(RANGE[::BLOCK])):
        claim = socket.socket()
        try:
            claim.bind(("127.0.0.1", first))
        except OSError:
            claim.close()
        else:
            claim.detach()  # open until the process ends
            return cycle(range(first + 1, first + BLOCK))
    raise OSError(f"every block of ports in {RANGE} is claimed: end other stacks of this machine")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
