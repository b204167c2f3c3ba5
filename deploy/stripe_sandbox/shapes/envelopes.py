"""What is the same of every object: how it is shown, deleted and listed."""

from deploy.stripe_sandbox.errors import Object


def shown(item: Object) -> Object:
    """Give an object as Stripe shows it: names that begin with an underscore are the sandbox's own."""
    return {name: value for name, value in item.items() if not name.startswith("_")}


def deleted(item: Object) -> Object:
    """Shape what stands for an object once it was deleted."""
    return {"id": item["id"], "object": item["object"], "deleted": True}


def listing(items: list[Object], *, url: str, has_more: bool) -> Object:
    """Shape a page of a list."""
    return {"object": "list", "data": items, "has_more": has_more, "url": url}
