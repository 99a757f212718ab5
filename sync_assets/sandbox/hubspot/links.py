"""Who belongs to whom: associations in both directions, each with its numbered types.

The non-obvious decision: an association with an archived record is kept and not shown, so that restoring the record
brings its associations back, as it does live.
"""

from collections import defaultdict
from collections.abc import Iterator

from sync_assets.sandbox.dialect import RefusedError
from sync_assets.sandbox.hubspot.names import ASSOCIATIONS, KINDS, LABELS

# typeId -> label of one pair; None is the unlabelled type, which is always there.
Types = dict[int, str | None]


class Links:
    def __init__(self) -> None:
        self._pairs: dict[tuple[str, str], dict[int, dict[int, Types]]] = {
            pair: defaultdict(dict) for pair in ASSOCIATIONS
        }

    def of(self, kind: str, id: int, to: str) -> dict[int, Types]:
        return self._pairs.get((kind, to), {}).get(id, {})

    def add(self, kind: str, id: int, to: str, other: int, label: str | None = None) -> None:
        for pair, one, two in (((kind, to), id, other), ((to, kind), other, id)):
            if pair not in ASSOCIATIONS:
                raise RefusedError(f"no association from {pair[0]} to {pair[1]}")
            types = self._pairs[pair][one].setdefault(two, {ASSOCIATIONS[pair]: None})
            if label is not None:
                if label not in LABELS.get(pair, {}):
                    raise RefusedError(f"no label {label!r} from {pair[0]} to {pair[1]}")
                types[LABELS[pair][label]] = label

    def drop(self, kind: str, id: int, to: str, other: int, label: str | None = None) -> None:
        """The whole association, or just one label of it."""
        for pair, one, two in (((kind, to), id, other), ((to, kind), other, id)):
            if label is None:
                self._pairs[pair].get(one, {}).pop(two, None)
            else:
                self._pairs[pair].get(one, {}).get(two, {}).pop(LABELS[pair][label], None)

    def forget(self, kind: str, id: int) -> None:
        for to in KINDS:
            for other in list(self.of(kind, id, to)):
                self.drop(kind, id, to, other)

    def move(self, kind: str, old: int, new: int) -> None:
        """The survivor of a merge takes over what the merged one had."""
        for to in KINDS:
            for other, types in list(self.of(kind, old, to).items()):
                self.drop(kind, old, to, other)
                for label in types.values():
                    self.add(kind, new, to, other, label)

    def all(self) -> Iterator[tuple[str, int, str, int, int, str | None]]:
        for (kind, to), found in self._pairs.items():
            for id in sorted(found):
                for other in sorted(found[id]):
                    for number, label in sorted(found[id][other].items()):
                        yield kind, id, to, other, number, label


def name_of(kind: str, to: str, label: str | None) -> str:
    """How an association type is called where associations come inline."""
    if label is not None:
        return label.lower().replace(" ", "_")
    return f"{KINDS[kind].singular}_to_{KINDS[to].singular}"
