"""Names of things, as Stripe writes them: a prefix and random letters and digits."""

import secrets
import string

ALPHABET = string.ascii_letters + string.digits


def new_id(prefix: str, length: int = 24) -> str:
    """Make a name that no other thing has, such as pi_3QxV0kUa8T2mXb7RzN5cWd1e."""
    return f"{prefix}_{''.join(secrets.choice(ALPHABET) for _ in range(length))}"
