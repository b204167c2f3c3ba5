"""Service tokens: short-lived ES256 JWTs by which services know each other. Each signs with a key of its own.

The `sub` claim is the service that calls, `aud` the one that is called; the key's id begins with the former, so that
no service can speak for another. Checked tokens are remembered until they end.
"""

import json
import time
from pathlib import Path

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet

from libs.chassis.errors import NotAuthenticatedError

_LIFE_SECONDS = 60
_RENEW_SECONDS = 20
_LEEWAY_SECONDS = 30
_MARK_LENGTH = 8


class Signer:
    """Makes tokens for calls to other services."""

    def __init__(self, service: str, key: ECKey) -> None:
        self._service = service
        self._key = key
        self._made: dict[str, tuple[float, str]] = {}

    def token(self, audience: str) -> str:
        """Give a token for calls to a service, good for at least twenty seconds."""
        now = time.time()
        ends, token = self._made.get(audience, (0.0, ""))
        if ends - now < _RENEW_SECONDS:
            ends = now + _LIFE_SECONDS
            claims = {"iss": "scrip", "sub": self._service, "aud": audience, "iat": int(now), "exp": int(ends)}
            token = jwt.encode({"alg": "ES256", "kid": self._key.kid}, claims, self._key)
            self._made[audience] = (ends, token)
        return token


class Verifier:
    """Checks the tokens of those who call us."""

    def __init__(self, service: str, keys: KeySet) -> None:
        self._service = service
        self._keys = keys
        self._checked: dict[str, tuple[float, str]] = {}
        self._claims = jwt.JWTClaimsRegistry(
            leeway=_LEEWAY_SECONDS,
            iss={"essential": True, "value": "scrip"},
            aud={"essential": True, "value": service},
            sub={"essential": True},
            exp={"essential": True},
        )

    def caller(self, token: str) -> str:
        """Name the service that a token speaks for. Raises NotAuthenticatedError."""
        now = time.time()
        ends, caller = self._checked.get(token, (0.0, ""))
        if ends > now:
            return caller
        ends, caller = self._check(token)
        if len(self._checked) > 1000:
            self._checked.clear()
        self._checked[token] = (ends, caller)
        return caller

    def _check(self, token: str) -> tuple[float, str]:
        try:
            read = jwt.decode(token, self._keys, algorithms=["ES256"])
            claims = read.claims
            self._claims.validate(claims)
            signed_by = str(read.header["kid"])[: -len("-") - _MARK_LENGTH]
        except (JoseError, ValueError, KeyError) as error:
            raise NotAuthenticatedError("the service token is not valid") from error
        if signed_by != claims["sub"]:
            raise NotAuthenticatedError("the service token speaks for another service than signed it")
        return float(claims["exp"]), signed_by


def signer(service: str, key_file: Path) -> Signer:
    """Read a service's private key (one JWK)."""
    return Signer(service, ECKey.import_key(json.loads(key_file.read_text())))


def verifier(service: str, keys_file: Path) -> Verifier:
    """Read the services' public keys (a JWK set)."""
    return Verifier(service, KeySet.import_key_set(json.loads(keys_file.read_text())))


def new_key(service: str) -> ECKey:
    """Make a key for a service; its id begins with the service's name, so that a set tells whose is whose."""
    key = ECKey.generate_key("P-256")
    return ECKey.import_key(
        {**key.as_dict(private=True), "kid": f"{service}-{key.thumbprint()[:_MARK_LENGTH]}", "use": "sig"}
    )
