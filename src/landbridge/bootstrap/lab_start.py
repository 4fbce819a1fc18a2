"""Fill the database from a lab file, and say what is to be wired."""

from dataclasses import replace

from landbridge import lab as labs
from landbridge.bootstrap.composing import SystemClock
from landbridge.control.actors import acting_as, operator
from landbridge.control.protocols import Store, WriteTransaction
from landbridge.control.public_services import publish
from landbridge.control.quotas import replace_quotas
from landbridge.dataplane.bridging import NO_BRIDGES, Bridged
from landbridge.dataplane.fabric import Fabric, with_made_networks
from landbridge.directory.builtin import replace_contents
from landbridge.identity.provisioning import NewProject, NewUser, provision
from landbridge.identity.sealing import Secret


async def store_lab(store: Store, lab: labs.Lab, sealing_key: bytes) -> None:
    """Fill the built-in directory and identity from a lab file, and publish its public services."""
    with acting_as(operator("lab file")):
        await _store_lab(store, lab, sealing_key)


async def _store_lab(store: Store, lab: labs.Lab, sealing_key: bytes) -> None:
    vpcs, subnets, nics = labs.vpcs(lab), labs.subnets(lab), labs.nics(lab)
    now = SystemClock().now()
    offers = labs.public_services(lab)

    def networks_and_services(tx: WriteTransaction) -> None:
        # Services first: a public one may leave, or move away from, a host that the file does not have any more.
        publish(tx, offers, now)
        replace_contents(tx, vpcs, subnets, nics, now)

    await store.write(networks_and_services)
    projects = [
        NewProject(project.id, project.name, project.domain_id, project.domain_name) for project in labs.projects(lab)
    ]
    users = [
        NewUser(
            id=user.id,
            name=user.name,
            domain_id=user.domain_id,
            domain_name=user.domain_name,
            password=Secret(user.password),
            roles={user.project_id: user.roles},
            access_key=user.access_key,
            secret_key=Secret(user.secret_key) if user.secret_key is not None else None,
        )
        for user in labs.users(lab)
    ]
    await provision(store, projects, users, sealing_key=sealing_key)
    await store.write(lambda tx: replace_quotas(tx, labs.quotas(lab)))


async def whole_fabric(store: Store, lab: labs.Lab, bridged: Bridged = NO_BRIDGES) -> Fabric:
    """Return what is to be wired: what the lab file describes, and what was made through the VPC API.

    Subnets that existing bridges carry have hosts of their own, and are left out.
    """
    subnets, nics = await store.read(lambda tx: (tx.subnets(), tx.nics()))
    fabric = with_made_networks(labs.fabric(lab), subnets, nics)
    ours = tuple(subnet for subnet in fabric.subnets if subnet.attachment.subnet_id not in bridged)
    return replace(fabric, subnets=ours)
