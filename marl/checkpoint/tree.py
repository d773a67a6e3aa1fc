"""A nested state as JSON beside a table of arrays, and back, to the last bit.

What may stand in a state: dict, list, tuple, array, tensor, numpy scalar, int of any size, float (infinities, NaN and -0.0
included), str, bytes, bool, None, and importable functions and classes (see :mod:`marl.checkpoint.references`). JSON holds the shape of the
tree; arrays stand in the table under the path at which they were found. What plain JSON cannot say is an object with the key ``__marl__``.
"""

from __future__ import annotations

import base64
import importlib
import math
import struct
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marl.config import reference_to
from marl.errors import CheckpointError

TAG = "__marl__"
INLINE_BYTES = 256
_DIGITS_LIMIT = 1 << 4096  # Python refuses to parse decimal integers of more than 4,300 digits

JsonValue = Any


@dataclass
class ArrayTable:
    """Arrays by name. One array (or tensor, by its memory) that stands at two places of a state is kept once.

    Attributes:
        mark_unsaved: mark objects that cannot be saved as ``<unsaved: file:line>`` instead of refusing them. For configurations: whoever
            restores the run gives them again.
    """

    mark_unsaved: bool = False
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    _names: dict[tuple[Any, ...], str] = field(default_factory=dict)
    _alive: list[Any] = field(default_factory=list)  # what was looked at keeps its address while others are compared with it

    def add(self, path: str, array: NDArray[Any], source: Any) -> str:
        """Keep ``array`` under ``path`` (or the name that its memory already has); ``source`` is what the state held."""
        key = _memory_key(array)
        if array.nbytes and key in self._names:
            return self._names[key]
        name, count = path, 2
        while name in self.arrays:
            name, count = f"{path}#{count}", count + 1
        self.arrays[name] = array
        self._names[key] = name
        self._alive.append(source)
        return name


def _memory_key(array: NDArray[Any]) -> tuple[Any, ...]:
    return (array.__array_interface__["data"][0], array.shape, array.strides, array.dtype.str)


def encode(value: Any, table: ArrayTable, path: str = "", *, in_list: bool = False) -> JsonValue:
    """``value`` as JSON; its arrays go to ``table``.

    Raises:
        CheckpointError: something at ``path`` cannot be saved; the path and the type are named.
    """
    if isinstance(value, np.generic):
        return _tagged("scalar", dtype=_plain_dtype(value.dtype, path), data=_base64(value.tobytes()))
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        small = -_DIGITS_LIMIT < value < _DIGITS_LIMIT
        return int(value) if small else _tagged("int", hex=hex(value))
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else _tagged("float", bits=struct.pack("<d", value).hex())
    if isinstance(value, Mapping):
        return _encode_mapping(value, table, path)
    if isinstance(value, list):
        return [encode(one, table, f"{path}/{index}", in_list=True) for index, one in enumerate(value)]
    if isinstance(value, tuple):
        return _tagged("tuple", items=[encode(one, table, f"{path}/{index}", in_list=True) for index, one in enumerate(value)])
    if isinstance(value, np.ndarray):
        return _encode_array(value, table, path, in_list)
    if isinstance(value, (bytes, bytearray)):
        return _tagged("bytes", data=_base64(bytes(value)))
    if _is_tensor(value):
        array, kind = _tensor_to_array(value)
        return _tagged("tensor", name=table.add(path, array, (value, array)), **({"of": kind} if kind else {}))
    if callable(value) or table.mark_unsaved:
        return _tagged("callable", name=reference_to(value))
    raise CheckpointError(
        f"state at {path or 'the top'!r} is a {type(value).__name__}, which a checkpoint cannot hold; expected a dict, list, tuple, array, "
        "tensor, int, float, str, bytes, bool, None or an importable function. Let state_dict() return one of these."
    )


def _encode_mapping(value: Mapping[Any, Any], table: ArrayTable, path: str) -> JsonValue:
    if TAG not in value and all(isinstance(key, str) for key in value):
        return {key: encode(one, table, f"{path}/{key}" if path else key) for key, one in value.items()}
    items = [[encode(key, table, f"{path}/key"), encode(one, table, f"{path}/{key}")] for key, one in value.items()]
    return _tagged("dict", items=items)


def _encode_array(value: NDArray[Any], table: ArrayTable, path: str, in_list: bool) -> JsonValue:
    dtype = value.dtype
    if dtype.hasobject:
        raise CheckpointError(
            f"state at {path!r} is an array of Python objects (dtype {dtype}), which only pickle could save; expected numbers, booleans or "
            "fixed-length strings. Turn it into a list, or into one array per field."
        )
    if in_list and value.nbytes <= INLINE_BYTES and dtype.names is None:  # logs of actions: thousands of arrays of a few bytes
        return _tagged("small", dtype=dtype.str, shape=list(value.shape), data=_base64(value.tobytes()))
    return _tagged("array", name=table.add(path, value, value))


def decode(value: JsonValue, array: Callable[[str], NDArray[Any]], resolve: Callable[[str], Any]) -> Any:
    """The state that :func:`encode` turned into ``value``.

    Args:
        array: name → array, as it was kept in the table.
        resolve: ``module:qualname`` → the object.
    """
    if isinstance(value, list):
        return [decode(one, array, resolve) for one in value]
    if not isinstance(value, dict):
        return value
    kind = value.get(TAG)
    if kind is None:
        return {key: decode(one, array, resolve) for key, one in value.items()}
    if kind == "dict":
        return {_hashable(decode(key, array, resolve)): decode(one, array, resolve) for key, one in value["items"]}
    if kind == "tuple":
        return tuple(decode(one, array, resolve) for one in value["items"])
    if kind == "array":
        return array(value["name"])
    if kind == "tensor":
        return _array_to_tensor(array(value["name"]), value.get("of"))
    if kind == "small":
        return np.frombuffer(base64.b64decode(value["data"]), np.dtype(value["dtype"])).reshape(value["shape"]).copy()
    if kind == "scalar":
        return np.frombuffer(base64.b64decode(value["data"]), np.dtype(value["dtype"]))[0]
    if kind == "int":
        return int(value["hex"], 16)
    if kind == "float":
        return struct.unpack("<d", bytes.fromhex(value["bits"]))[0]
    if kind == "bytes":
        return base64.b64decode(value["data"])
    if kind == "callable":
        return resolve(value["name"])
    raise CheckpointError(f"a checkpoint entry of kind {kind!r} is not known; it was written by a newer marl: install that one.")


def callable_names(value: JsonValue, path: str = "") -> list[tuple[str, str]]:
    """``(path, name)`` of every function and class that decoding ``value`` would resolve."""
    if isinstance(value, list):
        return [found for index, one in enumerate(value) for found in callable_names(one, f"{path}/{index}")]
    if not isinstance(value, dict):
        return []
    if value.get(TAG) == "callable":
        return [(path, value["name"])]
    if value.get(TAG) in ("dict", "tuple"):
        return callable_names(value["items"], path)
    if TAG in value:
        return []
    return [found for key, one in value.items() for found in callable_names(one, f"{path}/{key}" if path else key)]


def _tagged(kind: str, **fields: Any) -> dict[str, Any]:
    return {TAG: kind, **fields}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _hashable(key: Any) -> Any:
    return tuple(_hashable(one) for one in key) if isinstance(key, list) else key


def _plain_dtype(dtype: np.dtype[Any], path: str) -> str:
    if dtype.hasobject or dtype.names is not None:
        raise CheckpointError(f"state at {path!r} is a numpy scalar of dtype {dtype}, which cannot be saved; make it a dict of its fields.")
    return dtype.str


# ------------------------------------------------------------------ tensors, without importing the library they are of


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "detach") and hasattr(value, "cpu") and hasattr(value, "numpy")


def _tensor_to_array(tensor: Any) -> tuple[NDArray[Any], str | None]:
    """The tensor's memory as an array, and its kind where numpy has no such dtype."""
    plain = tensor.detach().cpu()
    kind = str(plain.dtype).removeprefix("torch.")
    if kind == "bfloat16":
        return plain.view(sys.modules["torch"].int16).numpy(), kind
    return plain.numpy(), None


def _array_to_tensor(array: NDArray[Any], kind: str | None) -> Any:
    """A tensor again: whoever saved one needs its library to go on with it, so it is looked up here and nowhere else in the core."""
    torch = importlib.import_module("torch")
    tensor = torch.from_numpy(array)
    return tensor.view(torch.bfloat16) if kind == "bfloat16" else tensor
