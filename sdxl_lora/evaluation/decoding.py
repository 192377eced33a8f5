"""Decodes every picture once for all that needs it, ahead of time and beside the computation.

While the main thread computes, others decode and resize what comes next; PIL and zlib let go of Python's lock for
that. References are met again with every new run: the sizes they are needed at go into the cache, so that a second
run does not open them. Knows nothing of metrics.
"""

import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from sdxl_lora import config
from sdxl_lora.evaluation.cache import Array, FeatureCache
from sdxl_lora.evaluation.pictures import Moved, Picture, Source

MOST_PICTURES = 72  # kept in memory: what is measured and what comes next
MOST_BYTES = 1 << 30  # of pixels kept; beyond, pictures are decoded when they are needed, perhaps again
_WORKERS = max(1, min(4, config.cores() - 1))


@dataclass
class Need:
    """One picture that will be asked for, and the sizes (px) it will be asked for at."""

    source: Source
    side: int | None = None  # it is needed at this size only
    square: int | None = None  # if it is square, this size is taken as well


@dataclass
class _Job:
    source: Source
    sides: set[int] = field(default_factory=set)
    squares: set[int] = field(default_factory=set)


class Decoder:
    """A context manager: leaving it ends its threads."""

    def __init__(self, cache: FeatureCache, references: Collection[str]) -> None:
        """`references`: identities of pictures whose sizes are worth keeping in the cache."""
        self._cache = cache
        self._references = references
        self._pictures: OrderedDict[str, Picture] = OrderedDict()
        self._bytes = 0  # of `_pictures`
        self._fresh: dict[str, Array] = {}  # not in the cache yet
        self._coming: dict[str, Future[Picture | None]] = {}
        self._ahead = 0  # bytes of `_coming`
        self._lock = threading.Lock()  # of `_ahead`
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="decode")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def expect(self, needs: Iterable[Need]) -> None:
        """Starts to decode what will be asked for next. An unreadable picture is reported when it is asked for."""
        needs = list(needs)
        self._recall({self._key(n.source, n.side) for n in needs if n.side and self._is_reference(n.source)})
        jobs: dict[str, _Job] = {}
        for need in needs:
            source = need.source
            if need.side and self._is_reference(source) and self._key(source, need.side) in self._pictures:
                continue
            if isinstance(source, Moved):  # the original comes first: the moved one is made of it
                jobs.setdefault(source.original.identity, _Job(source.original))
            job = jobs.setdefault(source.identity, _Job(source))
            job.sides |= {need.side} if need.side else set()
            job.squares |= {need.square} if need.square else set()
        for identity, job in jobs.items():
            if identity not in self._pictures and identity not in self._coming:
                self._coming[identity] = self._pool.submit(self._prepare, job, self._original(job.source))

    def at(self, source: Source, side: int | None) -> Picture:
        """The picture; if `side` is given, perhaps only as large as that."""
        if side is None or not self._is_reference(source):
            return self.decode(source)
        key = self._key(source, side)
        if source.identity not in self._coming and source.identity not in self._pictures:
            self._recall({key})
        if key in self._pictures:
            return self._pictures[key]
        small = self._fresh[key] = self.decode(source).resized(side)
        return self._keep(key, Picture(small))

    def decode(self, source: Source) -> Picture:
        """The picture at its own size. Raises `ImageError`."""
        identity = source.identity
        if identity in self._pictures:
            self._pictures.move_to_end(identity)
            return self._pictures[identity]
        picture = self._arrived(identity)
        if picture is None:
            picture = (
                source.applied_to(self.decode(source.original))
                if isinstance(source, Moved)
                else source.decode()
            )
        return self._keep(identity, picture)

    def take_fresh(self) -> dict[str, Array]:
        """Pixels of references that the cache does not have yet, by key; they count as stored from now on."""
        fresh, self._fresh = self._fresh, {}
        return fresh

    def _prepare(self, job: _Job, original: "Picture | Future[Picture | None] | None") -> Picture | None:
        """In a thread of the pool; None: too much is in memory already."""
        with self._lock:
            if self._ahead + self._bytes > MOST_BYTES:
                return None
        if isinstance(job.source, Moved):
            # submitted before this one, so it is done or running: waiting for it cannot block the pool
            whole = original.result() if isinstance(original, Future) else original
            if whole is None:
                return None
            picture = job.source.applied_to(whole)
        else:
            picture = job.source.decode()
        width, height = picture.size
        for side in job.sides | (job.squares if width == height else set()):
            picture.resized(side)
        with self._lock:
            self._ahead += picture.pixels.nbytes
        return picture

    def _original(self, source: Source) -> "Picture | Future[Picture | None] | None":
        if not isinstance(source, Moved):
            return None
        identity = source.original.identity
        return self._pictures.get(identity) or self._coming.get(identity)

    def _arrived(self, identity: str) -> Picture | None:
        future = self._coming.pop(identity, None)
        picture = None if future is None else future.result()
        if picture is not None:
            with self._lock:
                self._ahead -= picture.pixels.nbytes
        return picture

    def _recall(self, keys: Iterable[str]) -> None:
        wanted = [key for key in keys if key not in self._pictures]
        for key, pixels in (self._cache.get(wanted) if wanted else {}).items():
            self._keep(key, Picture(pixels))

    def _keep(self, key: str, picture: Picture) -> Picture:
        self._pictures[key] = picture
        self._bytes += picture.pixels.nbytes
        while len(self._pictures) > 1 and (len(self._pictures) > MOST_PICTURES or self._bytes > MOST_BYTES):
            self._bytes -= self._pictures.popitem(last=False)[1].pixels.nbytes
        return picture

    def _is_reference(self, source: Source) -> bool:
        return source.identity in self._references

    @staticmethod
    def _key(source: Source, side: int | None) -> str:
        return f"pixels-{side}|{source.identity}"
