"""Other instances' namespaces come and go on the same machine."""

import threading

from landbridge.drivers.linux import ownership
from tests.integration.packets.ground import Ground


def test_what_is_ours_is_found_while_others_come_and_go(ground: Ground):
    namespaces, mine = ground.namespaces, "a" * 8
    names = [f"lb.{ground.region}-neighbour.{number}" for number in range(3)]
    is_over = threading.Event()

    def come_and_go(name: str) -> None:
        while not is_over.is_set():
            ownership.create(namespaces, name, "b" * 8, lambda: None)
            namespaces.remove(name)

    neighbours = [threading.Thread(target=come_and_go, args=(name,)) for name in names[1:]]
    ownership.create(namespaces, names[0], mine, lambda: None)
    for neighbour in neighbours:
        neighbour.start()
    try:
        found = [ownership.all_of(namespaces, mine) for _ in range(60)]
    finally:
        is_over.set()
        for neighbour in neighbours:
            neighbour.join()
        namespaces.remove(names[0])

    assert found == [[names[0]]] * 60
    assert not ownership.is_ours(namespaces, names[1], mine)
