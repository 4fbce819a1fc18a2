"""Read the lab file and say what local cloud it describes.

`file` reads and checks, `layout` derives ids, names and the fabric. Nothing here wires or stores anything.
"""

from landbridge.lab.document import LabFileError
from landbridge.lab.file import parse_lab, read_lab
from landbridge.lab.layout import (
    LabProject,
    LabUser,
    fabric,
    namespace_name,
    nics,
    projects,
    public_services,
    quotas,
    show,
    show_table,
    subnets,
    users,
    vpcs,
)
from landbridge.lab.records import (
    HostEntry,
    Lab,
    ProjectEntry,
    PublicGatewayEntry,
    PublicServiceEntry,
    SubnetEntry,
    UserEntry,
    VpcEntry,
)

__all__ = [
    "HostEntry",
    "Lab",
    "LabFileError",
    "LabProject",
    "LabUser",
    "ProjectEntry",
    "PublicGatewayEntry",
    "PublicServiceEntry",
    "SubnetEntry",
    "UserEntry",
    "VpcEntry",
    "fabric",
    "namespace_name",
    "nics",
    "parse_lab",
    "projects",
    "public_services",
    "quotas",
    "read_lab",
    "show",
    "show_table",
    "subnets",
    "users",
    "vpcs",
]
