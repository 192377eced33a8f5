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
