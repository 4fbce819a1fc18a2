"""Write how Envoy is started: its command line and its bootstrap.

Pure. The bootstrap knows nothing of listeners: those come from us once it runs. Nothing in it listens on TCP.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from landbridge.drivers.envoy.listeners import ProxyUnavailable

CONTROL_CLUSTER = "landbridge"
"""What the bootstrap calls the way to us."""

_DESCRIPTORS_PER_CONNECTION = 2
_OTHER_DESCRIPTORS = 512
_LONGEST_SOCKET_PATH = 107  # unix(7)
_FEWEST_CONNECTIONS = 64


@dataclass(frozen=True, slots=True)
class Files:
    """What Envoy and we share in the state directory."""

    directory: Path

    @property
    def control_socket(self) -> Path:
        """Where Envoy finds us."""
        return self.directory / "xds.sock"

    @property
    def admin_socket(self) -> Path:
        """Where Envoy can be asked how it is."""
        return self.directory / "admin.sock"

    @property
    def bootstrap(self) -> Path:
        """What Envoy reads when it starts."""
        return self.directory / "bootstrap.json"

    @property
    def log(self) -> Path:
        """What Envoy has to say."""
        return self.directory / "envoy.log"

    @property
    def record(self) -> Path:
        """Which process is ours."""
        return self.directory / "process.json"


@dataclass(frozen=True, slots=True)
class Budget:
    """How many of what there may be, given the descriptors that Envoy may have."""

    descriptors: int
    listeners: int
    """Listeners at once, in all edges."""
    connections: int
    """Clients' connections at once, of all endpoints."""


def budget(descriptors: int, listeners_limit: int, concurrency: int) -> Budget:
    """Share descriptors out: each listener takes one for each worker, each connection two.

    Half of them at most are for listeners. Raises ProxyUnavailable when too few are left.
    """
    listeners = min(listeners_limit, descriptors // 2 // concurrency)
    left = descriptors - listeners * concurrency - _OTHER_DESCRIPTORS
    connections = left // _DESCRIPTORS_PER_CONNECTION
    if connections < _FEWEST_CONNECTIONS:
        raise ProxyUnavailable(
            f"{descriptors} open files are too few for the proxy: raise the hard limit of open files (ulimit -Hn)"
        )
    return Budget(descriptors, listeners, connections)


def bootstrap(files: Files, limits: Budget) -> str:
    """Return the bootstrap as JSON. Raises ProxyUnavailable when the directory's path is too long for sockets."""
    for socket in (files.control_socket, files.admin_socket):
        if len(str(socket).encode()) > _LONGEST_SOCKET_PATH:
            raise ProxyUnavailable(f"the path {socket} is too long for a socket: give a shorter --state")
    contents: dict[str, object] = {
        "node": {"id": "landbridge", "cluster": "landbridge"},
        "admin": {"address": {"pipe": {"path": str(files.admin_socket), "mode": 0o600}}},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [
                    {
                        "envoy_grpc": {
                            "cluster_name": CONTROL_CLUSTER,
                            # It looks for us again soon after our restart; its own choice would be up to 30 s.
                            "retry_policy": {"retry_back_off": {"base_interval": "0.05s", "max_interval": "0.3s"}},
                        }
                    }
                ],
            },
            "cds_config": {"ads": {}, "resource_api_version": "V3"},
            "lds_config": {"ads": {}, "resource_api_version": "V3"},
        },
        "static_resources": {"clusters": [_control_cluster(files.control_socket)]},
        # A hundred numbers for each listener and cluster would be more than half of the memory.
        "stats_config": {
            "stats_matcher": {
                "inclusion_list": {
                    "patterns": [
                        {"prefix": prefix}
                        for prefix in (
                            "server.",
                            "listener_manager.",
                            "cluster_manager.",
                            "control_plane.",
                            "overload.",
                        )
                    ]
                }
            }
        },
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections."
                        "v3.DownstreamConnectionsConfig",
                        "max_active_downstream_connections": limits.connections,
                    },
                }
            ]
        },
    }
    return json.dumps(contents, indent=1)


def confinement(setpriv: Path) -> list[str]:
    """Return what to put before Envoy's command line: it enters namespaces and takes low ports, and may no more.

    Above all it cannot change the rules and routes of the namespaces that it is in.
    """
    return [
        str(setpriv),
        "--no-new-privs",
        "--inh-caps=-all",
        "--bounding-set=-all,+sys_admin,+net_bind_service",
        "--",
    ]


def command(binary: Path, files: Files, concurrency: int) -> list[str]:
    """Return Envoy's command line."""
    return [
        str(binary),
        *("--config-path", str(files.bootstrap)),
        *("--concurrency", str(concurrency)),
        "--disable-hot-restart",
        # What is taken away ends at once: that it may end is decided before, by nftables' elements.
        *("--drain-time-s", "1", "--drain-strategy", "immediate"),
        *("--log-level", "warning", "--log-path", str(files.log)),
    ]


def _control_cluster(socket: Path) -> dict[str, object]:
    return {
        "name": CONTROL_CLUSTER,
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
        "load_assignment": {
            "cluster_name": CONTROL_CLUSTER,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": str(socket)}}}}]}],
        },
    }
