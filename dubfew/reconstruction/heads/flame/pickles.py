"""Pickles of FLAME, read without running anything that they name.

A pickle is a program: it names functions and calls them. Here every name that a FLAME file needs is
replaced by an object of this module, which only notes its arguments. Every other name is refused.
The pickle does not call NumPy's and SciPy's own constructors either, because NumPy's
``dtype.__setstate__`` trusts flags that decide which bytes are pointers. Arrays are made
afterwards, from notes that were checked.
"""

from __future__ import annotations

import math
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Literal, NoReturn

import numpy as np

from dubfew.errors import AssetError

# Kind and size as in the array protocol. No structures and no Python objects: see `_array`.
_PLAIN_DTYPE_PATTERN = re.compile(r"[?biufc](1|2|4|8|16)?|[SU]\d{0,6}")
_SPARSE_FORMATS = ("csc", "csr", "coo")


class _ForbiddenPickleError(Exception):
    """A pickle names something that is not admitted."""


class _Record:
    """Notes of what a pickle says about an object, and nothing that runs."""

    __slots__ = ("arguments", "kind", "state")
    kind: str

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: Any = None

    def __new__(cls, *arguments: Any) -> _Record:
        record = super().__new__(cls)
        record.arguments, record.state = arguments, None
        return record

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Array(_Record):
    __slots__ = ()


class _Buffer(_Record):
    __slots__ = ()


class _Scalar(_Record):
    __slots__ = ()


class _DType(_Record):
    __slots__ = ()


class _Sparse(_Record):
    __slots__ = ()


class _Chumpy(_Record):
    __slots__ = ()


class _IgnoredRecord(_Record):
    """An object of the file that dubfew does not need."""

    __slots__ = ()


class _AllowedFunction:
    """A function that a pickle may name and call, and cannot change."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setstate__(self, state: Any) -> NoReturn:
        raise _ForbiddenPickleError("a function with a state")


class _TypeToken:
    """A type that a pickle may pass on, and of which it cannot make an object."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> NoReturn:
        raise _ForbiddenPickleError("a type with a state")


_OBJECT_TOKEN, _NDARRAY_TOKEN = _TypeToken(), _TypeToken()


def _reconstruct_array(subtype: Any, shape: Any, dtype: Any) -> _Array:
    if subtype is not _NDARRAY_TOKEN:
        raise _ForbiddenPickleError("a subclass of numpy.ndarray")
    return _Array()


def _reconstruct_object(cls: Any, base: Any, state: Any) -> _Record:
    if cls not in (_Sparse, _Chumpy) or base is not _OBJECT_TOKEN or state is not None:
        raise _ForbiddenPickleError("an object of another class")
    return cls()


def _encode_latin1(text: Any, encoding: Any = "latin1") -> bytes:
    """Decode bytes as Python 3 writes them into pickles of Python 2."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise _ForbiddenPickleError("an encoding other than latin1")
    return text.encode("latin1")


def _empty_bytes() -> bytes:
    """Return empty bytes as Python 3 writes them into pickles of Python 2."""
    return b""


def _list_from_set(items: Any = ()) -> list:
    """Replace a set by a list: chumpy keeps names in sets, and dubfew does not read them."""
    return list(items)


_ALLOWED_GLOBALS: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _NDARRAY_TOKEN,
    ("numpy", "dtype"): _DType,
    ("copy_reg", "_reconstructor"): _AllowedFunction(_reconstruct_object),
    ("copyreg", "_reconstructor"): _AllowedFunction(_reconstruct_object),
    ("_codecs", "encode"): _AllowedFunction(_encode_latin1),
    ("__builtin__", "object"): _OBJECT_TOKEN,
    ("builtins", "object"): _OBJECT_TOKEN,
    ("__builtin__", "bytes"): _AllowedFunction(_empty_bytes),
    ("__builtin__", "set"): _AllowedFunction(_list_from_set),
    ("builtins", "set"): _AllowedFunction(_list_from_set),
    # The released landmark embedding holds some tensors beside the same numbers as arrays. The
    # bytes of their storage are another pickle, which nobody opens.
    ("torch._utils", "_rebuild_tensor_v2"): _IgnoredRecord,
    ("torch.storage", "_load_from_bytes"): _IgnoredRecord,
    ("collections", "OrderedDict"): _IgnoredRecord,
}
for _core in ("numpy.core", "numpy._core"):
    _ALLOWED_GLOBALS[f"{_core}.multiarray", "_reconstruct"] = _AllowedFunction(_reconstruct_array)
    _ALLOWED_GLOBALS[f"{_core}.multiarray", "scalar"] = _Scalar
    _ALLOWED_GLOBALS[f"{_core}.numeric", "_frombuffer"] = _Buffer
for _form in _SPARSE_FORMATS:
    for _module in (f"scipy.sparse.{_form}", f"scipy.sparse._{_form}"):
        for _kind in ("matrix", "array"):
            _ALLOWED_GLOBALS[_module, f"{_form}_{_kind}"] = _Sparse


# The C class would let a file reserve any amount of memory (a memo of four billion places).
class _RestrictedUnpickler(pickle._Unpickler):  # type: ignore[name-defined, misc, unused-ignore]
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ALLOWED_GLOBALS:
            return _ALLOWED_GLOBALS[module, name]
        if module.split(".")[0] == "chumpy" and name.isidentifier():
            return _Chumpy
        raise _ForbiddenPickleError(f"{module}.{name}")

    def get_extension(self, code: int) -> NoReturn:
        raise _ForbiddenPickleError(f"extension {code}")

    def persistent_load(self, pid: Any) -> NoReturn:
        raise _ForbiddenPickleError(f"persistent object {pid!r}")


class _ArrayBuilder:
    """Converter of notes into arrays, which converts each object once."""

    def __init__(self) -> None:
        self._built: dict[int, Any] = {}
        self._in_progress: set[int] = set()

    def build(self, value: Any) -> Any:
        """Replace records by plain data, arrays and sparse matrices."""
        if value is None or isinstance(value, (bool, int, float, complex, str, bytes, bytearray)):
            return value
        if id(value) in self._built:
            return self._built[id(value)]
        if id(value) in self._in_progress:
            raise _ForbiddenPickleError("an object that contains itself")
        self._in_progress.add(id(value))
        result = self._build_uncached(value)
        self._in_progress.discard(id(value))
        self._built[id(value)] = result
        return result

    def _build_uncached(self, value: Any) -> Any:
        if isinstance(value, dict):
            if not all(key is None or isinstance(key, (str, int, float, bytes)) for key in value):
                raise _ForbiddenPickleError("a dictionary whose keys are not plain")
            return {key: self.build(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(self.build(item) for item in value)
        if isinstance(value, (_Array, _Buffer, _Scalar)):
            return self._build_array(value)
        if isinstance(value, _Sparse):
            return self._build_sparse(value.state)
        if isinstance(value, _Chumpy):
            return self._build_chumpy(value.state)
        if isinstance(value, _IgnoredRecord):
            return None
        raise _ForbiddenPickleError(f"a {type(value).__name__.strip('_')} where numbers belong")

    def _build_array(self, record: _Record) -> Any:
        # Three ways in which numpy writes an array: its state, a raw buffer, or a single number.
        if isinstance(record, _Array):
            _, shape, dtype, columns_first, data = record.state
        elif isinstance(record, _Buffer):
            data, dtype, shape, written = record.arguments
            columns_first = written == "F"
        else:
            (dtype, data), shape, columns_first = record.arguments, (), False
        shape = tuple(shape) if isinstance(shape, (list, tuple)) else (shape,)
        if not all(isinstance(n, int) and n >= 0 for n in shape):
            raise _ForbiddenPickleError(f"an array of shape {shape}")
        # The file states size and content separately. What does not fit is refused before it is
        # read.
        count = math.prod(shape)
        order: Literal["F", "C"] = "F" if columns_first else "C"
        code = _dtype_code(dtype)
        # Arrays of objects are lists of further records, each built in the same way.
        if code == "O":
            if not isinstance(data, list) or len(data) != count:
                raise _ForbiddenPickleError("an object array that is not a list of its items")
            objects = np.empty(count, object)
            objects[:] = [self.build(item) for item in data]
            return objects.reshape(shape, order=order)
        # Python 2 wrote bytes as text, of which latin1 keeps every byte.
        raw = data.encode("latin1") if isinstance(data, str) else bytes(data)
        kind = np.dtype(code)
        if len(raw) != count * kind.itemsize:
            raise _ForbiddenPickleError(f"an array {shape} of {code} in {len(raw)} bytes")
        # A copy, because the buffer cannot be written; in this machine's byte order.
        array = np.frombuffer(raw, kind).reshape(shape, order=order).copy()
        return array.astype(kind.newbyteorder("="), copy=False)

    def _build_sparse(self, state: Any) -> Any:
        from scipy import sparse

        fields = {str(key).lstrip("_"): self.build(item) for key, item in state.items()}
        shape = tuple(int(n) for n in fields["shape"])
        if {"indices", "indptr"} <= fields.keys():
            # The file does not always say which; only one of the two has that many starts.
            rows = len(fields["indptr"]) == shape[0] + 1 != shape[1] + 1
            make = sparse.csr_matrix if rows else sparse.csc_matrix
            matrix = make((fields["data"], fields["indices"], fields["indptr"]), shape=shape)
            # Without a full check, an index beyond the end would write beyond the end.
            matrix.check_format(full_check=True)
            return matrix
        places = fields.get("coords") or (fields["row"], fields["col"])
        return sparse.coo_matrix((fields["data"], places), shape=shape).tocsc()

    def _build_chumpy(self, state: Any) -> Any:
        """Build the array of a chumpy object; None where only chumpy can compute it."""
        if not isinstance(state, dict):
            return None
        if "x" in state:
            return np.asarray(self.build(state["x"]))
        if {"a", "idxs"} <= state.keys():  # chumpy.reordering.Select
            chosen = np.ravel(self.build(state["a"]))[self.build(state["idxs"])]
            shape = self.build(state.get("preferred_shape"))
            return chosen if shape is None else chosen.reshape(shape)
        return None


def _dtype_code(dtype: Any) -> str:
    """Return the array protocol's code of a noted dtype."""
    if not isinstance(dtype, _DType) or not dtype.arguments:
        raise _ForbiddenPickleError("an array without a type")
    code = dtype.arguments[0]
    if code in ("O", "O8", "O4"):
        return "O"
    if not isinstance(code, str) or not _PLAIN_DTYPE_PATTERN.fullmatch(code):
        raise _ForbiddenPickleError(f"an array of type {code!r}")
    order = dtype.state[1] if dtype.state else "="
    if dtype.state and any(part is not None for part in dtype.state[2:5]):
        raise _ForbiddenPickleError("an array of structures")
    if order not in ("<", ">", "|", "="):
        raise _ForbiddenPickleError(f"byte order {order!r}")
    return code if order == "|" else order + code


def read_pickle(path: Path | str) -> Any:
    """Read a pickle that holds plain data, NumPy arrays, SciPy sparse matrices and chumpy arrays.

    Args:
        path: the file; written by Python 2 or 3, NumPy 1 or 2, any protocol.

    Returns:
        The same with arrays for chumpy's and lists for sets; None for tensors and for chumpy
        expressions other than arrays and selections of them.

    Raises:
        AssetError: the file cannot be read, is no pickle, or names anything else. Nothing that it
            names has been run.
    """
    with open_binary(path) as file:
        return unpickle_arrays(file, str(path))


def open_binary(path: Path | str) -> BinaryIO:
    """Open a file for reading; a file that cannot be opened is an AssetError.

    Raises:
        AssetError: The file cannot be opened.
    """
    try:
        return Path(path).open("rb")
    except OSError as error:
        raise AssetError(f"{path} cannot be read ({error.strerror})") from error


def unpickle_arrays(file: BinaryIO, path: str) -> Any:
    """Read a pickle from the position of an open file; ``path`` is for messages.

    Args:
        file: open file, at the begin of the pickle.
        path: name of the file, for messages.

    Raises:
        AssetError: The pickle names anything but arrays, or is damaged.
    """
    try:
        return _ArrayBuilder().build(_RestrictedUnpickler(file, encoding="latin1").load())
    except _ForbiddenPickleError as refused:
        raise AssetError(
            f"{path} is not read: it asks for {refused}, and a FLAME file holds arrays alone; "
            "get it from its own site"
        ) from None
    # Hostile bytes can fail in any way.
    except Exception as error:
        reason = str(error).split("\n")[0][:120] or type(error).__name__
        raise AssetError(f"{path} is no pickle of arrays ({reason}): fetch it again") from error
