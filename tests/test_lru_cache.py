"""The latest values are remembered, and those not asked for the longest are forgotten."""

from sdxl_lora.lru_cache import LruCache


def test_what_was_asked_for_last_stays() -> None:
    latest: LruCache[str, int] = LruCache(2)
    assert latest.keep("a", 1) == 1
    latest.keep("b", 2)
    assert latest.find("a") == 1
    latest.keep("c", 3)
    assert [latest.find(key) for key in "abc"] == [1, None, 3]


def test_a_value_kept_again_is_the_latest() -> None:
    latest: LruCache[str, int] = LruCache(2)
    for key, value in (("a", 1), ("b", 2), ("a", 3), ("c", 4)):
        latest.keep(key, value)
    assert [latest.find(key) for key in "abc"] == [3, None, 4]


def test_values_share_the_room_by_their_size() -> None:
    latest: LruCache[str, bytes] = LruCache(10, size=len)
    for key, size in (("a", 4), ("b", 4), ("c", 2), ("d", 3)):
        latest.keep(key, bytes(size))
    assert [key for key in "abcd" if latest.find(key) is not None] == ["b", "c", "d"]
    latest.keep("b", bytes(1))  # what is kept again gives its room back first
    latest.keep("e", bytes(4))
    assert len(latest) == 4


def test_the_latest_value_is_kept_however_large() -> None:
    latest: LruCache[str, bytes] = LruCache(10, size=len)
    latest.keep("a", bytes(4))
    latest.keep("b", bytes(11))
    assert [latest.find(key) is not None for key in "ab"] == [False, True]
    latest.keep("c", bytes(4))
    assert [latest.find(key) is not None for key in "bc"] == [False, True]
