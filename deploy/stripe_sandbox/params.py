"""How the parameters of a call are read: models that refuse what they do not know, in Stripe's words."""

import re
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from deploy.stripe_sandbox.errors import InvalidRequestError
from deploy.stripe_sandbox.forms import Fields
from deploy.stripe_sandbox.money import CURRENCIES

METADATA_KEYS = 50
METADATA_KEY_LENGTH = 40
METADATA_VALUE_LENGTH = 500


def _whole(value: Any) -> int:
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,18}", value):
        return int(value)
    raise PydanticCustomError("parameter_invalid_integer", "Invalid integer: {value}", {"value": str(value)})


def _flag(value: Any) -> bool:
    if value in ("true", "false"):
        return bool(value == "true")
    raise PydanticCustomError("invalid_boolean", "Invalid boolean: {value}", {"value": str(value)})


def _off_session(value: Any) -> bool:
    return value in ("one_off", "recurring") or _flag(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise PydanticCustomError("invalid_string", "Invalid string: {value}", {"value": str(value)})
    if value == "":
        raise PydanticCustomError(
            "parameter_invalid_empty",
            "You passed an empty string. We assume empty values are an attempt to unset a parameter; however this one "
            "cannot be unset. You should remove it from your request or supply a non-empty value.",
        )
    return value


def _listed(value: Any) -> Any:
    if isinstance(value, dict) and all(key.isdigit() for key in value):
        return [value[key] for key in sorted(value, key=int)]
    raise PydanticCustomError("invalid_array", "Invalid array")


def _cleared(value: Any) -> Any:
    return None if value == "" else value


def _currency(value: str) -> str:
    if value.lower() not in CURRENCIES:
        raise PydanticCustomError("invalid_currency", "Invalid currency: {value}", {"value": value})
    return value.lower()


def _instant_range(value: Any) -> Any:
    return {"gte": value, "lte": value} if isinstance(value, str) else value


def _metadata(value: dict[str, str]) -> dict[str, str]:
    check_metadata_size(value)
    for key, text in value.items():
        if len(key) > METADATA_KEY_LENGTH:
            raise PydanticCustomError(
                "metadata_key", "Metadata keys can have up to 40 characters, but you passed in {key}", {"key": key}
            )
        if len(text) > METADATA_VALUE_LENGTH:
            raise PydanticCustomError(
                "metadata_value",
                "Metadata values can have up to 500 characters, but you passed in a value that is {length} characters.",
                {"length": len(text)},
            )
    return value


def check_metadata_size(metadata: dict[str, str]) -> None:
    """Refuse more than 50 keys."""
    if len(metadata) > METADATA_KEYS:
        raise InvalidRequestError("You can specify at most 50 metadata keys.", param="metadata")


Whole = Annotated[int, BeforeValidator(_whole)]
Flag = Annotated[bool, BeforeValidator(_flag)]
OffSession = Annotated[bool, BeforeValidator(_off_session)]
Text = Annotated[str, BeforeValidator(_text), Field(max_length=5000)]
Currency = Annotated[Text, AfterValidator(_currency)]
Texts = Annotated[tuple[Text, ...], BeforeValidator(_listed)]
ClearableText = Annotated[Text | None, BeforeValidator(_cleared)]
Metadata = Annotated[dict[str, str], AfterValidator(_metadata)]
ClearableMetadata = Annotated[Metadata | None, BeforeValidator(_cleared)]

Clearable = BeforeValidator(_cleared)
"""Marks what an empty string unsets: `Annotated[T | None, Clearable]`."""
Listed = BeforeValidator(_listed)
"""Marks a list of parts: `Annotated[tuple[T, ...], Listed]`."""


class Part(BaseModel):
    """A hash inside the parameters; a name it does not know is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NoParams(Part):
    """The parameters of a call that takes none."""

    @property
    def expansions(self) -> tuple[str, ...]:
        """What the answer is to show as objects and not as ids."""
        return ()


class Params(NoParams):
    """The parameters of one call; nearly every call takes `expand`."""

    expand: Texts = ()

    @property
    def expansions(self) -> tuple[str, ...]:
        """What the answer is to show as objects and not as ids."""
        return self.expand

    def given(self, *names: str) -> dict[str, Any]:
        """Give those of the named parameters that were sent, parts as plain dicts with all that they can hold."""
        return self.model_dump(include=set(names) & self.model_fields_set)


class InstantRange(Part):
    """Which instants a list's `created` lets through."""

    gt: Whole | None = None
    gte: Whole | None = None
    lt: Whole | None = None
    lte: Whole | None = None

    def holds(self, instant: int) -> bool:
        """Tell whether an instant lies within."""
        return (
            (self.gt is None or instant > self.gt)
            and (self.gte is None or instant >= self.gte)
            and (self.lt is None or instant < self.lt)
            and (self.lte is None or instant <= self.lte)
        )


Created = Annotated[InstantRange, BeforeValidator(_instant_range)]


class Address(Part):
    """A postal address."""

    city: ClearableText = None
    country: ClearableText = None
    line1: ClearableText = None
    line2: ClearableText = None
    postal_code: ClearableText = None
    state: ClearableText = None


class Shipping(Part):
    """Where a customer's goods go."""

    address: Address
    name: Text
    phone: Text | None = None


P = TypeVar("P", bound=Part)


def parse(model: type[P], fields: Fields) -> P:
    """Read a form by a model, or raise InvalidRequestError about the first thing wrong."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        problems = error.errors(include_url=False)
    unknown = [problem for problem in problems if problem["type"] == "extra_forbidden"]
    raise _refusal((unknown or problems)[0])


def merged(metadata: dict[str, str], change: dict[str, str] | None) -> dict[str, str]:
    """Apply a change of metadata: an empty value removes its key, None removes all."""
    if change is None:
        return {}
    result = {key: value for key, value in {**metadata, **change}.items() if value != ""}
    check_metadata_size(result)
    return result


def _refusal(problem: ErrorDetails) -> InvalidRequestError:
    param = bracketed(problem["loc"])
    match problem["type"]:
        case "extra_forbidden":
            return InvalidRequestError(f"Received unknown parameter: {param}", code="parameter_unknown", param=param)
        case "missing":
            return InvalidRequestError(f"Missing required param: {param}.", code="parameter_missing", param=param)
        case "literal_error":
            return InvalidRequestError(f"Invalid {param}: must be one of {problem['ctx']['expected']}", param=param)
        case "parameter_invalid_integer" | "parameter_invalid_empty" as code:
            return InvalidRequestError(problem["msg"], code=code, param=param)
        case _:
            return InvalidRequestError(f"Invalid {param}: {problem['msg']}", param=param)


def bracketed(parts: tuple[str | int, ...]) -> str:
    """Write a parameter's place as the wire does: ("a", "b", 0) is a[b][0]."""
    first, *rest = parts or ("",)
    return str(first) + "".join(f"[{part}]" for part in rest)
