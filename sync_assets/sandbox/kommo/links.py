"""Who belongs to whom: leads, contacts and companies, linked both ways at once.

The non-obvious decision: links outlive the deletion of an end, because a record that comes back out of the recycle bin
has its old ones again; a reader sees only those whose far end lives.
"""

from collections.abc import Iterator

End = tuple[str, int]


class Links:
    def __init__(self) -> None:
        # End -> kind -> far id -> whether it is the main one.
        self._of: dict[End, dict[str, dict[int, bool]]] = {}

    def of(self, kind: str, id: int, other: str) -> dict[int, bool]:
        return self._of.get((kind, id), {}).get(other, {})

    def all_of(self, kind: str, id: int) -> list[End]:
        return [(other, one) for other, far in self._of.get((kind, id), {}).items() for one in far]

    def all(self) -> Iterator[tuple[str, int, str, int, bool]]:
        for (kind, id), far in self._of.items():
            for other, ones in far.items():
                yield from ((kind, id, other, one, main) for one, main in ones.items())

    def add(self, kind: str, id: int, other: str, one: int, main: bool | None = None) -> None:
        """A lead's first contact is its main one, and a new main one takes the place of the old."""
        if kind == "contacts" and other == "leads":
            return self.add(other, one, kind, id, main)
        near = self._of.setdefault((kind, id), {}).setdefault(other, {})
        far = self._of.setdefault((other, one), {}).setdefault(kind, {})
        chosen = (not near if main is None and one not in near else main) if other == "contacts" else False
        if chosen:
            near.update(dict.fromkeys(near, False))
        near[one] = bool(near.get(one)) if chosen is None else chosen
        far[id] = near[one]
        return None

    def drop(self, kind: str, id: int, other: str, one: int) -> bool:
        self.of(other, one, kind).pop(id, None)
        near = self.of(kind, id, other)
        return near.pop(one, None) is not None

    def move(self, kind: str, id: int, to: int) -> None:
        """Everything linked to `id` belongs to `to` from now on."""
        for other, one in self.all_of(kind, id):
            main = self.of(kind, id, other)[one]
            self.drop(kind, id, other, one)
            if other != "companies" or not self.of(kind, to, other):
                self.add(kind, to, other, one, main or None)

    def forget(self, kind: str, id: int) -> None:
        for other, one in self.all_of(kind, id):
            self.drop(kind, id, other, one)
