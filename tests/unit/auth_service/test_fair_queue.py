"""The fair queue: whose turn it is, who is shed, and who never waits for what others pile up."""

import random
from collections import Counter

import pytest

from auth_service.passwords.fair_queue import NEW_PER_OLD, FairQueue

Queue = FairQueue[str]


def queue_of(*items: str) -> Queue:
    """A queue of items such as ``a/1``: the network ``a`` and its account ``1``."""
    queue = Queue()
    for item in items:
        queue.push(item.split("/")[:2], item)
    return queue


def drain(queue: Queue) -> list[str]:
    return [queue.pop() for _ in range(queue.size)]


def test_one_account_is_served_in_the_order_in_which_it_came() -> None:
    queue = Queue()
    for item in ("first", "second", "third"):
        queue.push(("a", "1"), item)

    assert drain(queue) == ["first", "second", "third"]


def test_networks_take_turns() -> None:
    assert drain(queue_of(*["a/1"] * 3, *["b/1"] * 3, "c/1")) == [
        "a/1", "b/1", "c/1", "a/1", "b/1", "a/1", "b/1",
    ]  # fmt: skip


def test_accounts_of_a_network_take_turns() -> None:
    assert drain(queue_of(*["a/1"] * 3, "a/2", "a/3")) == ["a/1", "a/2", "a/3", "a/1", "a/1"]


def test_a_network_that_comes_anew_goes_before_those_that_have_more_waiting() -> None:
    queue = queue_of(*["a/1"] * 50, *["b/1"] * 50, *["c/1"] * 50)
    for _ in range(10):
        queue.pop()

    queue.push(("owner", "1"), "owner")

    assert queue.pop() == "owner"


def test_an_account_that_comes_anew_goes_before_its_neighbours_backlog() -> None:
    queue = queue_of(*["a/1"] * 50)
    queue.pop()

    queue.push(("a", "owner"), "owner")

    assert queue.pop() == "owner"


def test_many_new_networks_do_not_starve_one_with_a_backlog() -> None:
    queue = queue_of(*["a/1"] * 100)
    queue.pop()
    served = Counter[str]()

    for number in range(100):
        queue.push((f"new {number}", "1"), "new")
        served[queue.pop()] += 1

    assert served["a/1"] == 100 // (NEW_PER_OLD + 1)


def test_a_network_that_always_has_one_item_waiting_is_new_only_once() -> None:
    queue = queue_of(*["a/1"] * 100)
    queue.pop()
    served = Counter[str]()

    for _ in range(100):
        queue.push(("b", "1"), "b/1")
        served[queue.pop()] += 1

    assert abs(served["a/1"] - served["b/1"]) <= 1


def test_the_newest_of_the_longest_queue_is_shed() -> None:
    queue = queue_of("a/1", "b/1", "b/2", "c/1")
    queue.push(("b", "1"), "b/1 again")

    assert queue.pop_newest_of_longest() == "b/1 again"
    assert sorted(drain(queue)) == ["a/1", "b/1", "b/2", "c/1"]


def test_of_equal_queues_the_one_that_came_last_is_shed() -> None:
    assert queue_of("a/1", "b/1", "c/1").pop_newest_of_longest() == "c/1"


def test_an_item_can_leave_and_leaves_only_once() -> None:
    queue = queue_of("a/1", "b/1")

    assert queue.discard(("a", "1"), "a/1")
    assert not queue.discard(("a", "1"), "a/1")
    assert not queue.discard(("unknown", "1"), "a/1")
    assert (queue.size, drain(queue)) == (1, ["b/1"])


def test_an_empty_queue_has_no_turn() -> None:
    queue = queue_of("a/1")
    queue.discard(("a", "1"), "a/1")

    with pytest.raises(IndexError):
        queue.pop()


def test_each_item_leaves_once_and_no_network_is_remembered_for_ever() -> None:
    chance, queue, inside = random.Random(1), Queue(), Counter[str]()
    for number in range(20_000):
        item = f"{chance.randrange(1_000)}/{chance.randrange(3)}"
        queue.push(item.split("/"), item)
        inside[item] += 1
        if number % 3 == 0:
            left = chance.choice(sorted(inside))
            assert queue.discard(left.split("/"), left)
        else:
            left = queue.pop_newest_of_longest() if queue.size > 80 else queue.pop()
        inside[left] -= 1
        inside += Counter()
        assert queue.size == inside.total()

    assert len(queue._queues) < 1_000
    drain(queue)
    queue.push(("last", "1"), "last")
    assert queue.pop() == "last"
