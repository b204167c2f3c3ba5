import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from libs.chassis.errors import NotAuthenticatedError
from libs.chassis.tokens import Signer, Verifier, new_key, signer, verifier

GATEWAY = new_key("gateway")
CREDITS = new_key("credits")


@pytest.fixture
def verify(tmp_path: Path) -> Verifier:
    """What the payments service checks tokens with."""
    return verifier("payments", public(tmp_path, GATEWAY, CREDITS))


def public(folder: Path, *keys: ECKey) -> Path:
    file = folder / "services.json"
    file.write_text(json.dumps(KeySet(list(keys)).as_dict(private=False)))
    return file


def claims(**other: Any) -> dict[str, Any]:
    now = int(time.time())
    return {"iss": "scrip", "sub": "gateway", "aud": "payments", "iat": now, "exp": now + 60} | other


def signed(key: ECKey = GATEWAY, *, header: dict[str, Any] | None = None, **other: Any) -> str:
    written = {name: value for name, value in claims(**other).items() if value is not None}
    return jwt.encode({"alg": "ES256", "kid": key.kid} | (header or {}), written, key)


def test_a_token_names_the_service_that_calls(verify: Verifier, tmp_path: Path) -> None:
    file = tmp_path / "gateway.json"
    file.write_text(json.dumps(GATEWAY.as_dict(private=True)))
    token = signer("gateway", file).token("payments")
    assert verify.caller(token) == verify.caller(token) == "gateway"


@pytest.mark.parametrize(
    "other",
    [
        {"aud": "credits"},
        {"aud": None},
        {"iss": "somebody"},
        {"iss": None},
        {"exp": 1},
        pytest.param({"exp": int(time.time()) - 31}, id="expired"),
        {"exp": None},
        {"exp": "soon"},
        {"sub": None},
        {"sub": "credits"},
        {"sub": ["gateway"]},
        pytest.param({"nbf": int(time.time()) + 3600}, id="not yet valid"),
    ],
    ids=str,
)
def test_a_token_with_wrong_claims_is_refused(verify: Verifier, other: dict[str, Any]) -> None:
    with pytest.raises(NotAuthenticatedError):
        verify.caller(signed(**other))


def test_no_service_can_speak_for_another(verify: Verifier) -> None:
    with pytest.raises(NotAuthenticatedError, match="another service"):
        verify.caller(signed(CREDITS, sub="gateway"))


def test_a_key_we_do_not_know_is_refused_even_under_a_known_id(verify: Verifier) -> None:
    stranger = new_key("gateway")
    for header in (None, {"kid": GATEWAY.kid}, {"kid": "gateway-00000000"}):
        with pytest.raises(NotAuthenticatedError):
            verify.caller(signed(stranger, header=header))


def test_a_token_that_does_not_name_its_key_is_refused(verify: Verifier) -> None:
    unnamed = jwt.encode({"alg": "ES256"}, claims(), GATEWAY)
    with pytest.raises(NotAuthenticatedError):
        verify.caller(unnamed)


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_token_of_which_one_letter_changed_is_refused(verify: Verifier, part: int) -> None:
    parts = signed().split(".")
    middle = len(parts[part]) // 2
    parts[part] = parts[part][:middle] + ("A" if parts[part][middle] != "A" else "B") + parts[part][middle + 1 :]
    with pytest.raises(NotAuthenticatedError):
        verify.caller(".".join(parts))


def test_no_other_algorithm_will_do_least_of_all_none(verify: Verifier) -> None:
    def part(content: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()

    unsigned = f"{part({'alg': 'none', 'kid': GATEWAY.kid})}.{part(claims())}."
    keyed_by_what_is_public = f"{part({'alg': 'HS256', 'kid': GATEWAY.kid})}.{part(claims())}.{part({})}"
    for token in (unsigned, keyed_by_what_is_public):
        with pytest.raises(NotAuthenticatedError):
            verify.caller(token)


@pytest.mark.parametrize(
    "rubbish", ["", ".", "..", "a.b.c", "\x00", "ü.ü.ü", "e30.e30.e30", "x" * 10_000, "e30=.e30=.e30="]
)
def test_rubbish_is_refused_like_any_other_bad_token(verify: Verifier, rubbish: str) -> None:
    with pytest.raises(NotAuthenticatedError):
        verify.caller(rubbish)


def test_a_checked_token_is_refused_all_the_same_once_it_has_expired(
    verify: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = signed()
    verify.caller(token)
    later = time.time() + 60 + 31
    monkeypatch.setattr(time, "time", lambda: later)
    with pytest.raises(NotAuthenticatedError):
        verify.caller(token)


def test_a_token_is_used_again_while_it_is_good_for_some_seconds_more(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    sign = Signer("gateway", GATEWAY)
    first = sign.token("payments")
    assert sign.token("payments") == first
    assert sign.token("credits") != first
    now += 41
    assert sign.token("payments") != first


def test_what_is_remembered_of_checked_tokens_is_bounded(verify: Verifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Verifier, "_check", lambda _self, token: (time.time() + 60, token))
    for number in range(3000):
        verify.caller(str(number))
    assert len(verify._checked) <= 1001


def test_a_key_speaks_for_its_service_whatever_letters_its_id_has(tmp_path: Path) -> None:
    """A fingerprint may contain the very sign that divides it from the name."""
    keys = [new_key("scheduled-jobs") for _ in range(40)]
    verify = verifier("payments", public(tmp_path, *keys))
    for key in keys:
        assert verify.caller(Signer("scheduled-jobs", key).token("payments")) == "scheduled-jobs"
