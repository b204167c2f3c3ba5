"""Errors that pass."""

import httpx2

from libs.chassis.errors import UnavailableError
from libs.chassis.pool import TRANSIENT

RETRYABLE = (*TRANSIENT, UnavailableError, httpx2.TransportError)
"""What the same message may not meet again."""
