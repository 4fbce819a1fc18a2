"""Run commands as an ordinary user, who has no privilege at all.

Root becomes `nobody` for them. Where nobody may not read the interpreter or the checkout (a home directory of mode 0700
in the way), a mount namespace shows just those to the command, in their own places. The command keeps its process id.
"""

import stat
import sys
from pathlib import Path

from landbridge.drivers.linux.user_namespace import is_privileged

NOBODY = 65534
_PROJECT = Path(__file__).resolve().parent.parent

# Put aside what must be seen, hide the directory in the way under an empty one, and put it in its place again.
_SHOW = """\
set -eu
hidden=$1 aside=$2; shift 2
number=0
while [ "$1" != -- ]; do
    number=$((number + 1)); mkdir -p "$aside/$number"; mount --bind "$1" "$aside/$number"
    eval "place_$number=\\$1"; shift
done
shift
mount -t tmpfs -o mode=755 landbridge "$hidden"
while [ "$number" -gt 0 ]; do
    eval "place=\\$place_$number"
    mkdir -p "$place"; mount --bind "$aside/$number" "$place"
    number=$((number - 1))
done
exec "$@"
"""


def as_an_ordinary_user(aside: Path) -> list[str]:
    """Return what to put before a command; nothing if we are an ordinary user ourselves.

    `aside` is an empty directory of ours, for as long as commands are run.
    """
    if not is_privileged():
        return []
    become = [
        "setpriv",
        f"--reuid={NOBODY}",
        f"--regid={NOBODY}",
        "--clear-groups",
        "--bounding-set=-all",
        "--inh-caps=-all",
    ]
    needed = sorted({Path(sys.base_prefix).resolve(), Path(sys.prefix).resolve(), _PROJECT})
    in_the_way = {directory for path in needed if (directory := _closed_directory_above(path)) is not None}
    show: list[str] = []
    for number, hidden in enumerate(sorted(in_the_way)):
        place = aside / str(number)
        place.mkdir(exist_ok=True)
        below = [str(path) for path in needed if path.is_relative_to(hidden)]
        show += ["sh", "-c", _SHOW, "show", str(hidden), str(place), *below, "--"]
    return [*(["unshare", "--mount", "--propagation", "private"] if show else []), *show, *become]


def _closed_directory_above(path: Path) -> Path | None:
    """Return the uppermost directory that strangers may not pass."""
    for directory in reversed(path.parents):
        if not directory.stat().st_mode & stat.S_IXOTH:
            return directory
    return None
