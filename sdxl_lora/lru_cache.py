"""What was computed last, kept so that it need not be computed again. Knows nothing of what that is."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class LruCache(Generic[K, V]):
    """The values that were kept or found last, as many as there is room for; threads may share it."""

    def __init__(self, room: int, size: Callable[[V], int] = lambda _: 1) -> None:
        """Args:
        room: the sum of the sizes of all values, at most; but the latest is kept, however large.
        size: of a value, in the unit of `room`; by default values are counted.
        """
        self._room = room
        self._size = size
        self._taken = 0
        self._values: OrderedDict[K, V] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._values)

    def find(self, key: K) -> V | None:
        """The value of `key`, None where it is not remembered."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key]

    def keep(self, key: K, value: V) -> V:
        """Remembers `value`, and forgets what was not asked for the longest; returns `value`."""
        with self._lock:
            if key in self._values:
                self._taken -= self._size(self._values.pop(key))
            self._values[key] = value
            self._taken += self._size(value)
            while self._taken > self._room and len(self._values) > 1:
                _, oldest = self._values.popitem(last=False)
                self._taken -= self._size(oldest)
        return value
