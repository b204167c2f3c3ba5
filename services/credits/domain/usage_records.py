"""Records of the usage topic: CloudEvents' forms for Kafka, each as the documents that are read everywhere else.

Structured: the value is one event. Binary: the value is its data, and headers `ce_...` are its attributes. Batched, as
HTTP has it: the value is an array of events, each by itself from then on.
"""

from collections.abc import Sequence

import msgspec

_MARK = "ce_"
_JSON = "application/json"


def documents(value: bytes, headers: Sequence[tuple[str, bytes]]) -> list[bytes]:
    """Write a record's events as structured documents. What cannot be read is given as it is: a reader says why."""
    if headers and any(name == "ce_specversion" for name, _ in headers):
        return [_of_binary(value, headers)]
    if value[:1] == b"[":
        try:
            return [bytes(event) for event in msgspec.json.decode(value, type=list[msgspec.Raw])]
        except msgspec.DecodeError:
            pass
    return [value]


def _of_binary(value: bytes, headers: Sequence[tuple[str, bytes]]) -> bytes:
    said = {name: raw.decode(errors="replace") for name, raw in headers}
    if said.get("content-type", _JSON).partition(";")[0].strip().lower() != _JSON:
        return value
    attributes = {name.removeprefix(_MARK): text for name, text in said.items() if name.startswith(_MARK)}
    return msgspec.json.encode(attributes | {"datacontenttype": _JSON, "data": msgspec.Raw(value or b"{}")})
