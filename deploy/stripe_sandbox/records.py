"""Everything the sandbox knows: objects by kind and id, with what is needed to take a change back."""

from collections import defaultdict
from collections.abc import Iterator

from deploy.stripe_sandbox.errors import Object
from deploy.stripe_sandbox.journal import Journal


class Records:
    """Objects in memory, kept in a journal if there is one.

    Changes happen in one step of the event loop: puts and removals, then either `commit` or `undo`.
    Objects are never changed in place; a put replaces.
    """

    def __init__(self, journal: Journal | None = None) -> None:
        self._journal = journal
        self._kinds: dict[str, dict[str, Object]] = defaultdict(dict)
        self._order: dict[str, list[str]] = defaultdict(list)
        self._place: dict[tuple[str, str], int] = {}
        self._before: dict[tuple[str, str], Object | None] = {}
        for kind, item in journal.load() if journal else ():
            self._store(kind, item)

    def get(self, kind: str, name: str) -> Object | None:
        """Give an object, or None."""
        return self._kinds[kind].get(name)

    def put(self, item: Object) -> None:
        """Keep an object under its own `object` and `id`, in place of any older state of it."""
        kind, name = item["object"], item["id"]
        self._before.setdefault((kind, name), self.get(kind, name))
        self._store(kind, item)

    def remove(self, kind: str, name: str) -> None:
        """Forget an object."""
        self._before.setdefault((kind, name), self.get(kind, name))
        self._drop(kind, name)

    def newest_first(self, kind: str, *, older_than: str | None = None) -> Iterator[Object]:
        """Walk a kind from its newest object, or from the one before `older_than`."""
        end = len(self._order[kind]) if older_than is None else self._place[kind, older_than]
        return self._walk(kind, range(end - 1, -1, -1))

    def oldest_first(self, kind: str, *, newer_than: str | None = None) -> Iterator[Object]:
        """Walk a kind from its oldest object, or from the one after `newer_than`."""
        start = 0 if newer_than is None else self._place[kind, newer_than] + 1
        return self._walk(kind, range(start, len(self._order[kind])))

    def commit(self) -> None:
        """Make the changes since the last commit last."""
        if self._journal and self._before:
            self._journal.save((kind, name, self.get(kind, name)) for kind, name in self._before)
        self._before.clear()

    def undo(self) -> None:
        """Take the changes since the last commit back."""
        for (kind, name), before in reversed(self._before.items()):
            if before is None:
                self._drop(kind, name)
            else:
                self._store(kind, before)
        self._before.clear()

    def close(self) -> None:
        """Close the journal."""
        if self._journal:
            self._journal.close()

    def _store(self, kind: str, item: Object) -> None:
        name = item["id"]
        if (kind, name) not in self._place:
            self._place[kind, name] = len(self._order[kind])
            self._order[kind].append(name)
        self._kinds[kind][name] = item

    def _drop(self, kind: str, name: str) -> None:
        self._kinds[kind].pop(name, None)
        self._place.pop((kind, name), None)

    def _walk(self, kind: str, places: range) -> Iterator[Object]:
        for place in places:
            name = self._order[kind][place]
            if self._place.get((kind, name)) == place:  # else removed since, or made again further on
                yield self._kinds[kind][name]
