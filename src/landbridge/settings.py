"""Hold everything that can be set, with its default. Read once, in bootstrap; parts get values, not settings.

Flags of `landbridge serve` win over the file of `--config` (TOML), which wins over the defaults here.
"""

import os
import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import cast

from landbridge.domain.errors import OperatorError
from landbridge.domain.naming import REGION_NAME


def default_state() -> Path:
    """Return where the state is kept when nobody says: the system's place for root, the user's for others."""
    if os.geteuid() == 0:
        return Path("/var/lib/landbridge")
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "landbridge"


@dataclass(frozen=True, slots=True)
class Settings:
    """One server's settings."""

    listen: str = "127.0.0.1:8770"
    """HOST:PORT; port 0 takes a free one."""
    public_url: str = ""
    """How clients reach this server; empty: `http://` and the address of `listen`."""
    region: str = ""
    """The region's name, without a dot. A lab file's own wins; empty: the state's, `lab-1` for a new state."""
    dns_domain: str = "landbridge.internal"
    """The last part of endpoints' domain names."""
    driver: str = "linux"
    """The data plane: `linux`, or `memory`, which carries nothing."""
    sweep_interval_seconds: float = 300.0
    """How often everything is compared deeply; wake-ups do the work in between."""
    clock_skew_seconds: float = 900.0
    """How far the date of a signed request may be off (contract 8.2)."""
    log_level: str = "INFO"
    """DEBUG, INFO, WARNING or ERROR."""


def read_settings(path: Path | None, **flags: str | None) -> Settings:
    """Return the settings; `flags` that are None were not given.

    Raises:
        OperatorError: the file cannot be read, or names a setting that does not exist.
    """
    settings = Settings()
    if path is not None:
        settings = replace(settings, **_checked(path, _read_toml(path)))
    given = {name: value for name, value in flags.items() if value is not None}
    settings = replace(settings, **given)  # pyright: ignore[reportArgumentType]
    if settings.driver not in {"linux", "memory"}:
        raise OperatorError(f"driver is {settings.driver!r}: write linux or memory")
    if settings.region and REGION_NAME.fullmatch(settings.region) is None:
        raise OperatorError(f"region is {settings.region!r}: write at most 32 letters, digits, _ and -, without a dot")
    if settings.log_level not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
        raise OperatorError(f"log_level is {settings.log_level!r}: write DEBUG, INFO, WARNING or ERROR")
    return settings


def _read_toml(path: Path) -> dict[str, object]:
    try:
        return cast("dict[str, object]", tomllib.loads(path.read_text()))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise OperatorError(f"cannot read the settings in {path}: {error}") from error


def _checked(path: Path, values: dict[str, object]) -> dict[str, str]:
    types = {field.name: field.type for field in fields(Settings)}
    for name, value in values.items():
        if name not in types:
            raise OperatorError(f"{path}: {name} is no setting; there are {', '.join(sorted(types))}")
        wanted = (float, int) if types[name] in {float, "float"} else (str,)
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise OperatorError(f"{path}: {name} must be a {'number' if float in wanted else 'text'}")
    return cast("dict[str, str]", values)
