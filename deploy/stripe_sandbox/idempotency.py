"""Idempotency keys with Stripe's rules: the first answer is the answer, whatever it was."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice

import orjson

from deploy.stripe_sandbox.errors import InvalidRequestError, KeyInUseError, KeyReusedError, Object
from deploy.stripe_sandbox.forms import Fields
from deploy.stripe_sandbox.records import Records

LONGEST = 255
KEPT_S = 24 * 3600
KIND = "sandbox.idempotency"
PRUNED_AT_ONCE = 100


@dataclass(frozen=True)
class Claim:
    """The right to answer under a key, or the answer that was given before."""

    key: str | None
    fingerprint: str
    saved: Object | None

    def keep(self, records: Records, *, status: int, body: Object, now: int, request_id: str) -> None:
        """Save an answer with the effect it tells of."""
        if self.key is None:
            return
        records.put(
            {
                "object": KIND,
                "id": self.key,
                "fingerprint": self.fingerprint,
                "status": status,
                "body": body,
                "at": now,
                "request_id": request_id,
            }
        )


class IdempotencyKeys:
    """The keys being used right now; those used before are among the records."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._running: set[str] = set()

    @contextmanager
    def claim(self, key: str | None, *, method: str, path: str, fields: Fields, now: int) -> Iterator[Claim]:
        """Hold a key while its request runs.

        Raises KeyInUseError while another request holds it and KeyReusedError when it was first used for
        another request.
        What is not kept through the claim is not saved: a request that failed validation can be sent again.
        """
        if key is None or method != "POST":
            yield Claim(None, "", None)
            return
        if not 0 < len(key) <= LONGEST:
            raise InvalidRequestError(f"Idempotency keys are between 1 and {LONGEST} characters long, not {len(key)}.")
        claim = Claim(key, _fingerprint(method, path, fields), self._saved(key, now))
        if claim.saved is not None and claim.saved["fingerprint"] != claim.fingerprint:
            raise KeyReusedError(key)
        if key in self._running:
            raise KeyInUseError(key)
        self._running.add(key)
        try:
            yield claim
        finally:
            self._running.discard(key)

    def prune(self, now: int) -> int:
        """Forget some of the keys that are older than a day; says how many."""
        oldest = islice(self._records.oldest_first(KIND), PRUNED_AT_ONCE)
        expired = [saved["id"] for saved in oldest if saved["at"] + KEPT_S <= now]
        for key in expired:
            self._records.remove(KIND, key)
        return len(expired)

    def _saved(self, key: str, now: int) -> Object | None:
        saved = self._records.get(KIND, key)
        return saved if saved and saved["at"] + KEPT_S > now else None


def _fingerprint(method: str, path: str, fields: Fields) -> str:
    return sha256(orjson.dumps([method, path, fields], option=orjson.OPT_SORT_KEYS)).hexdigest()
