import signal
import subprocess
import sys
from pathlib import Path

from deploy.embedded.settings import PROJECT

PROGRAM = """
import sys
from pathlib import Path
from libs.chassis import failpoints
failpoints.arm(sys.argv[1], file=Path(sys.argv[2]) if sys.argv[2] else None)
failpoints.reach("credits.burn.before_commit")
print("passed", flush=True)
failpoints.reach("credits.burn.after_commit")
print("passed", flush=True)
"""


def run(armed: str, file: Path | None = None) -> tuple[int, int]:
    """Run a program that passes two points; answers its exit code and how many it passed."""
    command = [sys.executable, "-c", PROGRAM, armed, str(file or "")]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.count("passed")


def test_unarmed_points_are_passed(tmp_path: Path) -> None:
    assert run("") == run("", tmp_path / "none") == run("credits.burn") == (0, 2)


def test_a_process_dies_without_a_last_word_at_the_point_that_is_armed() -> None:
    assert run("credits.burn.before_commit") == (-signal.SIGKILL, 0)
    assert run("credits.burn.after_commit") == (-signal.SIGKILL, 1)


def test_a_point_named_in_a_file_kills_once(tmp_path: Path) -> None:
    file = tmp_path / "point"
    file.write_text("credits.burn.after_commit")
    assert run("", file) == (-signal.SIGKILL, 1)
    assert run("", file) == (0, 2)
