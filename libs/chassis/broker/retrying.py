"""Errors that pass."""

import httpx2
from aiokafka.errors import KafkaError

from libs.chassis.errors import UnavailableError
from libs.chassis.pool import TRANSIENT

RETRYABLE = (*TRANSIENT, KafkaError, UnavailableError, httpx2.TransportError)
"""What the same message, or the next pass of a job, may not meet again."""
