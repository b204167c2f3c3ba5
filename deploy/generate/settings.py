"""`settings.md`: every setting, from the classes that read them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from deploy.embedded.settings import PROJECT
from deploy.embedded.stack import StackSettings
from deploy.generate import fields
from deploy.generate.documents import REFERENCE, Documents
from deploy.generate.markdown import code, page, table
from deploy.stripe_sandbox.settings import Settings as SandboxSettings
from libs.chassis.settings import ServiceSettings
from services.credits.settings import Settings as CreditsSettings
from services.gateway.settings import Settings as GatewaySettings
from services.notifications.settings import Settings as NotificationsSettings
from services.payments.settings import Settings as PaymentsSettings

_INTRODUCTION = """
Everything is set by environment variables. A service reads them once, at start; one that is missing or cannot be read
ends the start with its name, and an empty one counts as absent. `<SERVICE>` stands for `GATEWAY`, `PAYMENTS`, `CREDITS`
and `NOTIFICATIONS`: each service has its own.
"""
_STACK = """
What `make up` and `make demo` read. They make the services' settings; whatever else of the above stands in your
environment reaches the services too.
"""
_SANDBOX = "Each is also a flag: `python -m deploy.stripe_sandbox --help`."

_SERVICES: Mapping[str, type[ServiceSettings]] = {
    "gateway": GatewaySettings,
    "payments": PaymentsSettings,
    "credits": CreditsSettings,
    "notifications": NotificationsSettings,
}


def documents() -> Documents:
    """Write the page."""
    shared = _section("Every service", ServiceSettings, prefix="SCRIP_<SERVICE>_")
    own = [_section(f"The {name} service", settings, beside=ServiceSettings) for name, settings in _SERVICES.items()]
    local = [
        _section("The local stack", StackSettings, _STACK),
        _section("The Stripe sandbox", SandboxSettings, _SANDBOX),
    ]
    return {REFERENCE / "settings.md": page("Settings", _INTRODUCTION, shared, *own, *local)}


def _section(
    title: str,
    settings: type[BaseSettings],
    about: str = "",
    *,
    beside: type[BaseSettings] = BaseSettings,
    prefix: str | None = None,
) -> str:
    """Write a class's settings, but for those that another has in the same way."""
    prefix = settings.model_config["env_prefix"] if prefix is None else prefix
    rows = list(_rows(settings, beside, prefix))
    return "\n\n".join(
        filter(None, [f"## {title}", about.strip(), table(("variable", "type", "default", "what"), rows)])
    )


def _rows(settings: type[BaseSettings], beside: type[BaseSettings], prefix: str) -> Iterator[Sequence[str]]:
    described = settings.model_json_schema(by_alias=False)["properties"]
    for name, field in settings.model_fields.items():
        known = beside.model_fields.get(name)
        if known is None or (known.annotation, known.description) != (field.annotation, field.description):
            variable = field.validation_alias or f"{prefix}{name.upper()}"
            yield code(variable), _type(described[name]), _default(field), field.description or ""


def _type(schema: Mapping[str, Any]) -> str:
    return fields.type_of(schema, code).removesuffix(" or null")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default_factory is not None or field.default in (None, ""):
        return ""
    value = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
    return code(str(value).lower() if isinstance(value, bool) else str(value).replace(f"{PROJECT}/", ""))
