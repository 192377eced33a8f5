"""What was measured once is found again."""

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from sdxl_lora.errors import StorageError
from sdxl_lora.evaluation.cache import FeatureCache


def test_arrays_come_back_exactly_in_another_process_too(tmp_path: Path) -> None:
    array = np.random.RandomState(0).standard_normal(7).astype(np.float32)
    first = FeatureCache(tmp_path / "deep" / "cache.sqlite")
    first.put({"a": array, "b": np.array(2.5)})
    first.close()
    found = FeatureCache(tmp_path / "deep" / "cache.sqlite").get(["a", "b", "c"])
    assert set(found) == {"a", "b"}
    assert found["a"].dtype == np.float32
    assert np.array_equal(found["a"], array)
    assert found["b"] == 2.5


def test_more_keys_than_one_query_may_hold() -> None:
    cache = FeatureCache(None)
    cache.put({str(i): np.array(i) for i in range(1_203)})
    assert len(cache.get(str(i) for i in range(1_203))) == 1_203


def test_a_damaged_cache_says_to_delete_it(tmp_path: Path) -> None:
    (tmp_path / "cache.sqlite").write_bytes(b"this is no database" * 100)
    with pytest.raises(StorageError, match="delete it"):
        FeatureCache(tmp_path / "cache.sqlite")


@pytest.mark.parametrize(
    "array",
    [np.zeros((0, 3)), np.array("text"), np.asfortranarray(np.arange(6).reshape(2, 3)), np.array(np.nan)],
)
def test_every_kind_of_array_comes_back_as_it_was(array: np.ndarray) -> None:
    cache = FeatureCache(None)
    cache.put({"a": array})
    found = cache.get(["a"])["a"]
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    assert found.tobytes() == array.tobytes()


def test_a_cut_array_says_to_delete_the_cache(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path / "cache.sqlite")
    cache.put({"a": np.arange(100)})
    with sqlite3.connect(tmp_path / "cache.sqlite") as connection:
        connection.execute("UPDATE features SET value = substr(value, 1, 200)")
    connection.close()
    with pytest.raises(StorageError, match="delete it"):
        cache.get(["a"])
