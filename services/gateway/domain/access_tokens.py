"""Access tokens: ES256 JWTs that tell who a user is, for fifteen minutes, without a look into the database."""

from datetime import datetime, timedelta
from uuid import UUID

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from libs.chassis.errors import NotAuthenticatedError
from libs.contracts import ids
from services.gateway.domain.principals import SignedInUser

LIFE = timedelta(minutes=15)
_ISSUER = "scrip-gateway"


class AccessTokens:
    """Signs with the first key and trusts them all: a key is rotated by putting the new one before the old."""

    def __init__(self, keys: KeySet) -> None:
        self._keys = keys
        self._signing = keys.keys[0]

    def issue(self, *, user: UUID, account: UUID, now: datetime) -> str:
        """Make a token for a user who acts on an account."""
        claims = {
            "iss": _ISSUER,
            "aud": _ISSUER,
            "sub": ids.show("user", user),
            "account": ids.show("account", account),
            "iat": int(now.timestamp()),
            "exp": int((now + LIFE).timestamp()),
        }
        return jwt.encode({"alg": "ES256", "kid": self._signing.kid}, claims, self._signing)

    def read(self, token: str, *, now: datetime) -> SignedInUser:
        """Tell who a token speaks for. Raises NotAuthenticatedError if it is not ours, or has ended."""
        rules = jwt.JWTClaimsRegistry(
            now=int(now.timestamp()),
            iss={"essential": True, "value": _ISSUER},
            aud={"essential": True, "value": _ISSUER},
            exp={"essential": True},
        )
        try:
            claims = jwt.decode(token, self._keys, algorithms=["ES256"]).claims
            rules.validate(claims)
            return SignedInUser(
                user=ids.read("user", claims["sub"]),
                account=ids.read("account", claims["account"]),
                until=datetime.fromtimestamp(claims["exp"], now.tzinfo),
            )
        except (JoseError, ValueError, KeyError) as error:
            raise NotAuthenticatedError("the access token is not valid, or has ended") from error
