"""What a FLAME file may hold is read, and nothing that a pickle names is run."""

from __future__ import annotations

import builtins
import contextlib
import copyreg
import io
import os
import pickle
import pickletools
import struct
import subprocess
import sys
import types
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

from dubfew.errors import AssetError
from dubfew.reconstruction.heads.flame.arrays import read_named_arrays, read_npy
from dubfew.reconstruction.heads.flame.pickles import read_pickle, unpickle_arrays


def unpickled(data: bytes, tmp_path: Path) -> Any:
    path = tmp_path / "file.pkl"
    path.write_bytes(data)
    return read_pickle(path)


def short(text: str) -> bytes:
    data = text.encode()
    return b"\x8c" + bytes([len(data)]) + data


def by_stack(module: str, name: str, arguments: bytes = b"(") -> bytes:
    """``module.name(*arguments)``, looked up as protocol 4 does, by parts of a dotted name."""
    return b"\x80\x04" + short(module) + short(name) + b"\x93" + arguments + b"tR."


TOUCH = b"S'touch dubfew-was-here'\n"


class Calls:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def calls(function: Any, *arguments: Any, protocol: int = 2) -> bytes:
    return pickle.dumps(Calls(function, *arguments), protocol)


COMMAND = "touch dubfew-was-here"
CODE = "open('dubfew-was-here', 'w')"
ARRAY = pickle.dumps(np.arange(3.0), 2)
NAME = b"cnumpy.core.multiarray\n_reconstruct\n"

MALICIOUS = {
    "os.system": calls(os.system, COMMAND),
    "posix.system by text": b"cposix\nsystem\n(" + TOUCH + b"tR.",
    "nt.system": b"cnt\nsystem\n(" + TOUCH + b"tR.",
    "eval": calls(builtins.eval, CODE),
    "exec": calls(builtins.exec, CODE),
    "eval of Python 2": b'c__builtin__\neval\n(S"' + CODE.encode() + b'"\ntR.',
    "execfile": b"c__builtin__\nexecfile\n(S'setup.py'\ntR.",
    "compile": calls(builtins.compile, CODE, "x", "exec"),
    "import": calls(builtins.__import__, "os"),
    "open": calls(builtins.open, "dubfew-was-here", "w"),
    "getattr": calls(builtins.getattr, "x", "__class__"),
    "getattr of a type": b"c__builtin__\ngetattr\n(cnumpy\nndarray\nS'__base__'\ntR.",
    "subprocess": calls(subprocess.Popen, COMMAND),
    "nested in a list": b"(l(cos\nsystem\n" + TOUCH + b"oa.",
    "nested reduce": calls(map, Calls(getattr, "x", "upper"), Calls(os.system, COMMAND)),
    "as an object (INST)": b"(" + TOUCH + b"ios\nsystem\n.",
    "as an object (OBJ)": b"(cos\nsystem\n" + TOUCH + b"o.",
    "NEWOBJ": b"\x80\x02csubprocess\nPopen\n(" + TOUCH + b"t\x81.",
    "NEWOBJ_EX": b"\x80\x04" + short("subprocess") + short("Popen") + b"\x93(" + TOUCH + b"t}\x92.",
    "STACK_GLOBAL": by_stack("os", "system", b"(" + TOUCH),
    "STACK_GLOBAL, dotted": by_stack("numpy", "os.system", b"(" + TOUCH),
    "dotted through what is admitted": by_stack("numpy", "ndarray.__class__.__base__"),
    "dotted in chumpy": by_stack("chumpy.ch", "np.os.system", b"(" + TOUCH),
    "a module that only begins as chumpy's": by_stack("chumpyx", "Ch"),
    "chumpy's own imports": by_stack("chumpy.ch", "os.system", b"(" + TOUCH),
    "a name without a module": by_stack("", "system"),
    "state of an admitted function": b"\x80\x02" + NAME + b"}X\x04\x00\x00\x00nameK\x01sb.",
    "slots of an admitted function": b"\x80\x02"
    + NAME
    + b"N}X\x09\x00\x00\x00_functionK\x01s\x86b.",
    "state of an admitted type": b"\x80\x02cnumpy\nndarray\n}X\x01\x00\x00\x00aK\x01sb.",
    "state of an admitted class": b"\x80\x02cnumpy\ndtype\n}X\x01\x00\x00\x00aK\x01sb.",
    "slots of a class": b"\x80\x02cchumpy.ch\nCh\nN}X\x0c\x00\x00\x00__setstate__"
    b"cnumpy\ndtype\ns\x86b.",
    "numpy.core.multiarray.fromfile": b"cnumpy.core.multiarray\nfromfile\n(S'/etc/passwd'\ntR.",
    "numpy.load": calls(np.load, "x.npy"),
    "numpy.memmap": calls(np.memmap, "x"),
    "numpy.fromfile": b"cnumpy\nfromfile\n(S'/etc/passwd'\ntR.",
    "numpy.f2py": b"cnumpy.f2py\ncompile\n(S'x'\ntR.",
    "numpy.f2py.crackfortran.myeval": b"cnumpy.f2py.crackfortran\nmyeval\n(S'1'\ntR.",
    "numpy.testing runstring": b"cnumpy.testing._private.utils\nrunstring\n(S'1'\n}tR.",
    "numpy.distutils exec_command": b"cnumpy.distutils.exec_command\nexec_command\n("
    + TOUCH
    + b"tR.",
    "numpy.vectorize": b"cnumpy\nvectorize\n(cos\nsystem\ntR.",
    "numpy ufunc by name": b"cnumpy.core\n_ufunc_reconstruct\n(S'os'\nS'system'\ntR.",
    "a subclass of ndarray": NAME + b"(cnumpy.ma.core\nMaskedArray\n(I0\ntS'b'\ntR.",
    "ndarray's constructor": b"cnumpy\nndarray\n(I3\ntR.",
    "objects in bytes": b"\x80\x02" + NAME + b"cnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    b"(K\x01K\x01\x85cnumpy\ndtype\nU\x02O8K\x00K\x01\x87R\x89U\x08AAAAAAAAtb.",
    "objects hidden in a structure": b"\x80\x02" + NAME + b"cnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    b"(K\x01K\x01\x85cnumpy\ndtype\nU\x02V8K\x00K\x01\x87R(K\x03U\x01|NU\x01a\x85}U\x01a"
    b"cnumpy\ndtype\nU\x02O8K\x00K\x01\x87RK\x00\x86sK\x08K\x01K\x10tb\x89U\x08AAAAAAAAtb.",
    "scipy.sparse.load_npz": b"cscipy.sparse\nload_npz\n(S'x'\ntR.",
    "scipy.io.loadmat": b"cscipy.io\nloadmat\n(S'x'\ntR.",
    "copyreg's constructor": b"ccopy_reg\n_reconstructor\n"
    b"(cnumpy\ndtype\nc__builtin__\nobject\nNtR.",
    "a state for the constructor": b"ccopy_reg\n_reconstructor\n(cchumpy.ch\nCh\nc__builtin__\n"
    b"object\nS'x'\ntR.",
    "encoding by a codec": b"c_codecs\nencode\n(S'x'\nS'rot13'\ntR.",
    "decoding": b"c_codecs\ndecode\n(S'x'\ntR.",
    "torch.load": b"ctorch\nload\n(S'x'\ntR.",
    "torch.hub": b"ctorch.hub\nload\n(S'x'\ntR.",
    "pickle in a pickle": calls(pickle.loads, calls(os.system, COMMAND)),
    "marshal": b"cmarshal\nloads\n(S'x'\ntR.",
    "types.FunctionType": b"ctypes\nFunctionType\n(N}tR.",
    "operator.attrgetter": b"coperator\nattrgetter\n(S'system'\ntR.",
    "functools.partial": b"cfunctools\npartial\n(cos\nsystem\n" + TOUCH + b"tR.",
    "importlib": b"cimportlib\nimport_module\n(S'antigravity'\ntR.",
    "ctypes": b"cctypes\nCDLL\n(S'libc.so.6'\ntR.",
    "runpy": b"crunpy\nrun_path\n(S'setup.py'\ntR.",
    "code": b"ccode\nInteractiveInterpreter\n(tR.",
    "pty": b"cpty\nspawn\n(S'sh'\ntR.",
    "webbrowser": b"cwebbrowser\nopen\n(S'http://localhost'\ntR.",
    "persistent id": b"Pwhatever\n.",
    "binary persistent id": b"\x80\x02U\x01aQ.",
    "extension": b"\x80\x02\x82\x01.",
    "itself": b"\x80\x02]q\x00h\x00a.",
    "an array that holds itself": b"\x80\x02]q\x00(" + b"h\x00e}h\x00h\x00s.",
    "a memo of four billion": b"\x80\x02K\x01r" + struct.pack("<I", 2**32 - 1) + b"(.",
    "a string longer than the file": b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"ab.",
    "an array larger than its bytes": ARRAY.replace(b"K\x03\x85", b"J\xff\xff\xff\x7f\x85"),
    "an array of negative size": ARRAY.replace(b"K\x03\x85", b"J\xff\xff\xff\xff\x85"),
    "nothing": b"",
    "noise": bytes(range(256)),
    "cut": ARRAY[:-9],
}


@pytest.mark.parametrize("name", MALICIOUS)
def test_nothing_else_is_admitted(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    with pytest.raises(AssetError) as caught:
        unpickled(MALICIOUS[name], tmp_path)
    assert "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["file.pkl"]
    # Not even imported.
    assert not {m for m in set(sys.modules) - before if not m.startswith(("scipy", "numpy"))}


def test_the_cases_would_do_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is refused above is no empty threat: Python's own reader runs it."""
    monkeypatch.chdir(tmp_path)
    for name in ("os.system", "eval", "STACK_GLOBAL", "as an object (OBJ)", "pickle in a pickle"):
        pickle.loads(MALICIOUS[name])
        Path("dubfew-was-here").unlink()


def test_extensions_are_refused_even_where_the_process_knows_them(tmp_path: Path) -> None:
    copyreg.add_extension("os", "system", 241)
    try:
        pickle.loads(b"\x80\x02\x82\xf1.")  # now in the cache of every reader
        with pytest.raises(AssetError, match="extension"):
            unpickled(b"\x80\x02\x82\xf1.", tmp_path)
    finally:
        copyreg.remove_extension("os", "system", 241)
        copyreg.clear_extension_cache()


SAFE_OPCODES = [code.code.encode("latin1") for code in pickletools.opcodes]
PIECES = st.one_of(
    st.sampled_from(SAFE_OPCODES),
    st.sampled_from(
        [
            b"cos\nsystem\n",
            b"c__builtin__\neval\n",
            short("os") + short("system") + b"\x93",
            NAME,
            b"cnumpy\nndarray\n",
            b"cnumpy\ndtype\n",
            b"cchumpy.ch\nCh\n",
            b"cscipy.sparse.csc\ncsc_matrix\n",
            b"ccopy_reg\n_reconstructor\n",
            TOUCH,
            b"(",
            b"K\x01",
            b"}",
            b"]",
        ]
    ),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECES, max_size=14))
@pytest.mark.slow
def test_any_program_ends_in_numbers_or_an_error(pieces: list[bytes]) -> None:
    before = os.system, builtins.eval
    try:
        value = _read(b"\x80\x02" + b"".join(pieces) + b".")
    except AssetError:
        return
    assert _plain(value)
    assert before == (os.system, builtins.eval)
    assert not Path("dubfew-was-here").exists()


@settings(max_examples=300, deadline=None)
@given(st.data())
@pytest.mark.slow
def test_a_changed_byte_ends_in_numbers_or_an_error(data: st.DataObject) -> None:
    whole = pickle.dumps({"a": np.arange(6.0).reshape(2, 3), "J": sparse.eye(3).tocsc()}, 2)
    changed = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(AssetError):
        assert _plain(_read(bytes(changed)))


def _read(data: bytes) -> Any:
    return unpickle_arrays(io.BytesIO(data), "file.pkl")


def _plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_plain, value)) and all(map(_plain, value.values()))
    if isinstance(value, (list, tuple)):
        return all(map(_plain, value))
    if isinstance(value, np.ndarray) and value.dtype == object:
        return all(map(_plain, value.ravel()))
    kinds = (bool, int, float, complex, str, bytes, bytearray, np.ndarray, np.generic)
    return value is None or isinstance(value, kinds) or sparse.issparse(value)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        st.sampled_from(["?", "u1", "<i2", ">i4", "<i8", "<f2", "<f4", ">f8", "c16", "S3", "U2"]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    ),
    st.sampled_from([0, 2, 4, 5]),
    st.booleans(),
)
def test_arrays_come_back(array: np.ndarray, protocol: int, columns_first: bool) -> None:
    array = np.asfortranarray(array) if columns_first else array
    found = _read(pickle.dumps({"a": array}, protocol))["a"]
    assert found.dtype == array.dtype.newbyteorder("=")
    assert found.shape == array.shape
    assert found.tobytes() == array.astype(found.dtype).tobytes()


@pytest.mark.parametrize("protocol", [0, 1, 2, 4, 5])
@pytest.mark.parametrize("form", ["csc_matrix", "csr_matrix", "coo_matrix", "csc_array"])
def test_sparse_matrices_come_back(form: str, protocol: int) -> None:
    dense = np.array([[0, 2.0, 0, 1], [0, 0, 0, 0], [0.5, 0, 0, 0]])
    found = _read(pickle.dumps({"J": getattr(sparse, form)(dense)}, protocol))["J"]
    np.testing.assert_array_equal(found.toarray(), dense)


def test_a_sparse_matrix_cannot_point_beyond_its_end() -> None:
    matrix = sparse.csc_matrix(np.eye(3))
    matrix.indices[1] = 1000
    with pytest.raises(AssetError):
        _read(pickle.dumps(matrix, 2))


@pytest.mark.parametrize("core", ["numpy.core", "numpy._core"])
def test_names_of_both_numpys(core: str) -> None:
    ours = f"{np.core.__name__}.multiarray".encode()
    data = pickle.dumps(np.arange(4), 0).replace(ours, f"{core}.multiarray".encode())
    assert f"c{core}.multiarray".encode() in data
    np.testing.assert_array_equal(_read(data), np.arange(4))


def test_a_pickle_of_python_2() -> None:
    """Bytes as strings, old module names, sets and new-style classes, as chumpy's."""
    data = (
        b"\x80\x02}q\x01(U\nv_templatecchumpy.ch\nCh\nq\x02)\x81q\x03}q\x04(U\x01x"
        + pickle.dumps(np.arange(6.0).reshape(2, 3), 2)[2:-1]
        + b"U\x0b_dirty_varsc__builtin__\nset\n]U\x01xa\x85Ru"
        b"bU\x08bs_styleU\x03lbsu."
    )
    found = _read(data)
    np.testing.assert_array_equal(found["v_template"], np.arange(6.0).reshape(2, 3))
    assert found["bs_style"] == "lbs"


def test_chumpy_without_chumpy(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("chumpy.ch")
    reordering = types.ModuleType("chumpy.reordering")

    class Ch:
        pass

    class Select(Ch):
        pass

    Ch.__module__, Select.__module__ = "chumpy.ch", "chumpy.reordering"
    Ch.__qualname__, Select.__qualname__ = "Ch", "Select"
    module.Ch, reordering.Select = Ch, Select  # type: ignore[attr-defined]
    whole, part, other = Ch(), Select(), Ch()
    whole.__dict__.update(x=np.arange(12.0), _dirty_vars={"x"}, _itr=None)
    part.__dict__.update(a=whole, idxs=np.array([5, 1]), preferred_shape=(2, 1))
    other.__dict__.update(terms=("a", "b"))
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "chumpy", types.ModuleType("chumpy"))
        patched.setitem(sys.modules, "chumpy.ch", module)
        patched.setitem(sys.modules, "chumpy.reordering", reordering)
        data = pickle.dumps({"whole": whole, "part": part, "other": other}, 2)
    found = _read(data)
    np.testing.assert_array_equal(found["whole"], np.arange(12.0))
    np.testing.assert_array_equal(found["part"], [[5], [1]])
    assert found["other"] is None


def test_a_shared_object_is_read_once() -> None:
    value: Any = [np.zeros(2)]
    for _ in range(60):
        value = [value, value]  # 2^60 arrays for a reader that follows every path
    assert _read(pickle.dumps(value, 2))[0] is not None


def test_numpy_files(tmp_path: Path) -> None:
    held = {"vt": np.zeros((4, 2)), "names": np.array(["a", None], object)}
    np.savez(tmp_path / "a.npz", **held)  # type: ignore[arg-type]
    np.save(tmp_path / "b.npy", {"faces": np.arange(3)}, allow_pickle=True)  # type: ignore[arg-type]
    np.save(tmp_path / "c.npy", np.arange(5))
    found = read_named_arrays(tmp_path / "a.npz")
    assert found["vt"].shape == (4, 2)
    assert found["names"].tolist() == ["a", None]
    np.testing.assert_array_equal(read_named_arrays(tmp_path / "b.npy")["faces"], np.arange(3))
    np.testing.assert_array_equal(read_npy(tmp_path / "c.npy"), np.arange(5))
    with pytest.raises(AssetError, match="named"):
        read_named_arrays(tmp_path / "c.npy")


def test_pickles_inside_numpy_files_are_read_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bad = np.empty(1, object)
    bad[0] = Calls(os.system, COMMAND)
    np.save("bad.npy", bad, allow_pickle=True)
    np.savez("bad.npz", lmk_face_idx=bad)
    for name in ("bad.npy", "bad.npz"):
        with pytest.raises(AssetError, match="system"):
            read_named_arrays(name)
    assert not Path("dubfew-was-here").exists()


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04nothing", b"\x93NUMPY\x09\x00", b"text"])
def test_damaged_numpy_files(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file.npz"
    path.write_bytes(data)
    with pytest.raises(AssetError, match="file"):
        read_named_arrays(path)


def test_a_damaged_member(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("vt.npy", b"\x93NUMPY\x01\x00nothing")
    with pytest.raises(AssetError, match=r"a\.npz"):
        read_named_arrays(tmp_path / "a.npz")


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="cannot be read"):
        read_pickle(tmp_path / "absent.pkl")
    with pytest.raises(AssetError, match="cannot be read"):
        read_pickle(tmp_path)


def test_the_true_embedding_and_masks(shared: Path) -> None:
    masks = read_pickle(shared / "flame" / "FLAME_masks.pkl")
    assert masks["left_eyeball"].shape == (546,)
    points = read_named_arrays(shared / "flame" / "landmark_embedding.npy")
    assert points["static_lmk_bary_coords"].shape == (51, 3)
    assert points["dynamic_lmk_bary_coords"] is None  # a tensor, whose storage is another pickle
