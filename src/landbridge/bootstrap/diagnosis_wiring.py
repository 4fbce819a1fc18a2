"""Give health and traces their eyes: who probes backends, and who looks into the kernel.

The memory data plane has neither: health is unknown there, and a trace says what should be and no more.
"""

from dataclasses import dataclass

from landbridge.control.health import Prober
from landbridge.control.tracing import Kernel
from landbridge.dataplane.driver import Driver
from landbridge.drivers.linux.confirming import Confirmer
from landbridge.drivers.linux.driver import LinuxDriver
from landbridge.drivers.linux.namespaces import Namespaces
from landbridge.drivers.linux.probing import HubProber


@dataclass(frozen=True, slots=True)
class Eyes:
    """Who looks at a data plane from outside; None: nobody can."""

    prober: Prober | None = None
    kernel: Kernel | None = None

    def close(self) -> None:
        """Let go of sockets."""
        if self.prober is not None:
            self.prober.close()


BLIND = Eyes()


def eyes_of(driver: Driver, namespaces: Namespaces | None, instance: str, region: str) -> Eyes:
    """Return who looks at a driver's data plane."""
    if namespaces is None or not isinstance(driver, LinuxDriver):
        return BLIND
    return Eyes(HubProber(namespaces, instance, region), Confirmer(namespaces, instance, region, driver.engines))
