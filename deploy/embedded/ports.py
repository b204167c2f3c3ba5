"""Free ports that stay free while their server restarts."""

import random
import socket
from itertools import islice

# Below the range from which the kernel takes the near end of outgoing connections (32768 and up by default):
# nothing but another server can take such a port between our choice and the bind, or while a server is down.
RANGE = range(20_000, 32_000)


def free_ports(count: int) -> list[int]:
    """Choose distinct free ports of the loopback interface; at random, so that stacks started at once differ."""
    candidates = random.sample(RANGE, len(RANGE))
    return list(islice(filter(_is_free, candidates), count))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
