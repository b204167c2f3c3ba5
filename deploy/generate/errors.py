"""`errors.md`: every error code and what it means."""

from deploy.generate.documents import REFERENCE, Documents
from deploy.generate.markdown import code, page, table
from libs.contracts.errors import CODES, PROBLEM_TYPE

_INTRODUCTION = f"""
A problem is answered as a document by RFC 9457, `application/problem+json`: `type`, `title`, `status`, `detail` in
words, `code`, `request_id`, and further fields where they help. `type` is `{PROBLEM_TYPE}` and the code.
Branch on `code`: a code never changes its meaning. The event `UsageRejected` names the same codes.

What an `Idempotency-Key` brought about, a purchase, a refund or Stripe's refusal, is kept with it and answered again.
What was refused before anything happened leaves no trace. After 5xx and 429 send the same request with the same key.
"""


def documents() -> Documents:
    """Write the page."""
    rows = [(code(each.code), str(each.status), each.title, each.meaning) for each in CODES.values()]
    text = page("Error codes", _INTRODUCTION, table(("code", "status", "title", "meaning"), rows))
    return {REFERENCE / "errors.md": text}
