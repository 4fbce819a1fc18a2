from collections.abc import Collection, Mapping

from landbridge.drivers.envoy.listeners import ProxyListener
from landbridge.drivers.envoy.versions import Versions, write_versions
from landbridge.drivers.envoy.world import BATCH_SIZE, World
from landbridge.drivers.envoy.xds import ResourceType
from tests.unit.drivers.envoy.proxied import listener

CLUSTER, LISTENER = ResourceType


def versions(one: ProxyListener) -> Versions:
    return write_versions(one, "form", "form")


def named(number: int, **changes: object) -> ProxyListener:
    return listener(endpoint_id=f"endpoint-{number}", **changes)


class Envoy:
    """Takes deliveries as Envoy does, and refuses listeners of some names."""

    def __init__(self, world: World, bad: Collection[str] = ()) -> None:
        self.world = world
        self.bad = set(bad)
        self.has: dict[ResourceType, dict[str, str]] = {CLUSTER: {}, LISTENER: {}}
        self.acknowledged: dict[ResourceType, dict[str, str]] = {CLUSTER: {}, LISTENER: {}}
        self.log: list[tuple[ResourceType, tuple[str, ...], tuple[str, ...]]] = []

    def connect(self) -> None:
        self.world.disconnect()
        self.world.subscribe(CLUSTER, self.acknowledged[CLUSTER])
        self.world.subscribe(LISTENER, self.acknowledged[LISTENER])
        self.take_all()

    def take_all(self) -> None:
        while (delivery := self.world.next_delivery()) is not None:
            kind = delivery.resource_type
            self.log.append((kind, tuple(delivery.changed), delivery.removed))
            taken = {
                name: _version(kind, one)
                for name, one in delivery.changed.items()
                if kind is CLUSTER or name not in self.bad
            }
            self.has[kind] |= taken
            for name in delivery.removed:
                self.has[kind].pop(name, None)
            is_whole = len(taken) == len(delivery.changed)
            if is_whole:
                self.acknowledged[kind] |= taken
                for name in delivery.removed:
                    self.acknowledged[kind].pop(name, None)
            assert self.world.answer(delivery.nonce, None if is_whole else "cannot bind")
            # What Envoy must never see: a listener without its cluster.
            assert self.has[LISTENER].keys() <= self.has[CLUSTER].keys()


def _version(kind: ResourceType, one: ProxyListener) -> str:
    return versions(one).cluster if kind is CLUSTER else versions(one).listener


def whole(*wanted: ProxyListener) -> Mapping[ResourceType, dict[str, str]]:
    return {kind: {one.name: _version(kind, one) for one in wanted} for kind in (CLUSTER, LISTENER)}


def test_an_envoy_that_has_nothing_hears_so_at_once_since_it_waits_for_it():
    world = World(versions)
    world.subscribe(CLUSTER, {})

    first = world.next_delivery()

    assert first is not None
    assert (first.resource_type, first.changed, first.removed) == (CLUSTER, {}, ())
    assert world.next_delivery() is None


def test_a_cluster_comes_before_its_listener_and_goes_after_it():
    world, one = World(versions), named(1)
    envoy = Envoy(world)
    envoy.connect()
    envoy.log.clear()

    world.want(one)
    envoy.take_all()
    world.forget(one.name)
    envoy.take_all()

    assert envoy.log == [
        (CLUSTER, (one.name,), ()),
        (LISTENER, (one.name,), ()),
        (LISTENER, (), (one.name,)),
        (CLUSTER, (), (one.name,)),
    ]


def test_a_listener_is_done_when_both_its_parts_are_confirmed():
    world, one = World(versions), named(1)
    world.want(one)
    assert not world.is_done(one.name)

    Envoy(world).connect()

    assert world.is_done(one.name)


def test_what_is_refused_fails_alone_among_many():
    world, many = World(versions), [named(number) for number in range(50)]
    bad = {many[7].name, many[8].name, many[41].name}
    envoy = Envoy(world, bad)
    for one in many:
        world.want(one)

    envoy.connect()

    assert {one.name for one in many if world.refusal(one.name) == "cannot bind"} == bad
    assert all(world.is_done(one.name) for one in many if one.name not in bad)


def test_a_refused_listener_is_not_sent_again_until_it_is_wanted_again():
    world, one = World(versions), named(1)
    envoy = Envoy(world, {one.name})
    world.want(one)
    envoy.connect()
    envoy.log.clear()
    envoy.bad.clear()

    envoy.take_all()
    assert envoy.log == []
    world.want(one)
    envoy.take_all()

    assert world.is_done(one.name)
    assert world.refusal(one.name) is None


def test_nothing_is_left_of_a_batch_that_was_refused_and_then_forgotten():
    world, many = World(versions), [named(number) for number in range(3)]
    envoy = Envoy(world, {many[0].name})
    envoy.connect()
    for one in many:
        world.want(one)
    # The clusters, and then the listeners in one: Envoy has taken two of three, and says that it refuses.
    for refusal in (None, "cannot bind"):
        delivery = world.next_delivery()
        assert delivery is not None
        for name, one in delivery.changed.items():
            if refusal is None or name not in envoy.bad:
                envoy.has[delivery.resource_type][name] = _version(delivery.resource_type, one)
        world.answer(delivery.nonce, refusal)

    for one in many:
        world.forget(one.name)
    envoy.take_all()

    assert envoy.has == {CLUSTER: {}, LISTENER: {}}


def test_an_envoy_that_comes_back_is_told_only_what_differs():
    world = World(versions)
    same, changed, gone, new = (named(number) for number in range(4))
    envoy = Envoy(world)
    for one in (same, changed, gone):
        world.want(one)
    envoy.connect()
    world.disconnect()
    world.want(named(1, server_port=9))
    world.forget(gone.name)
    world.want(new)
    envoy.log.clear()

    envoy.connect()

    assert envoy.log == [
        (LISTENER, (), (gone.name,)),
        (CLUSTER, (changed.name, new.name), ()),
        (LISTENER, (new.name,), ()),
        (CLUSTER, (), (gone.name,)),
    ]


def test_an_envoy_that_died_is_told_everything():
    world, many = World(versions), [named(number) for number in range(5)]
    for one in many:
        world.want(one)
    Envoy(world).connect()

    fresh = Envoy(world)
    fresh.connect()

    assert fresh.has == whole(*many)


def test_a_world_that_knows_nothing_wants_what_envoy_has():
    former, one = World(versions), named(1)
    former.want(one)
    envoy = Envoy(former)
    envoy.connect()
    envoy.world, envoy.log = World(versions), []

    envoy.connect()

    assert envoy.world.wanted == {one.name: one}
    assert envoy.log == []


def test_what_envoy_has_and_nobody_can_read_goes():
    world = World(versions)
    envoy = Envoy(world)
    # A listener of another making, and a cluster whose listener never came.
    envoy.acknowledged = {CLUSTER: {"a:1": "1", "b:2": "1"}, LISTENER: {"a:1": "1"}}
    envoy.has = {kind: dict(has) for kind, has in envoy.acknowledged.items()}

    envoy.connect()

    assert envoy.has == {CLUSTER: {}, LISTENER: {}}


def test_what_was_changed_before_envoy_came_counts_more_than_what_it_has():
    former = World(versions)
    kept, changed, gone = (named(number) for number in range(3))
    for one in (kept, changed, gone):
        former.want(one)
    envoy = Envoy(former)
    envoy.connect()
    world = envoy.world = World(versions)
    world.want(named(1, server_port=9))
    world.forget(gone.name)

    envoy.connect()

    assert envoy.has == whole(kept, named(1, server_port=9))


def test_nothing_is_sent_before_an_envoy_that_has_clusters_says_which_listeners_it_has():
    world, one = World(versions), named(1)
    world.want(named(2))
    world.subscribe(CLUSTER, whole(one)[CLUSTER])

    assert world.next_delivery() is None


def test_forgetting_something_does_not_keep_a_new_envoy_waiting():
    world = World(versions)
    world.subscribe(CLUSTER, {})
    world.forget("endpoint-1:80")

    assert world.next_delivery() is not None


def test_an_answer_to_something_else_changes_nothing():
    world, one = World(versions), named(1)
    world.want(one)
    world.subscribe(CLUSTER, {})
    delivery = world.next_delivery()
    assert delivery is not None

    assert not world.answer(delivery.nonce + "0", None)
    assert world.answer(delivery.nonce, None)
    assert not world.answer(delivery.nonce, None)


def test_a_wish_that_changes_while_envoy_answers_is_sent_after_the_answer():
    world, one = World(versions), named(1)
    envoy = Envoy(world)
    world.want(one)
    world.subscribe(CLUSTER, {})
    world.subscribe(LISTENER, {})
    delivery = world.next_delivery()
    assert delivery is not None
    world.want(named(1, server_port=9))

    world.answer(delivery.nonce, None)
    envoy.take_all()

    assert envoy.has == whole(named(1, server_port=9))


def test_thousands_are_sent_in_batches_and_the_first_need_not_wait_for_the_last():
    world = World(versions)
    for number in range(BATCH_SIZE + 1):
        world.want(named(number))
    envoy = Envoy(world)

    envoy.connect()

    assert [(kind, len(changed)) for kind, changed, _ in envoy.log] == [
        (CLUSTER, BATCH_SIZE),
        (LISTENER, BATCH_SIZE),
        (CLUSTER, 1),
        (LISTENER, 1),
    ]
