"""On whose behalf something is asked, as services tell each other: `user:usr_...`, `key:key_...`, `staff:ada`."""

from libs.chassis.errors import NotAllowedError


def check_staff(caller: str) -> None:
    """Let staff pass. Raises NotAllowedError."""
    if not caller.startswith("staff:"):
        raise NotAllowedError
