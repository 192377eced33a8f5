"""What was measured once is found again."""

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
