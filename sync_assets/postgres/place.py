"""Where the server's files lie and as whom it runs.

Promise: whoever calls, in whatever folder, the server can reach its data; data once created are found again,
and are never replaced by new, empty ones.

Decision: PostgreSQL refuses to run as root, so root lends it another user: the data's or the project's
owner, else `postgres`, else `nobody`. Data which that user cannot reach lie on the shelf, under a hash of
the project's path.
"""

import hashlib
import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from sync_assets.postgres.binaries import SHELF, User, binaries_for, shelved, succeeds
from sync_assets.postgres.errors import EmbeddedPostgresError


@dataclass(frozen=True)
class Place:
    """`user` is None for the caller's own."""

    user: User | None
    binaries: Path
    home: Path

    @property
    def data(self) -> Path:
        return self.home / "data"

    def hand_over(self) -> None:
        """What root wrote beside the data belongs to the folder's owner, who may come back without root."""
        if self.user is not None:
            for path in self.home.iterdir():
                if path != self.data:
                    os.chown(path, *_owner(self.home), follow_symlinks=False)


def prepare(root: Path) -> None:
    """Create `root`; when root does so, for the owner of the folder it lies in."""
    missing = [folder for folder in (root, *root.parents) if not folder.exists()]
    root.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        for folder in reversed(missing):
            folder.chmod(0o755)
            os.chown(folder, *_owner(folder.parent))
        # Whatever umask or mkdtemp made of it: what lies within has modes of its own.
        root.chmod(root.stat().st_mode | 0o111)


def settle(root: Path) -> Place:
    """The place for a prepared `root`."""
    if os.geteuid() != 0:
        if (root / "data").exists() and _owner(root / "data")[0] != os.geteuid():
            raise EmbeddedPostgresError(f"the data in {root} belong to another user", next_step="run as that user")
        return Place(None, binaries_for(None), root)
    name = hashlib.sha256(os.fsencode(root)).hexdigest()[:16]
    homes = (root, SHELF / "data" / name)
    home = next((home for home in homes if (home / "data").exists()), None)
    user = _owner(home / "data") if home else _lent_user(root)
    if home in (None, root) and not succeeds(user, "/bin/sh", "-c", 'cd -- "$0"', str(root)):
        if home == root:
            raise EmbeddedPostgresError(
                f"uid {user[0]}, who owns the data in {root}, can no longer reach them",
                next_step="open the folders above to others again (chmod o+x)",
            )
        home = shelved("data", name)
    return Place(user, binaries_for(user), home or root)


def _lent_user(root: Path) -> User:
    owner = _owner(root)
    if owner[0] != 0 and _is_known(owner[0]):
        return owner
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    raise EmbeddedPostgresError("root has no user to lend it: neither postgres nor nobody exists")


def _is_known(uid: int) -> bool:
    # initdb refuses a user without an entry, such as the owner of a folder mounted into a container.
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _owner(path: Path) -> User:
    found = path.stat()
    return found.st_uid, found.st_gid
