"""A stand-in for a GPU, on which nothing is computed and every mistake of devices is an error.

Tensors on torch's `meta` device have no content: whatever asks for it (`.item()`, `.tolist()`, `if
tensor`, rows that a mask chooses, a copy to the host) raises. What torch lets pass there, and not
on a GPU, `OneDevice` refuses.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

META = torch.device("meta")
_SEED = 20_200_611


class DeviceError(AssertionError):
    """What a GPU would refuse, or what the host would wait for."""


def meta_generator() -> torch.Generator:
    """There are none on `meta`: this one counts as such."""
    return torch.Generator("cpu").manual_seed(_SEED)


class OneDevice(TorchDispatchMode):
    """Refuses operations on tensors of two devices, draws from another device's generator, and
    operations that make the host wait for a GPU.
    """

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        given = [*_leaves(args), *_leaves(kwargs)]
        name = func.overloadpacket.__name__
        tensors = [leaf for leaf in given if isinstance(leaf, Tensor)]
        # To move a tensor is what `copy_` is for; a single number of the CPU goes to a GPU with the
        # operation itself.
        devices = {t.device for t in tensors if not (t.dim() == 0 and t.device.type == "cpu")}
        if len(devices) > 1 and name != "copy_":
            raise DeviceError(f"{name} of tensors on {' and '.join(sorted(map(str, devices)))}")
        if META in devices and _waits(name, args):
            raise DeviceError(f"the host waits for {name}")
        generator = kwargs.get("generator")
        if generator is not None:
            of = META if generator.initial_seed() == _SEED else generator.device
            drawn = tensors[0].device if tensors else torch.device(kwargs.get("device") or "cpu")
            if of != drawn:
                raise DeviceError(f"{name}: generator of {of}, tensor on {drawn}")
            if drawn == META:
                kwargs = {**kwargs, "generator": None}
        return func(*args, **kwargs)


def _waits(name: str, args: tuple[Any, ...]) -> bool:
    """Whether the host waits for an operation that `meta` would let pass."""
    if name == "multinomial":  # its checks, of a single draw or one without replacement
        return args[1] == 1 or len(args) < 3 or not args[2]
    if name in ("index", "index_put", "index_put_"):
        return any(isinstance(rows, Tensor) and rows.dtype == torch.bool for rows in args[1])
    return name in ("_linalg_check_errors", "nonzero", "masked_select", "equal")


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, (list, tuple)):
        for part in value:
            yield from _leaves(part)
    elif isinstance(value, dict):
        yield from _leaves(list(value.values()))
    else:
        yield value
