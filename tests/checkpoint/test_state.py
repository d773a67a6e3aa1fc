"""A state goes to the disk and comes back, to the last bit."""

from __future__ import annotations

import json
import math
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import load_file

from marl.checkpoint import load_state, read_manifest, save_state, verify
from marl.errors import CheckpointError
from marl.seeding import generator, generator_state, set_generator_state


def same(one: Any, other: Any) -> bool:
    """Equal in type, dtype, shape and bits."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other))
    if isinstance(one, (np.ndarray, np.generic)):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and torch.equal(one, other)
    if isinstance(one, float):
        return struct.pack("<d", one) == struct.pack("<d", other)
    return bool(one == other)


def round_trip(state: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    save_state(tmp_path / "c", state)
    return load_state(tmp_path / "c")


ARRAYS = {
    dtype: np.arange(-3, 21).reshape(2, 3, 4).astype(dtype)
    for dtype in ["?", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8", "c8", "c16", ">f4", ">i8", "U3", "S2"]
}


@pytest.mark.parametrize("dtype", ARRAYS)
def test_arrays_of_every_dtype_come_back_to_the_bit(dtype, tmp_path):
    array = ARRAYS[dtype]
    state = {"a": {"whole": array, "zero_d": array[0, 0, 0].reshape(()).copy(), "empty": array[:0], "log": [array, array[0, 0]]}}
    back = round_trip(state, tmp_path)
    assert same(back, state)


def test_records_and_odd_layouts(tmp_path):
    record = np.array([(1, 2.5), (3, math.inf)], dtype=[("a", "i4"), ("b", "f8")])
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    state = {"x": {"record": record, "fortran": np.asfortranarray(base), "every_second": base[::2, ::-3], "transposed": base.T}}
    back = round_trip(state, tmp_path)
    for name, value in state["x"].items():
        assert back["x"][name].dtype == value.dtype
        assert back["x"][name].tolist() == value.tolist()


def test_scalars_of_python_and_numpy(tmp_path):
    state = {
        "big": 2**200 + 1,
        "huge": -(7**9000),
        "floats": [0.1, -0.0, 1e-320, math.inf, -math.inf, math.nan, struct.unpack("<d", bytes.fromhex("0100000000f8ff7f"[:16]))[0]],
        "words": ["on", "", "\ud800", "é\n", "<unsaved"],
        "none": None,
        "flags": [True, False],
        "numpy": [np.float32(0.1), np.int64(-5), np.bool_(True), np.uint8(200), np.float64(0.1)],
        "bytes": b"\x00\xff",
        "tuple": (1, (2.0, "x"), []),
    }
    assert same(round_trip(state, tmp_path), {**state, "numpy": [*state["numpy"][:4], np.float64(0.1)]})


def test_keys_of_any_kind(tmp_path):
    state = {"seats": {("team", 1): 0.5, 3: {"x": np.zeros(2)}, "__marl__": "array", "a/b": 1}, "odd": {"__marl__": {"x": 2}}}
    assert same(round_trip(state, tmp_path), state)


def test_names_that_would_meet_do_not(tmp_path):
    state = {"w": {"a": {"b": np.zeros(2)}, "a/b": np.ones(3)}}
    assert same(round_trip(state, tmp_path), state)


def test_tensors_come_back_as_tensors(tmp_path):
    parameter = torch.nn.Parameter(torch.randn(3, 2))
    state = {
        "learner": {
            "float": torch.randn(4, 5),
            "half": torch.randn(7).to(torch.bfloat16),
            "step": torch.tensor(3.0),
            "flag": torch.tensor([True, False]),
            "parameter": parameter,
        }
    }
    back = round_trip(state, tmp_path)
    assert same(back["learner"]["parameter"], parameter.detach())
    del state["learner"]["parameter"], back["learner"]["parameter"]
    assert same(back, state)


def test_the_state_of_a_torch_optimizer_goes_on_as_it_was(tmp_path):
    def train(model: torch.nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> None:
        for step in steps:
            optimizer.zero_grad()
            model(torch.full((4, 3), float(step))).square().mean().backward()
            optimizer.step()

    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1, amsgrad=True)
    train(model, optimizer, range(3))
    save_state(tmp_path / "c", {"learner": {"model": model.state_dict(), "optimizer": optimizer.state_dict()}})
    train(model, optimizer, range(3, 6))

    other = torch.nn.Linear(3, 2)
    again = torch.optim.Adam(other.parameters(), lr=1.0)
    state = load_state(tmp_path / "c")["learner"]
    other.load_state_dict(state["model"])
    again.load_state_dict(state["optimizer"])
    train(other, again, range(3, 6))
    assert torch.equal(other.weight, model.weight)
    assert torch.equal(other.bias, model.bias)


def test_a_generator_continues_its_stream(tmp_path):
    rng = generator(7, "x")
    rng.random(5)
    save_state(tmp_path / "c", {"rng": generator_state(rng)})
    expected = rng.random(5).tolist()
    again = np.random.Generator(np.random.PCG64())
    set_generator_state(again, load_state(tmp_path / "c")["rng"])
    assert again.random(5).tolist() == expected


def test_what_is_shared_is_saved_once_and_shared_again(tmp_path):
    shared = np.random.default_rng(0).random(10_000)
    tensor = torch.randn(10_000)
    state = {"learners": {"one": {"w": shared, "t": tensor}, "two": {"w": shared, "t": tensor.detach(), "copy": shared.copy()}}}
    save_state(tmp_path / "c", state)
    stored = load_file(tmp_path / "c" / "state" / "learners.safetensors")
    assert sorted(stored) == ["one/t", "one/w", "two/copy"]
    back = load_state(tmp_path / "c")["learners"]
    assert back["one"]["w"] is back["two"]["w"]
    assert back["one"]["w"] is not back["two"]["copy"]
    assert same(back, state["learners"])


def test_safetensors_files_are_what_the_library_reads(tmp_path):
    arrays = {"b": np.arange(3, dtype=np.uint8), "a": np.arange(4.0), "é": np.float32([[1], [2]]), "none": np.zeros((0, 3), np.float16)}
    save_state(tmp_path / "c", {"x": arrays})
    read = load_file(tmp_path / "c" / "state" / "x.safetensors")
    assert {name: array.tolist() for name, array in read.items()} == {name: array.tolist() for name, array in arrays.items()}


leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5), st.binary(max_size=5),
    hnp.arrays(st.sampled_from(["?", "u1", "i8", "f4", "f8"]), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)),
)  # fmt: skip
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3) | st.tuples(inner, inner),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(max_size=4), trees, max_size=4))
def test_any_tree_comes_back(tmp_path_factory, state):
    path = tmp_path_factory.mktemp("c") / "c"
    save_state(path, state)
    back = load_state(path)
    assert same(back, state)


def test_what_cannot_be_saved_is_named_and_nothing_is_written(tmp_path):
    with pytest.raises(CheckpointError, match=r"state/learners .*'ppo/thing' is a object, which"):
        save_state(tmp_path / "c", {"learners": {"ppo": {"thing": object()}}})
    with pytest.raises(CheckpointError, match=r"state/sampler .*'log/0' is an array of Python objects"):
        save_state(tmp_path / "c", {"sampler": {"log": [np.array([None, 1], dtype=object)]}})
    assert list(tmp_path.iterdir()) == []


def test_the_manifest_tells_who_wrote_what(tmp_path):
    path = save_state(tmp_path / "c", {"learners": {"w": np.zeros(3)}}, meta={"iteration": 3, "return": math.nan, "seats": (1, 2)})
    manifest = read_manifest(path)
    assert manifest.meta["iteration"] == 3
    assert math.isnan(manifest.meta["return"])
    assert manifest.versions["numpy"] == np.__version__
    assert set(manifest.files) == {"state/learners.json", "state/learners.safetensors", "state.json", "config.json"}
    assert {record.kind for record in manifest.files.values()} == {"json", "safetensors"}
    on_disk = {str(one.relative_to(path)) for one in path.rglob("*") if one.is_file()}
    assert on_disk == {*manifest.files, "manifest.json"}
    assert verify(path).path == path


def test_no_pickle_is_in_a_checkpoint(tmp_path):
    path = save_state(tmp_path / "c", {"x": {"names": np.array(["a", "b"]), "t": torch.zeros(3)}})
    for file in path.rglob("*"):
        if file.is_file():
            assert file.suffix in (".json", ".safetensors", ".npz")
    json.loads((path / "state" / "x.json").read_text())


def test_loading_imports_no_torch_where_no_tensor_was_saved(tmp_path):
    path = save_state(tmp_path / "c", {"x": {"w": np.zeros(3)}})
    code = f"import sys, marl.checkpoint as c; c.load_state({str(path)!r}); sys.exit('torch' in sys.modules or 'ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
