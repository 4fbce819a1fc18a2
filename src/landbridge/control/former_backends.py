"""Let go of the former places of services when what was there is gone (see `domain.moving`)."""

from dataclasses import replace
from datetime import datetime

from landbridge.control.protocols import WriteTransaction
from landbridge.domain.moving import without_nic
from landbridge.domain.resources import Nic


def forget_former_places(tx: WriteTransaction, nic: Nic, now: datetime | None) -> bool:
    """Take a NIC that goes out of services' former backends; return whether the data plane has something to do.

    Connections that were opened there end. `now` is when the services changed; None: that is not known.
    """
    has_changed = False
    for service in tx.moved_services(nic.vpc_id):
        after = without_nic(service, nic.id)
        if after is not service and service.delete_requested_at is None:
            tx.update_service(replace(after, generation=service.generation + 1, updated_at=now or service.updated_at))
            has_changed = True
    return has_changed
