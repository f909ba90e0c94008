"Networks as files: what may run, what is refused before it runs, and what Keras and the file have in common."
import copy
import itertools
import os
import pickle
import re
import subprocess
import sys
import threading
from functools import partial

import numpy as np
import pytest

from latentfaces import networks
from latentfaces.bundle import Bundle, load_bundle
from latentfaces.networks import Network

rng = np.random.default_rng(0)
ONE_SENTENCE = "^expected [^\n]+$"


def rows(*shape): return np.random.default_rng(1).standard_normal(shape).astype(np.float32)


@pytest.fixture(scope="module")
def onnx(): return pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def keras():
    pytest.importorskip("onnx")
    return pytest.importorskip("keras")


@pytest.fixture(scope="module")
def file(onnx):
    "A function that makes the bytes of an ONNX file: nodes as (operator, inputs, outputs, attributes), weights by name."
    def make(*nodes, weights={}, inputs=(("x", 1, ["n", 4]),), outputs=(("y", 1, None),), opset=17, more=lambda model: None):
        helper = onnx.helper
        nodes = [helper.make_node(kind, taken.split(","), given.split(","), **(rest[0] if rest else {})) for kind, taken, given, *rest in nodes]
        tensors = [array if isinstance(array, onnx.TensorProto) else onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()]
        ends = [[helper.make_tensor_value_info(*one) for one in side] for side in (inputs, outputs)]
        model = helper.make_model(helper.make_graph(nodes, "g", *ends, tensors), opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        more(model)
        return model.SerializeToString()
    return make


DENSE = ("MatMul", "x,w", "y")
W = {"w": rng.standard_normal((4, 3)).astype(np.float32)}


def refuses(data, match, call=False):
    "It is refused in one sentence; with `call` at the first call at the latest."
    with pytest.raises(ValueError, match=match) as error:
        network = Network(data)
        if call: network(rows(3, 4))
    assert "\n" not in str(error.value) and str(error.value).startswith("expected ")


# ---------------------------------------------------------------- what runs

def test_a_plain_file_is_called_like_a_function(file, tmp_path):
    network = Network(file(DENSE, weights=W))
    assert (network.input_shape, network.output_shape) == ((None, 4), (None, 3))
    np.testing.assert_allclose(network(rows(5, 4)), rows(5, 4) @ W["w"], atol=1e-6)
    again = Network(str(network.save(tmp_path / "a.onnx")))
    assert again.content == network.content and [p.name for p in tmp_path.iterdir()] == ["a.onnx"]
    assert network(np.zeros((0, 4))).shape == (0, 3)
    assert network(rows(5, 4).tolist()).dtype == np.float32


@pytest.mark.parametrize("kind, dtype", [(1, np.float32), (10, np.float16), (11, np.float64)])
def test_numbers_of_every_length_go_in(file, kind, dtype):
    network = Network(file(DENSE, weights={"w": W["w"].astype(dtype)}, inputs=[("x", kind, ["n", 4])], outputs=[("y", kind, None)]))
    assert network(rows(5, 4)).dtype == dtype
    np.testing.assert_allclose(network(rows(5, 4)), rows(5, 4) @ W["w"], atol=1e-2)


@pytest.mark.parametrize("n", [0, 1, 6, 7, 8, 20])
def test_a_file_for_a_fixed_number_of_rows_takes_any(file, n):
    fixed = Network(file(DENSE, weights=W, inputs=[("x", 1, [7, 4])]))
    assert fixed.input_shape == (7, 4)
    np.testing.assert_allclose(fixed(rows(n, 4)), rows(n, 4) @ W["w"], atol=1e-6)


def test_several_outputs_come_by_name(file):
    network = Network(file(DENSE, ("Relu", "y", "z"), weights=W, outputs=[("y", 1, None), ("z", 1, None)]))
    assert network.output_shape == {"y": (None, 3), "z": (None, 3)}
    given = network(rows(5, 4))
    np.testing.assert_array_equal(given["z"], np.maximum(given["y"], 0))


def test_names_may_be_odd(file):
    names = "../../a b\u6f22", "w/\u00e9", "y;`"
    network = Network(file(("MatMul", ",".join(names[:2]), names[2]), weights={names[1]: W["w"]}, inputs=[(names[0], 1, ["n", 4])], outputs=[(names[2], 1, None)]))
    assert network(rows(2, 4)).shape == (2, 3)


def test_weights_may_be_listed_as_inputs(file):
    network = Network(file(DENSE, weights=W, inputs=[("w", 1, [4, 3]), ("x", 1, ["n", 4])]))
    np.testing.assert_allclose(network(rows(5, 4)), rows(5, 4) @ W["w"], atol=1e-6)


def as_pytorch_exports(file, batch):
    "The nodes that PyTorch writes for view, ConvTranspose2d, BatchNorm2d and interpolate, with sizes computed from sizes."
    number = partial(np.array, dtype=np.int64)
    weights = {"i0": number(0), "ax": number([0]), "rest": number([1, 2, 2]), "two": number([2]), "end": number([2**63 - 1]), "zero": number([0]),
               "twice": number([2, 2]), "w": rng.standard_normal((1, 3, 4, 4)).astype(np.float32), "g": np.ones(3, np.float32)}
    return file(("Shape", "x", "s"), ("Gather", "s,i0", "b"), ("Unsqueeze", "b,ax", "bu"), ("Concat", "bu,rest", "shape", {"axis": 0}), ("Reshape", "x,shape", "p"),
                ("ConvTranspose", "p,w", "c", {"strides": [2, 2], "pads": [1, 1, 1, 1]}), ("BatchNormalization", "c,g,g,g,g", "bn"), ("Shape", "bn", "s2"),
                ("Slice", "s2,two,end,ax", "hw"), ("Slice", "s2,zero,two,ax", "nc"), ("Mul", "hw,twice", "large"), ("Concat", "nc,large", "sizes", {"axis": 0}),
                ("Resize", "bn,,,sizes", "up"), ("Sigmoid", "up", "y"), weights=weights, inputs=[("x", 1, [batch, 4])])


def test_a_decoder_as_pytorch_exports_it(file):
    rng.bit_generator.state = np.random.default_rng(0).bit_generator.state
    outputs = []
    for batch in ("n", None, 1, 7):
        rng.bit_generator.state = np.random.default_rng(0).bit_generator.state
        network = Network(as_pytorch_exports(file, batch))
        outputs.append(network(rows(20, 4)))
        assert outputs[-1].shape == (20, 3, 8, 8) and network(rows(3, 4)).shape == (3, 3, 8, 8)
        np.testing.assert_allclose(outputs[-1], outputs[0], atol=1e-6)


def test_an_open_size_is_looked_at_when_it_is_known(file):
    network = Network(file(("Conv", "x,w", "c"), ("GlobalAveragePool", "c", "y"), weights={"w": rows(5, 3, 3, 3)}, inputs=[("x", 1, ["n", 3, "h", "w_"])]))
    assert network.input_shape == (None, 3, None, None)
    assert network(rows(2, 3, 9, 9)).shape == network(rows(2, 3, 19, 8)).shape == (2, 5, 1, 1)


def test_copies_and_threads_answer_the_same(file):
    network = Network(file(DENSE, weights=W))
    expected = network(rows(50, 4))
    for other in (copy.copy(network), copy.deepcopy(network), pickle.loads(pickle.dumps(network))): np.testing.assert_array_equal(other(rows(50, 4)), expected)
    found = []
    threads = [threading.Thread(target=lambda: found.append(np.array_equal(network(rows(50, 4)), expected))) for _ in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    assert found == [True] * 4


def test_a_bundle_is_copied_with_its_networks():
    bundle = load_bundle()
    expected = bundle.decode(bundle.z[:2])
    for other in (copy.deepcopy(bundle), pickle.loads(pickle.dumps(bundle))): np.testing.assert_array_equal(other.decode(other.z[:2]), expected)


@pytest.mark.parametrize("value, n", [("1", 1), ("0", 1), ("-3", 1), (str(10**6), None), ("", None), ("two", None), ("4,2", None)])
def test_threads_are_never_more_than_cores(value, n, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert networks._n_threads() == (n or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())


@pytest.mark.parametrize("providers, said", [("CUDAExecutionProvider", "got CUDAExecutionProvider"), (("CPUExecutionProvider", "NoSuch"), "got NoSuch"), ((), "got none"),
                                             (None, "got None"), (3, "got 3")])
def test_providers_that_are_not_there_are_refused(providers, said):
    import onnxruntime
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers() and "CUDA" in said: pytest.skip("there is a GPU")
    with pytest.raises(ValueError, match=f"^expected onnxruntime's providers, [^\n]+{said}[^\n]+$"): load_bundle(providers=providers).decoder
    assert load_bundle(providers="CPUExecutionProvider").decode(load_bundle().z[:1]).shape == (1, 64, 64, 3)


# ---------------------------------------------------------------- what does not fit

@pytest.mark.parametrize("given", [rows(5, 3), rows(5), np.float32(3), rows(5, 4, 1), np.full((5, 4), "a"), np.full((5, 4), None), np.zeros((5, 4), complex), [[1, 2], [3]]])
def test_rows_of_another_kind_are_refused(file, given):
    with pytest.raises(ValueError, match=ONE_SENTENCE): Network(file(DENSE, weights=W))(given)


@pytest.mark.parametrize("source, error", [(None, TypeError), (3, TypeError), ("no.onnx", FileNotFoundError), (os.curdir, FileNotFoundError)])
def test_what_is_no_file_is_refused(source, error):
    with pytest.raises(error, match=ONE_SENTENCE): Network(source)


def test_a_file_beyond_reason_is_not_read(tmp_path):
    with (tmp_path / "large.onnx").open("wb") as opened: opened.truncate(2**29 + 1)
    with pytest.raises(ValueError, match="at most 512 MB"): Network(tmp_path / "large.onnx")


@pytest.mark.parametrize("inputs, outputs", [
    ([("x", 1, ["n", 4]), ("x2", 1, ["n", 4])], [("y", 1, None)]), ([("x", 6, ["n", 4])], [("y", 6, None)]), ([("x", 8, ["n", 4])], [("y", 8, None)]),
    ([("x", 1, None)], [("y", 1, None)]), ([("x", 1, [4])], [("y", 1, None)]), ([("x", 1, ["n", 2**40])], [("y", 1, None)])])
def test_networks_of_other_ends_are_refused(file, inputs, outputs):
    refuses(file(("Identity", "x", "y"), inputs=inputs, outputs=outputs), "takes|nobody has the memory")


def test_no_output_and_no_input_are_refused(file):
    refuses(file(("Relu", "x", "y"), outputs=[]), "something else, or a damaged file")
    refuses(file(("Relu", "w", "y"), inputs=[], weights=W), "something else, or a damaged file")


# ---------------------------------------------------------------- files of strangers

def branch(onnx):
    return onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["q"])], "s", [], [onnx.helper.make_tensor_value_info("q", 1, None)])


@pytest.mark.parametrize("kind", ["If", "Loop", "Scan", "SequenceMap", "Einsum", "Tile", "Expand", "ConstantOfShape", "RandomNormal", "StringConcat", "TfIdfVectorizer"])
def test_operators_outside_the_list_are_refused(file, kind):
    refuses(file((kind, "x", "y")), f"the operator {kind}")


def test_custom_domains_and_functions_are_refused(file, onnx):
    refuses(file(("Relu", "x", "y", {"domain": "com.microsoft"})), "an operator of the kind com.microsoft")
    refuses(file(("Relu", "x", "y", {"domain": "a\nb"})), r"an operator of the kind a\\nb")
    function = onnx.helper.make_function("", "Relu", ["a"], ["b"], [onnx.helper.make_node("Neg", ["a"], ["b"])], [onnx.helper.make_opsetid("", 17)])
    refuses(file(("Relu", "x", "y"), more=lambda model: model.functions.append(function)), "a function, loop or branch")
    assert Network(file(("Relu", "x", "y", {"domain": "ai.onnx"})))(rows(3, 4)).min() == 0


def test_branches_inside_allowed_operators_are_refused(file, onnx):
    for attributes in ({"own": branch(onnx)}, {"own": [branch(onnx)]}):
        refuses(file(("Relu", "x", "y", attributes)), "a function, loop or branch")


@pytest.mark.parametrize("where", ["weight", "constant", "list"])
@pytest.mark.parametrize("location", ["/etc/passwd", "*/_ORT_MEM_ADDR_/*", "../weights.bin"])
def test_weights_in_other_files_are_refused(file, onnx, where, location):
    tensor = onnx.numpy_helper.from_array(W["w"], "w")
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    if where == "weight": data = file(DENSE, weights={"w": tensor})
    if where == "constant": data = file(("Constant", "", "w", {"value": tensor}), DENSE)
    if where == "list": data = file(("Relu", "x", "y", {"own": [tensor]}))
    refuses(data, "a weight that lies in another file")


def test_sparse_weights_are_refused(file, onnx):
    tensor = onnx.helper.make_sparse_tensor(onnx.numpy_helper.from_array(np.ones(1, np.float32), "v"), onnx.numpy_helper.from_array(np.zeros(1, np.int64)), [2**31])
    refuses(file(("Constant", "", "w", {"sparse_value": tensor}), ("Add", "x,w", "y")), "a sparse weight")
    refuses(file(("Relu", "x", "y"), more=lambda model: model.graph.sparse_initializer.append(tensor)), "a sparse weight")


I = partial(np.array, dtype=np.int64)
ONES = partial(np.ones, dtype=np.float32)
SQUARE = ("Reshape", "x,four", "z")
FOUR = {"four": I([-1, 1, 2, 2])}
BOMBS = {
    "weights added across": ((("Add", "a,b", "c"), ("ReduceSum", "c", "s"), ("Add", "x,s", "y")), {"a": ONES((2**16, 1)), "b": ONES((1, 2**16))}),
    "weights doubled": ((("Concat", "a,a", "c0", {"axis": 0}), *(("Concat", f"c{i},c{i}", f"c{i + 1}", {"axis": 0}) for i in range(40)),
                         ("ReduceSum", "c40", "s"), ("Add", "x,s", "y")), {"a": ONES(8)}),
    "rows doubled": ((("Concat", "x,x", "c0", {"axis": 1}), *(("Concat", f"c{i},c{i}", f"c{i + 1}", {"axis": 1}) for i in range(40)), ("ReduceSum", "c40", "y")), {}),
    "a margin": ((("Pad", "x,p", "c"), ("ReduceSum", "c", "y")), {"p": I([0, 0, 0, 2**33])}),
    "a margin that overflows": ((("Pad", "x,p", "c"), ("ReduceSum", "c", "y")), {"p": I([0, 2**63 - 1, 0, 2**63 - 1])}),
    "a margin around weights": ((("Pad", "a,p", "c"), ("ReduceSum", "c", "s"), ("Add", "x,s", "y")), {"a": ONES(1), "p": I([0, 2**33])}),
    "a picture enlarged": ((SQUARE, ("Resize", "z,,,sizes", "c"), ("ReduceSum", "c", "y")), FOUR | {"sizes": I([1, 1, 2**17, 2**17])}),
    "enlarged by a computed size": ((("Mul", "k,k", "sizes"), SQUARE, ("Resize", "z,,,sizes", "c"), ("ReduceSum", "c", "y")), FOUR | {"k": I([1, 1, 2**9, 2**9])}),
    "weights enlarged by a computed size": ((("Mul", "k,k", "sizes"), ("Resize", "a,,,sizes", "c"), ("ReduceSum", "c", "s"), ("Add", "x,s", "y")),
                                            {"k": I([1, 1, 2**9, 2**9]), "a": ONES((1, 1, 2, 2))}),
    "nodes out of order": ((("ReduceSum", "c", "s"), ("Resize", "a,,,sizes", "c"), ("Mul", "k,k", "sizes"), ("Add", "x,s", "y")),
                           {"k": I([1, 1, 2**9, 2**9]), "a": ONES((1, 1, 2, 2))}),
    "strides": ((SQUARE, ("ConvTranspose", "z,w", "c", {"strides": [2**17, 2**17]}), ("ReduceSum", "c", "y")), FOUR | {"w": ONES((1, 1, 1, 1))}),
    "strides that overflow": ((SQUARE, ("ConvTranspose", "z,w", "c", {"strides": [2**62, 2**62]}), ("ReduceSum", "c", "y")), FOUR | {"w": ONES((1, 1, 1, 1))}),
    "a negative margin that overflows": ((SQUARE, ("ConvTranspose", "z,w", "c", {"pads": [-2**40, 0, 0, 0]}), ("ReduceSum", "c", "y")), FOUR | {"w": ONES((1, 1, 1, 1))}),
    "an output shape": ((SQUARE, ("ConvTranspose", "z,w", "c", {"output_shape": [2**17, 2**17]}), ("ReduceSum", "c", "y")), FOUR | {"w": ONES((1, 1, 1, 1))}),
    "a kernel for every pixel": ((SQUARE, ("Resize", "z,,,sizes", "p"), ("ConvTranspose", "p,w", "c"), ("ReduceSum", "c", "y")),
                                 FOUR | {"sizes": I([1, 1, 2000, 2000]), "w": ONES((1, 1, 64, 64))}),
    "no step at all": ((SQUARE, ("Conv", "z,w", "c", {"strides": [0, 0]}), ("ReduceSum", "c", "y")), FOUR | {"w": ONES((1, 1, 1, 1))}),
    "no groups": ((SQUARE, ("ConvTranspose", "z,w", "c", {"group": 0}), ("ReduceSum", "c", "y")), FOUR | {"w": ONES((1, 1, 1, 1))}),
    "margins of less than nothing": ((SQUARE, ("Conv", "z,w", "c", {"pads": [2, 2, -2, -2]}), ("ReduceSum", "c", "y")), FOUR | {"w": ONES((1, 1, 1, 1))}),
    "a division that overflows": ((("Div", "k,m", "d"), ("Cast", "d", "f", {"to": 1}), ("ReduceSum", "f", "s"), ("Add", "x,s", "y")), {"k": I([-2**63]), "m": I([-1])}),
    "many results, each allowed": ((SQUARE, ("Resize", "z,,,sizes", "c0"), *(("Relu", f"c{i}", f"c{i + 1}") for i in range(100)), ("ReduceSum", "c100", "y")),
                                   FOUR | {"sizes": I([1, 1, 5000, 5000])}),
}


def test_bombs_are_refused_before_they_run(file, onnx, tmp_path):
    "In a process of their own that may not have more than 2 GB beside what is loaded: whoever tried to run one would not come back."
    for i, (nodes, weights) in enumerate(BOMBS.values()): (tmp_path / f"{i}.onnx").write_bytes(file(*nodes, weights=weights))
    code = ("import resource, sys, numpy as np; from latentfaces.networks import Network; import onnxruntime\n"
            "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize(); resource.setrlimit(resource.RLIMIT_AS, (used + 2**31,) * 2)\n"
            "for path in sys.argv[1:]:\n"
            "    try: Network(path)(np.zeros((3, 4), np.float32)); print('RAN', path)\n"
            "    except ValueError as error: print('refused', str(error).replace('\\n', 'NEWLINE'))\n"
            "print(*(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))")  # rusage counts what the parent had
    if not os.path.exists("/proc/self/statm"): pytest.skip("Linux counts pages")
    run = subprocess.run([sys.executable, "-c", code, *(str(tmp_path / f"{i}.onnx") for i in range(len(BOMBS)))], capture_output=True, text=True, timeout=120)
    *said, most = run.stdout.splitlines()
    assert run.returncode == 0 and len(said) == len(BOMBS), run.stderr
    for name, sentence in zip(BOMBS, said):
        assert sentence.startswith("refused expected") and "NEWLINE" not in sentence, (name, sentence)
        assert "memory" in sentence or "values" in sentence or "a number beyond" in sentence or "verflow" in sentence or "safeint" in sentence \
            or "makes sense" in sentence or "division of whole numbers" in sentence, (name, sentence)
    assert int(most) < 500_000


def test_numbers_and_names_that_readers_see_differently_are_refused(file, onnx):
    "An operator given twice, of which the last one runs; a number with more bits than 64; a number where a text belongs."
    data = file(SQUARE, ("MaxPool", "z", "c", {"kernel_shape": [1, 1]}), ("ReduceSum", "c", "y"), weights=FOUR)
    far = onnx.helper.make_attribute("strides", [2**40, 2**40]).SerializeToString()
    node = onnx.load_model_from_string(data).graph.node[1].SerializeToString()
    def rebuilt(new):
        parts = []
        for number, value in networks._fields(memoryview(data)):
            if number != 7: parts.append(networks._field(number, value if isinstance(value, int) else bytes(value))); continue
            graph = [networks._field(n, v if isinstance(v, int) else new if n == 1 and bytes(v) == node else bytes(v)) for n, v in networks._fields(value)]
            parts.append(networks._field(7, b"".join(graph)))
        return b"".join(parts)
    assert rebuilt(node) and onnx.load_model_from_string(rebuilt(node)).graph.node[1].op_type == "MaxPool"
    for other in (b"", networks._field(4, b"Slice")): refuses(rebuilt(other + node + networks._field(5, far)), "a number beyond")
    too_long = b"\x40" + b"\x80" * 8 + b"\xc0\x02"  # 2**62 + 2**64, of which protobuf takes the lower half
    refuses(rebuilt(node + networks._field(5, networks._field(1, b"strides") + too_long)), "damaged file")
    for place in (1, 2, 4, 5, 7): refuses(rebuilt(node + networks._field(place, 2**62)), "^expected")


def test_many_empty_fields_are_not_walked_through_for_minutes(file, monkeypatch):
    data = file(DENSE, weights=W)
    monkeypatch.setattr(networks, "_MOST_FIELDS", 200)
    assert Network(data)(rows(3, 4)).shape == (3, 3)
    for junk in (b"\x78\x01" * 300, networks._field(7, b"\x78\x01" * 60) * 5): refuses(data + junk, "damaged file")


@pytest.mark.parametrize("scale", [1e-7, 1e7])
def test_a_channel_that_float16_would_spoil_is_kept(keras, scale):
    "Where a small weight counts as much as the large ones beside it, because the next layer enlarges what comes of it."
    layers = keras.layers
    model = keras.Sequential([layers.Input((3,)), layers.Dense(2), layers.Dense(2)])
    first = np.array([[1, 1], [2, 3], [3, 5]], np.float32)
    model.set_weights([first * [1, scale], np.zeros(2), np.diag([1, 1 / scale]), np.zeros(2)])
    given = rows(5, 3)
    np.testing.assert_allclose(Network.from_keras(model)(given), given @ first, rtol=2e-3, atol=2e-3)


def test_what_a_file_says_of_its_sizes_is_not_believed(file, onnx):
    nodes, weights = BOMBS["enlarged by a computed size"]
    for first in ("rows", 1, 3):
        lie = onnx.helper.make_tensor_value_info("c", 1, [first, 1, 2, 2])
        refuses(file(*nodes, weights=weights, more=lambda model: model.graph.value_info.append(lie)), "at most [0-9,]+ values")
        refuses(file(*nodes, weights=weights, outputs=[("c", 1, [first, 1, 2, 2]), ("y", 1, None)]), "at most [0-9,]+ values")


def test_rows_against_rows_are_taken_a_few_at_a_time(file, monkeypatch):
    "Their product grows with the square of their number, which one row does not tell."
    data = file(("Reshape", "x,c1", "a"), ("Reshape", "x,c2", "b"), ("MatMul", "a,b", "c"), ("ReduceSum", "c,", "y", {"keepdims": 1}), weights={"c1": I([-1, 1]), "c2": I([1, -1])})
    monkeypatch.setattr(networks, "_MOST", 1000)
    sizes = Network(data)._sizes
    counted = [sizes.n_at_once((n, 4)) for n in (1, 5, 7, 8, 256)]
    assert counted[:3] == [1, 5, 7] and counted[3] < 8 and counted[4] < 8


def test_many_rows_are_split_where_they_are_too_much(file, monkeypatch):
    network = Network(file(DENSE, weights=W))
    expected, seen = network(rows(100, 4)), []
    monkeypatch.setattr(networks, "_MOST", 100)
    whole = networks._run
    monkeypatch.setattr(networks, "_run", lambda session, some: seen.append(len(some)) or whole(session, some))
    np.testing.assert_allclose(network(rows(100, 4)), expected, atol=1e-6)
    assert max(seen) * 7 <= 100 and sum(seen) == 100
    monkeypatch.setattr(networks, "_MOST", 10)
    with pytest.raises(ValueError, match="^expected a network whose results have at most 10 values[^\n]+$"): Network(network.content)


def test_constants_are_only_folded_where_their_sizes_are_known(file):
    nodes, weights = BOMBS["weights enlarged by a computed size"]
    def folds(nodes, **more):
        sizes = object.__new__(networks._Sizes)
        try: sizes.__init__(file(*nodes, **more), "it")
        except ValueError: pass
        return sizes.folds
    assert not folds(nodes, weights=weights) and folds([DENSE], weights=W)


def test_too_many_nodes_are_refused_and_many_are_not(file):
    def chain(n): return file(*(("Relu", f"r{i}" if i else "x", f"r{i + 1}" if i < n - 1 else "y") for i in range(n)))
    assert Network(chain(2000))(rows(3, 4)).shape == (3, 4)
    refuses(chain(20_000), "more than 16,384 nodes")


def number(n, length=0):
    "A whole number of a protocol buffer, in more bytes than it needs where `length` says so."
    groups = [(n >> 7 * i) & 127 for i in range(max(1, (n.bit_length() + 6) // 7, length))]
    return bytes([*(group | 128 for group in groups[:-1]), groups[-1]])


def field(n, content, key_length=0): return number(n << 3 | 2, key_length) + number(len(content)) + content


def test_what_two_readers_would_read_differently_is_refused(file, onnx):
    good = file(DENSE, weights=W)
    function = onnx.helper.make_function("own", "F", ["a"], ["b"], [onnx.helper.make_node("Relu", ["a"], ["b"])], [onnx.helper.make_opsetid("", 17)]).SerializeToString()
    hidden = number((25 << 3 | 2) + (1 << 34)) + number(len(function)) + function  # of the key, protobuf sees 32 bits
    refuses(good + hidden, "damaged file")
    refuses(good + field(25, function, 5), "a function")
    second = field(7, field(1, onnx.helper.make_node("If", ["x"], ["z"]).SerializeToString()))  # a second graph is added to the first
    refuses(good + second, "the operator If")
    domains = onnx.helper.make_node("Relu", ["x"], ["z"], domain="ai.onnx").SerializeToString() + field(7, b"evil")
    refuses(good + field(7, field(1, domains)), "an operator of the kind evil")
    refuses(good + b"\x3b", "damaged file")  # a group, which nobody writes any more


def test_a_file_in_two_formats_is_read_as_the_one_that_was_looked_into(file):
    "onnxruntime has a format of its own, which it knows by four letters; here they stand in the text of who wrote the file."
    both = bytes([0x12, 0x40, 0, 0]) + b"ORTM" + bytes(0x40 - 6) + file(DENSE, weights=W)
    assert both[4:8] == b"ORTM"
    np.testing.assert_allclose(Network(both)(rows(5, 4)), rows(5, 4) @ W["w"], atol=1e-6)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\x00" * 99, b"\xff" * 99, b"no network", bytes(range(256))])
def test_what_is_no_network_is_refused(data): refuses(data, "expected a network in the ONNX format in the bytes given")


@pytest.mark.parametrize("kind", ["plain", "pytorch"])
def test_damaged_files_run_or_are_refused_in_one_sentence(file, kind, capfd):
    good = file(DENSE, weights=W) if kind == "plain" else as_pytorch_exports(file, "n")
    random, refused = np.random.default_rng(7), 0
    for _ in range(300):
        data = bytearray(good)
        for _ in range(random.integers(1, 4)): data[random.integers(len(data))] = random.integers(256)
        if random.random() < 0.3: del data[random.integers(len(data)):]
        try: Network(bytes(data))(rows(3, 4))
        except ValueError as error:
            refused += 1
            assert "\n" not in str(error) and str(error).startswith("expected "), error
    assert 100 < refused < 300 and capfd.readouterr() == ("", "")


# ---------------------------------------------------------------- from Keras, and back

def shaken(model):
    "A model with random weights everywhere, batch normalisation included."
    random = np.random.default_rng(3)
    for weight in model.weights:
        values = random.standard_normal(weight.shape) * 0.3
        weight.assign(np.abs(values) + 0.1 if "variance" in weight.path else values)
    return model


def chain(keras, shape, *layers): return shaken(keras.Sequential([keras.Input(shape), *layers]))


def answers(model, given):
    import keras
    return keras.ops.convert_to_numpy(model(given, training=False))


def alike(model):
    "Keras, the file with all bits, and what comes back from it, and from the file with half of them, answer the same."
    whole, half = (Network.from_keras(model, float16) for float16 in (False, True))
    given = rows(5, *model.input_shape[1:])
    expected = answers(model, given)
    size = max(1, np.abs(expected).max())
    assert whole.output_shape == model.output_shape and whole.input_shape == model.input_shape
    assert np.abs(whole(given) - expected).max() <= 1e-5 * size
    assert np.abs(half(given) - expected).max() <= 2e-2 * size
    for network in (whole, half): assert np.abs(answers(network.to_keras(), given) - network(given)).max() <= 1e-5 * size


@pytest.mark.parametrize("transposed, padding", list(itertools.product((False, True), ("same", "valid"))))
def test_convolutions_of_every_size(keras, transposed, padding):
    kind = keras.layers.Conv2DTranspose if transposed else keras.layers.Conv2D
    for kernel, stride, side in itertools.product((1, 2, 3, 4, 7), (1, 2, 3), (7, 8)):
        alike(chain(keras, (side, side + 2, 2), kind(3, kernel, strides=stride, padding=padding)))


CHAINS = {
    "normalised after a convolution": ((8, 8, 3), lambda k: [k.Conv2D(4, 3, use_bias=False), k.BatchNormalization(), k.LeakyReLU(negative_slope=1 / 3)]),
    "normalised after a transposed one": ((4, 4, 3), lambda k: [k.Conv2DTranspose(5, 3), k.BatchNormalization(), k.ReLU()]),
    "normalised after a dense layer": ((6,), lambda k: [k.Dense(5, use_bias=False), k.BatchNormalization(scale=False), k.Activation("tanh")]),
    "normalised twice": ((6,), lambda k: [k.Dense(5), k.BatchNormalization(center=False), k.BatchNormalization()]),
    "functions inside layers": ((8, 8, 3), lambda k: [k.Conv2D(4, 3, activation="relu"), k.Flatten(), k.Dense(5, activation="sigmoid"), k.Dense(2, "tanh")]),
    "clipped": ((6,), lambda k: [k.Dense(5), k.ReLU(max_value=1.0)]),
    "dropped out": ((6,), lambda k: [k.Dropout(0.5), k.Dense(5), k.Dropout(0.5)]),
    "reshaped": ((12,), lambda k: [k.Reshape((-1, 2, 3)), k.Conv2D(2, 1), k.Reshape((8,)), k.Dense(8), k.Reshape((2, 2, 2)), k.Flatten()]),
    "names that meet": ((4,), lambda k: [k.Dense(3, "relu", name="a"), k.Dense(3, name="a_relu"), k.Dense(2, name="values")]),
    "no weights": ((4, 4, 3), lambda k: [k.Flatten()]),
}


@pytest.mark.parametrize("name", CHAINS)
def test_chains_of_layers(keras, name):
    shape, layers = CHAINS[name]
    alike(chain(keras, shape, *layers(keras.layers)))


def test_several_outputs_are_named_as_in_keras(keras):
    inputs = keras.Input((4,))
    first = keras.layers.Dense(5, name="p")(inputs)
    second = keras.layers.Dense(3, name="q")(first)
    listed, named = keras.Model(inputs, [first, second]), keras.Model(inputs, {"z": first, "a": second})
    given = rows(4, 4)
    for model, names in ((shaken(listed), ("p", "q")), (shaken(named), ("z", "a"))):
        network = Network.from_keras(model, float16=False)
        expected = model(given, training=False)
        for i, name in enumerate(names):
            np.testing.assert_allclose(network(given)[name], keras.ops.convert_to_numpy(expected[name if isinstance(expected, dict) else i]), atol=1e-5)
        assert set(network.to_keras().output) == set(names)


def twice(x):
    import keras
    return 2 * keras.ops.relu(x)


REFUSED = {
    "normalised first": ((8, 8, 3), lambda k: [k.BatchNormalization()], "does not follow"),
    "normalised after a function": ((8, 8, 3), lambda k: [k.Conv2D(3, 3, activation="relu"), k.BatchNormalization()], "does not follow"),
    "normalised after flattening": ((8, 8, 3), lambda k: [k.Conv2D(3, 3), k.Flatten(), k.BatchNormalization()], "does not follow"),
    "another kind": ((6,), lambda k: [k.Dense(5), k.GaussianNoise(0.1)], "a layer of the kind GaussianNoise"),
    "another function": ((6,), lambda k: [k.Dense(5, "gelu")], "the activation gelu"),
    "a function of one's own": ((6,), lambda k: [k.Dense(5, twice)], "the activation twice"),
    "dilated": ((9, 9, 3), lambda k: [k.Conv2D(3, 3, dilation_rate=2)], "dilation"),
    "groups": ((9, 9, 4), lambda k: [k.Conv2D(4, 3, groups=2)], "groups"),
    "open": ((None, None, 3), lambda k: [k.Conv2D(4, 3)], "open size"),
    "pixels in a dense layer": ((9, 9, 4), lambda k: [k.Dense(2)], "other than vectors"),
    "colours first": ((4, 4, 3), lambda k: [k.Conv2D(3, 3), k.Flatten("channels_first")], "got a difference"),
    "half a precision": ((8,), lambda k: [k.Dense(30, dtype="mixed_float16"), k.Dense(3, dtype="mixed_float16")], "got a difference|got "),
    "rectified with a slope": ((8,), lambda k: [k.ReLU(negative_slope=0.1)], "a slope"),
    "padded output": ((8, 8, 3), lambda k: [k.Conv2DTranspose(3, 3, strides=2, output_padding=1)], "output padding"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_writer_does_not_know_is_refused(keras, name):
    shape, layers, said = REFUSED[name]
    model = chain(keras, shape, *layers(keras.layers))
    with pytest.raises(ValueError, match=ONE_SENTENCE) as error: Network.from_keras(model)
    assert re.search(said, str(error.value))


def test_what_is_no_chain_is_refused(keras):
    layers, inputs, more = keras.layers, keras.Input((4,)), keras.Input((4,))
    dense = layers.Dense(4)
    before = layers.Dense(4)(inputs)
    models = [keras.Model(inputs, dense(dense(inputs))), keras.Model(inputs, layers.Add()([inputs, before])), keras.Model([inputs, more], layers.Concatenate()([inputs, more])),
              keras.Model(inputs, [layers.Dense(2)(before), layers.Dense(3)(before)]), keras.Model(inputs, keras.Model(inputs, before)(inputs)),
              keras.Sequential([layers.Dense(5)]), layers.Dense(3), lambda z: z, None, keras.Model(inputs, layers.Dense(3, name="rows")(inputs))]
    for model in models:
        with pytest.raises(ValueError, match="^expected a chain of Dense, [^\n]+$"): Network.from_keras(model)


def test_weights_that_are_not_finite_are_refused(keras):
    model = chain(keras, (4,), keras.layers.Dense(3))
    model.layers[0].bias.assign([np.nan, 0, 0])
    with pytest.raises(ValueError, match="got a difference of nan"): Network.from_keras(model)


@pytest.mark.parametrize("size", [1e-7, 1.0, 1e6])
def test_weights_keep_three_digits_whatever_their_size(keras, size):
    model = chain(keras, (8,), keras.layers.Dense(3, use_bias=False))
    model.layers[0].kernel.assign(rows(8, 3) * size)
    network = Network.from_keras(model)
    np.testing.assert_allclose(network(np.eye(8)), rows(8, 3) * size, atol=2e-3 * size)
    large = chain(keras, (256,), keras.layers.Dense(256))
    assert len(Network.from_keras(large).content) < 0.55 * len(Network.from_keras(large, float16=False).content)


def test_files_of_others_do_not_become_keras_models(keras, file, onnx):
    with pytest.raises(ValueError, match="^expected an ONNX file that Network.from_keras wrote, got one from an unknown writer[^\n]+$"): Network(file(DENSE, weights=W)).to_keras()


def test_a_changed_file_does_not_become_another_keras_model(keras, onnx):
    "A node that no layer stands for would be left out."
    model = onnx.load_model_from_string(Network.from_keras(chain(keras, (4,), keras.layers.Dense(3))).content)
    end = model.graph.output[0].name
    for node in model.graph.node: node.output[:] = ["before" if name == end else name for name in node.output]
    model.graph.node.append(onnx.helper.make_node("Exp", ["before"], [end]))
    changed = Network(model.SerializeToString())
    assert changed(rows(3, 4)).min() > 0
    with pytest.raises(ValueError, match=ONE_SENTENCE): changed.to_keras()
    del model.graph.node[:]
    model.graph.node.append(onnx.helper.make_node("Concat", ["rows", "rows"], [end], axis=1))
    with pytest.raises(ValueError, match=ONE_SENTENCE): Network(model.SerializeToString()).to_keras()


def test_the_pretrained_networks_become_keras_models(keras):
    bundle = load_bundle()
    encoder, decoder = bundle.keras_models()
    faces = bundle.decode(bundle.z[:3])
    np.testing.assert_allclose(answers(decoder, bundle.z[:3]), faces, atol=1e-5)
    np.testing.assert_allclose(answers(encoder, faces), bundle.encode(faces), atol=1e-4)
    assert decoder.count_params() == sum(np.prod(w.shape) for w in decoder.get_weights()) > 1e6


# ---------------------------------------------------------------- as a decoder

def test_an_onnx_file_of_one_s_own_is_a_decoder(file, tmp_path):
    weights = {"w": rows(4, 192), "four": I([0, 8, 8, 3])}
    path = Network(file(("MatMul", "x,w", "a"), ("Sigmoid", "a", "s"), ("Reshape", "s,four", "y"), weights=weights)).save(tmp_path / "mine.onnx")
    z = rows(300, 4)
    expected = 1 / (1 + np.exp(-(z @ weights["w"]))).reshape(-1, 8, 8, 3)
    for decoder in (path, str(path), Network(path)):
        np.testing.assert_allclose(Bundle(z, decoder=decoder).decode(z), expected, atol=1e-6)


def test_several_outputs_are_no_decoder(file):
    network = Network(file(DENSE, ("Relu", "y", "z"), weights=W, outputs=[("y", 1, None), ("z", 1, None)]))
    with pytest.raises(ValueError, match="^expected a network with one output, got one with y, z[^\n]+$"): Bundle(rows(5, 4), decoder=network).decode(rows(5, 4))


def test_colours_first_are_told_how_to_turn(file):
    weights = {"w": rows(4, 192), "four": I([0, 3, 8, 8])}
    network = Network(file(("MatMul", "x,w", "a"), ("Sigmoid", "a", "s"), ("Reshape", "s,four", "y"), weights=weights))
    with pytest.raises(ValueError, match="np.moveaxis"): Bundle(rows(5, 4), decoder=network).decode(rows(5, 4))
    assert Bundle(rows(5, 4), decoder=lambda z: np.moveaxis(network(z), 1, -1)).decode(rows(5, 4)).shape == (5, 8, 8, 3)


@pytest.mark.parametrize("given, kept", [({}, "1"), ({"ORT_DISABLE_TELEMETRY": "0"}, "0")])
def test_onnxruntime_is_told_to_keep_to_itself_that_it_is_used(given, kept):
    asked = "import os; from latentfaces import load_bundle; b = load_bundle(); b.decode(b.z[:1]); print(os.environ['ORT_DISABLE_TELEMETRY'])"
    env = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"} | given
    assert subprocess.run([sys.executable, "-c", asked], env=env, capture_output=True, text=True).stdout == f"{kept}\n"
