import asyncio
import socket
import sys

from deploy.embedded.ports import BLOCK, free_ports

CHOOSING = "from deploy.embedded.ports import free_ports; print(*free_ports(20), flush=True); input()"


async def choose_and_wait() -> tuple[asyncio.subprocess.Process, list[int]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHOOSING, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    return process, [int(port) for port in (await process.stdout.readline()).split()]


async def test_no_two_processes_choose_one_port_before_either_has_bound_it() -> None:
    chosen = await asyncio.gather(*(choose_and_wait() for _ in range(12)))
    ports = [port for _, ports in chosen for port in ports]
    for process, _ in chosen:
        await process.communicate(b"\n")
    assert len(ports) == 240
    assert len(set(ports)) == len(ports)


def test_a_port_is_not_chosen_again_for_long() -> None:
    chosen = [free_ports(1)[0] for _ in range(BLOCK // 2)]
    assert len(set(chosen)) == len(chosen)


def test_a_port_that_is_taken_is_passed_over() -> None:
    (port,) = free_ports(1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port + 1))
        assert port + 1 not in free_ports(3)
