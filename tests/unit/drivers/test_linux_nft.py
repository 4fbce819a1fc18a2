"""Which contexts of libnftables are kept."""

from dataclasses import dataclass

from landbridge.drivers.linux.nft import KeptContexts


@dataclass(eq=False)
class User:
    contexts: KeptContexts
    is_open: bool = False

    def use(self) -> None:
        self.contexts.use(self)
        self.is_open = True

    def close(self) -> None:
        self.contexts.forget(self)
        self.is_open = False


def test_who_used_a_context_longest_ago_loses_it_to_one_too_many():
    contexts = KeptContexts(most=2)
    first, second, third = (User(contexts) for _ in range(3))
    first.use()
    second.use()
    first.use()

    third.use()

    assert [user.is_open for user in (first, second, third)] == [True, False, True]


def test_who_lets_go_of_a_context_makes_room_for_another():
    contexts = KeptContexts(most=2)
    first, second, third = (User(contexts) for _ in range(3))
    first.use()
    second.use()
    second.close()

    third.use()

    assert [user.is_open for user in (first, second, third)] == [True, False, True]
