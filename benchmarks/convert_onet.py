"""Turn O-Net of MTCNN into latentfaces/features/onet.onnx, and write its features of some images (no benchmark of speed).

    python benchmarks/convert_onet.py MTCNN --out FOLDER [--data CELEBA]

MTCNN is the wheel of mtcnn 1.0.0 (`pip download --no-deps mtcnn==1.0.0`), or a folder it was unpacked into; its weights are
an lz4 file, which joblib reads where the package lz4 is installed. The network keeps its layers up to the 256 numbers
before the heads, which are written as "features"; the file is refused unless it answers as the same layers do in NumPy.
With --data, CelebA's zip or folder, a random part of its images is seen by the network: onet_reference.npz, features and
names. onet.json, with the sums of both, is written last. Each file is written whole or not at all; a minute in all.
"""
import argparse
import hashlib
import io
import json
import zipfile

import joblib
import numpy as np
import onnx
from onnx import helper, numpy_helper

from latentfaces.bundle import sha256
from latentfaces.core import expand_path, replace_file
from latentfaces.features import OnetFeatures
from latentfaces.images import ImageSubset, load_images
from latentfaces.networks import Network

WEIGHTS = "mtcnn/assets/weights/onet.lz4"
SUM = "94f6ea2f4cf985275ee958cdd762d17b6009348a4fb9d8c6be39ba73ffd22ca3"  # it is a pickle, which may do anything
CROP, N_IMAGES = 140, 2500
ABOUT = {
    "network": "O-Net of MTCNN, to the layer of 256 numbers before its heads",
    "source": "mtcnn 1.0.0 from PyPI, MIT licence, copyright (c) 2019-2024 Iván de Paz Centeno",
    "citation": "K. Zhang, Z. Zhang, Z. Li, Y. Qiao, Joint Face Detection and Alignment Using Multitask Cascaded "
    "Convolutional Networks, IEEE Signal Processing Letters 23 (2016)",
    "crop": CROP,
}
# Convolution, its pooling's window, and the pixels that the pooling adds at the right and below
LAYERS = ((3, 1), (3, 0), (2, 0), (0, 0))


def read_weights(path):
    "The arrays of O-Net in Keras' order: kernel, bias and slopes of each layer, then the heads."
    path = expand_path(path)
    if path.is_dir():
        data = (path / WEIGHTS).read_bytes()
    else:
        with zipfile.ZipFile(path) as wheel:
            data = wheel.read(WEIGHTS)
    if hashlib.sha256(data).hexdigest() != SUM:
        raise ValueError(f"expected {WEIGHTS} of mtcnn 1.0.0, got another file, which is not unpacked: take that version")
    return joblib.load(io.BytesIO(data))


def in_numpy(weights, pictures):
    "The same layers by hand, on (n, 48, 48, 3) in the network's range: the yardstick of the file."
    x, arrays = pictures.astype(np.float64), iter(weights)
    for window, more in LAYERS:
        kernel, bias, slopes = (next(arrays) for _ in range(3))
        size, side = len(kernel), x.shape[1] - len(kernel) + 1
        x = bias + sum(x[:, i : i + side, j : j + side] @ kernel[i, j] for i in range(size) for j in range(size))
        x = np.where(x > 0, x, x * slopes)
        if window:
            x = np.pad(x, ((0, 0), (0, more), (0, more), (0, 0)), constant_values=-np.inf)
            side = (x.shape[1] - window) // 2 + 1
            parts = [x[:, i:][:, : 2 * side : 2, j:][:, :, : 2 * side : 2] for i in range(window) for j in range(window)]
            x = np.max(parts, axis=0)
    kernel, bias, slopes = (next(arrays) for _ in range(3))
    x = x.transpose(0, 2, 1, 3).reshape(len(x), -1) @ kernel + bias  # it reads column by column
    return np.where(x > 0, x, x * slopes)


def named_layers(weights):
    "Nodes and arrays of the network, in ONNX's order of axes."
    nodes, arrays, given = [], {}, iter(weights)
    last = "columns"
    nodes.append(helper.make_node("Transpose", ["rows"], [last], perm=[0, 3, 1, 2]))

    def add(kind, name, values=(), **more):
        nonlocal last
        names = [f"{name}/{i}" for i in range(len(values))]
        arrays.update(zip(names, values))
        nodes.append(helper.make_node(kind, [last, *names], [name], **more))
        last = name

    for i, (window, more) in enumerate(LAYERS, 1):
        kernel, bias, slopes = (next(given) for _ in range(3))
        add("Conv", f"conv{i}", (kernel.transpose(3, 2, 0, 1), bias), strides=[1, 1])
        add("PRelu", f"prelu{i}", (slopes.reshape(-1, 1, 1),))
        if window:
            add("MaxPool", f"pool{i}", kernel_shape=[window] * 2, strides=[2, 2], pads=[0, 0, more, more])
    kernel, bias, slopes = (next(given) for _ in range(3))
    add("Transpose", "by_columns", perm=[0, 3, 2, 1])  # as it was trained: from (channel, row, column)
    add("Flatten", "flat", axis=1)
    add("Gemm", "fc5", (kernel, bias))
    add("PRelu", "features", (slopes,))
    return nodes, arrays


def as_file(nodes, arrays):
    "The bytes of the network, weights as float16."
    tensors = [numpy_helper.from_array(array.astype(np.float16), f"{name}/half") for name, array in arrays.items()]
    casts = [helper.make_node("Cast", [f"{name}/half"], [name], to=onnx.TensorProto.FLOAT) for name in arrays]
    ends = [
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)]
        for name, shape in (("rows", ["n", 48, 48, 3]), ("features", ["n", 256]))
    ]
    graph = helper.make_graph(casts + nodes, "onet", *ends, tensors)
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8, producer_name="latentfaces convert_onet")
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def converted(weights):
    "The network; raises ValueError unless it answers as the layers do by hand, up to the rounding of its weights."
    content = as_file(*named_layers(weights))
    pictures = np.random.default_rng(0).uniform(-1, 1, (4, 48, 48, 3)).astype(np.float32)
    by_hand, found = in_numpy(weights, pictures), Network(content)(pictures)
    exact = in_numpy([array.astype(np.float16).astype(np.float64) for array in weights], pictures)
    for wanted, most in ((exact, 1e-5), (by_hand, 1e-2)):
        away = abs(found - wanted).max() / abs(wanted).max()
        if not away < most:
            raise ValueError(f"expected the layers' own answers, got a difference of {away:.1e}: was the order changed?")
    return content


def reference(features, source):
    "Its features of some images of CelebA, at random and in the order of their names, as float16, with the names."
    # The order by which held-out images are chosen as well: all of them are among these.
    images, names = load_images(source, size=64, crop=CROP, return_names=True)
    rows = np.sort(np.random.default_rng(0).permutation(len(images))[:N_IMAGES])
    found = features(ImageSubset(images, rows)).astype(np.float16)
    return {"features": found, "names": np.asarray(names)[rows]}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("mtcnn", help="the wheel of mtcnn 1.0.0, or the folder it was unpacked into")
    p.add_argument("--out", required=True, help="folder to write into")
    p.add_argument("--data", help="CelebA's zip or folder, for onet_reference.npz")
    a = p.parse_args()
    folder, content = expand_path(a.out), converted(read_weights(a.mtcnn))
    files = ["onet.onnx"]
    replace_file(folder / "onet.onnx", lambda file: file.write(content))
    if a.data:
        arrays = reference(OnetFeatures(folder / "onet.onnx"), a.data)
        replace_file(folder / "onet_reference.npz", lambda file: np.savez_compressed(file, **arrays))
        files.append("onet_reference.npz")
    config = ABOUT | {"sha256": {name: sha256(folder / name) for name in files}}
    text = json.dumps(config, indent=1, ensure_ascii=False) + "\n"
    replace_file(folder / "onet.json", lambda file: file.write(text.encode()))


if __name__ == "__main__": main()
