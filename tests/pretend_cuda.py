"""A pretended CUDA device on a CPU build of torch: what is on the processor is real, what is on the device has a shape,
a type and bytes, but no numbers.

Operations that mix devices or types fail as on a real one. Counted are launches, waits of the processor for the device
(with the thread and the place in the source), and the bytes that live there. What it computes means nothing, so that
programs must not depend on numbers.

It replaces functions of torch for the whole process and is therefore used in one of its own, in which
`pretend_guard.load` came before torch: `pretended()` once, before models are built.
"""

import contextlib
import threading
import traceback
import types
import weakref
from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from sdxl_lora.models import device as drivers

TOTAL = 80 * 10**9  # bytes that the device has
_BLOCK = 512  # bytes; the caching allocator's smallest
_OURS = (
    "sdxl_lora/",
    "diffusers/",
    "peft/",
    "transformers/",
    "accelerate/",
    "torch/optim",
    "clip_grad",
    "grad_scaler",
)
_NO_KERNEL = frozenset(
    """
    size stride is_contiguous dim numel storage_offset layout detach view
    expand permute t transpose as_strided slice select unsqueeze squeeze
    alias split split_with_sizes chunk unbind _unsafe_view _reshape_alias empty empty_like
    empty_strided new_empty new_empty_strided _fused_sdp_choice lift_fresh diagonal unfold set_ record_stream
    device
    """.split()  # noqa: SIM905  a list of 37 lines
)
aten = torch.ops.aten


class Device(TorchDispatchMode):
    """The device, and what it counted since `reset`."""

    def __init__(self) -> None:
        super().__init__()
        self._fake = FakeTensorMode(allow_non_fake_inputs=True)
        self._lock = threading.RLock()
        self._storages: dict[int, Any] = {}
        self.live = self.peak = self.launches = 0
        self.waits: Counter[str] = Counter()  # "thread: place < place" -> how often

    def reset(self) -> None:
        self.launches, self.peak = 0, self.live
        self.waits.clear()

    def __enter__(self) -> "Device":
        self._fake.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._fake.__exit__(*error)

    def __torch_dispatch__(self, func: Any, kinds: Any, args: Any = (), kwargs: Any = None) -> Any:
        with self._lock:  # torch's mode keeps its state for one thread
            return self._dispatched(func, args, kwargs or {})

    def _dispatched(self, func: Any, args: Any, kwargs: Any) -> Any:
        flat = tree_leaves((args, kwargs))
        fake = [value for value in flat if isinstance(value, FakeTensor)]
        wanted = any(isinstance(value, torch.device) and value.type == "cuda" for value in flat)
        if not fake and not wanted:
            with unset_fake_temporarily():
                return func(*args, **kwargs)
        known = self._without_numbers(func, args)
        if known is not None:
            return known[0]
        if any(isinstance(value, Tensor) and not isinstance(value, FakeTensor) for value in flat):
            args, kwargs = tree_map(self._lifted, (args, kwargs))
        answer = func(*args, **kwargs)
        self._count(func, args, fake, answer)
        return tree_map(_real, answer)

    def _without_numbers(self, func: Any, args: Any) -> tuple[Any] | None:
        """What needs the device's numbers: a wait, and an answer that goes on."""
        if func is aten._local_scalar_dense.default:
            self._wait()
            kind = args[0].dtype
            return (0.0 if kind.is_floating_point else True if kind == torch.bool else 1,)
        if func in (aten.is_nonzero.default, aten.equal.default):
            self._wait()
            return (True,)
        if func is aten._fused_sdp_choice.default:
            return (
                1 if args[0].dtype in (torch.bfloat16, torch.float16) and args[0].shape[-1] <= 256 else 2,
            )
        if func is aten.copy_.default and not isinstance(args[0], FakeTensor):  # to the processor
            self._wait()
            return (args[0],)
        if func in (aten.index.Tensor, aten.index_put_.default):
            masks = [i for i in tree_leaves(args[1]) if isinstance(i, Tensor) and i.dtype == torch.bool]
            if masks:  # as if all rows were meant
                self._wait()
                return (args[0] if func is aten.index_put_.default else args[0].clone(),)
        return None

    def _count(self, func: Any, args: Any, fake: list[FakeTensor], answer: Any) -> None:
        made = [value for value in tree_leaves(answer) if isinstance(value, Tensor)]
        name = func._schema.name.split("::")[1]
        if name == "nonzero":
            self._wait()
        if name == "_to_copy" and (args[0].device.type, answer.device.type) == ("cuda", "cpu"):
            self._wait()
        there = any(tensor.device.type == "cuda" for tensor in (*made, *fake))
        if there and name not in _NO_KERNEL and not func.is_view:
            self.launches += 1
        for tensor in (*made, *fake):
            self._track(tensor)

    def _wait(self) -> None:
        frames = [
            f"{frame.filename.split('site-packages/')[-1]}:{frame.name}"
            for frame in traceback.extract_stack()
            if any(part in frame.filename for part in _OURS)
        ]
        self.waits[f"{threading.current_thread().name}: {' < '.join(reversed(frames[-3:]))}"] += 1

    def _track(self, tensor: Tensor) -> None:
        if not isinstance(tensor, FakeTensor) or tensor.device.type != "cuda":
            return
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._storages:
            return
        size = -(-storage.nbytes() // _BLOCK) * _BLOCK

        def gone(_: Any) -> None:
            self.live -= size
            self._storages.pop(key, None)

        self._storages[key] = weakref.ref(storage, gone)
        self.live += size
        self.peak = max(self.peak, self.live)

    def _lifted(self, value: Any) -> Any:
        if not isinstance(value, Tensor) or isinstance(value, FakeTensor):
            return value
        with unset_fake_temporarily():
            plain = value.detach()
        return self._fake.from_tensor(plain)


def _real(value: Any) -> Any:
    """What came back to the processor has numbers again."""
    if not isinstance(value, FakeTensor) or value.device.type != "cpu":
        return value
    with unset_fake_temporarily():
        return torch.full(tuple(value.shape), 0.5 if value.dtype.is_floating_point else 1, dtype=value.dtype)


@contextlib.contextmanager
def pretended() -> Iterator[Device]:
    """Inside, also in every thread that begins there, torch has one CUDA device. Once in a process."""
    torch._C._set_only_lift_cpu_tensors(True)
    device = Device()
    _replace_cuda(device)
    nn.Module._apply = _apply  # type: ignore[method-assign]
    torch.nn.functional.scaled_dot_product_attention = _attention
    torch.save = _save  # type: ignore[assignment]
    torch.Tensor.pin_memory = lambda tensor, *_: tensor  # type: ignore[method-assign]
    run = threading.Thread.run

    def run_there(thread: threading.Thread) -> None:
        with device:
            run(thread)

    threading.Thread.run = run_there  # type: ignore[method-assign,assignment]
    with device:
        yield device


def _replace_cuda(device: Device) -> None:
    import torch.cuda.amp.common as amp

    facts = types.SimpleNamespace(
        major=9, minor=0, name="pretended", multi_processor_count=132, total_memory=TOTAL
    )
    replaced: dict[str, Any] = {
        "is_available": True,
        "device_count": 1,
        "current_device": 0,
        "_lazy_init": None,
        "is_initialized": True,
        "set_device": None,
        "synchronize": None,
        "empty_cache": None,
        "reset_peak_memory_stats": None,
        "is_bf16_supported": True,
        "get_device_capability": (9, 0),
        "get_device_name": "pretended",
        "get_device_properties": facts,
        "manual_seed": None,
        "manual_seed_all": None,
        "get_rng_state": torch.zeros(16, dtype=torch.uint8),
        "set_rng_state": None,
    }
    for name, answer in replaced.items():
        setattr(torch.cuda, name, lambda *_, answer=answer, **__: answer)
    torch.cuda.mem_get_info = lambda *_: (TOTAL - device.live, TOTAL)
    torch.cuda.memory_allocated = torch.cuda.memory_reserved = lambda *_: device.live
    torch.cuda.max_memory_allocated = lambda *_: device.peak
    drivers.may_have_gpu = lambda: True
    amp.amp_definitely_not_available = lambda: False


def _apply(self: Any, move: Any, recurse: bool = True) -> Any:
    """As torch's own, which cannot put a tensor without numbers into the place of one that has them."""
    if recurse:
        for module in self.children():
            module._apply(move)
    for name, parameter in self._parameters.items():
        if parameter is None:
            continue
        with torch.no_grad():
            moved = move(parameter)
        if moved is not parameter:
            self._parameters[name] = nn.Parameter(moved.detach(), requires_grad=parameter.requires_grad)
    for name, buffer in self._buffers.items():
        if buffer is not None:
            self._buffers[name] = move(buffer)
    return self


_plain_attention = torch.nn.functional.scaled_dot_product_attention
_plain_save = torch.save


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """The fused kernel that the device would choose; it keeps no scores."""
    if not isinstance(query, FakeTensor) or query.device.type != "cuda":
        return _plain_attention(
            query, key, value, attn_mask=attn_mask, dropout_p=dropout_p, is_causal=is_causal, scale=scale
        )
    if torch.is_autocast_enabled("cuda"):
        half = torch.get_autocast_dtype("cuda")
        query, key, value = (t.to(half) if t.dtype == torch.float32 else t for t in (query, key, value))
    if attn_mask is None and query.dtype in (torch.bfloat16, torch.float16) and query.shape[-1] <= 256:
        flash = aten._scaled_dot_product_flash_attention
        found: Tensor = flash(query, key, value, dropout_p, is_causal, False, scale=scale)[0]
        return found
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        attn_mask = torch.zeros_like(attn_mask, dtype=query.dtype).masked_fill(~attn_mask, float("-inf"))
    if attn_mask is not None:
        attn_mask = attn_mask.expand(query.shape[0], query.shape[1], query.shape[2], key.shape[2])
    needed = torch.is_grad_enabled() and any(t.requires_grad for t in (query, key, value))
    efficient = aten._scaled_dot_product_efficient_attention
    answer: Tensor = efficient(query, key, value, attn_mask, needed, dropout_p, is_causal, scale=scale)[0]
    return answer


def _save(values: Any, file: Any, *arguments: Any, **named: Any) -> None:
    """Of tensors without numbers zeros are saved."""
    plain = tree_map(
        lambda v: torch.zeros(v.shape, dtype=v.dtype) if isinstance(v, FakeTensor) else v, values
    )
    with unset_fake_temporarily():
        _plain_save(plain, file, *arguments, **named)
