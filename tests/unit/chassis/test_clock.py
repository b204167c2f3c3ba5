import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from libs.chassis import clock
from libs.chassis.clock import Clock

DAY = timedelta(days=1)


class Machine:
    """The machine's own seconds, which tests let pass."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(clock, "time", machine)
    return machine


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "clock-offset"


def move(file: Path, text: str, machine: Machine) -> None:
    file.write_text(text)
    machine.seconds += 0.1


def test_without_a_file_the_clock_is_the_machines() -> None:
    before = datetime.now(UTC)
    assert before <= Clock().now() <= datetime.now(UTC)


def test_a_file_that_is_absent_moves_nothing(file: Path) -> None:
    assert Clock(file).offset() == timedelta()


def test_the_clock_has_moved_a_tenth_of_a_second_after_the_file(file: Path, machine: Machine) -> None:
    moved = Clock(file)
    assert moved.offset() == timedelta()
    file.write_text("86400")
    machine.seconds += 0.09
    assert moved.offset() == timedelta()
    machine.seconds += 0.01
    assert moved.offset() == DAY
    assert moved.now() - datetime.now(UTC) > DAY - timedelta(minutes=1)


def test_writing_twice_within_one_tick_of_the_file_system_is_noticed(file: Path, machine: Machine) -> None:
    """The second write need not change the file's time of modification."""
    moved = Clock(file)
    move(file, "1", machine)
    seen = file.stat()
    assert moved.offset() == timedelta(seconds=1)
    move(file, "2", machine)
    os.utime(file, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert moved.offset() == timedelta(seconds=2)


@pytest.mark.parametrize("text", ["0", "-0.5", "1e3", " 60\n", "3600.25"])
def test_any_number_of_seconds_moves_the_clock(file: Path, machine: Machine, text: str) -> None:
    moved = Clock(file)
    move(file, "86400", machine)
    assert moved.offset() == DAY
    move(file, text, machine)
    assert moved.offset() == timedelta(seconds=float(text))


@pytest.mark.parametrize("text", ["", "tomorrow", "nan", "inf", "1e300", "9e11", "-9e11", "12,5", "\udcff"])
def test_what_is_no_offset_leaves_time_as_it_was(file: Path, machine: Machine, text: str) -> None:
    moved = Clock(file)
    move(file, "86400", machine)
    assert moved.offset() == DAY
    file.write_bytes(text.encode(errors="surrogateescape"))
    machine.seconds += 0.1
    assert moved.offset() == DAY
    move(file, "60", machine)
    assert moved.offset() == timedelta(minutes=1)


def test_the_clock_is_the_machines_again_once_the_file_is_gone(file: Path, machine: Machine) -> None:
    moved = Clock(file)
    move(file, "86400", machine)
    assert moved.offset() == DAY
    file.unlink()
    machine.seconds += 0.1
    assert moved.offset() == timedelta()
    move(file, "86400", machine)
    assert moved.offset() == DAY
