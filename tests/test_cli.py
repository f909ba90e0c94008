"The command line: what the commands print and write, their mistakes, their help, and streams of every kind."
import io
import json
import os
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest

from latentfaces import cli
from latentfaces.cli import main
from latentfaces.drawn import synthetic_faces
from latentfaces.generation import generate_vectors
from latentfaces.sampling import SAMPLERS, EllipticSampler, make_sampler


def run(*args, **options):
    return subprocess.run([sys.executable, "-m", "latentfaces", *map(str, args)], **{"capture_output": True, "text": True} | options)


def test_command_writes_the_same_vectors_as_the_function(tiny_bundle, tmp_path):
    done = run("generate", "--bundle", tiny_bundle.path, "--count", 6, "--seed", 4, "--components", 2, "--factor", 0.6, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "faces.png") in done.stdout and str(tmp_path / "faces.npz") in done.stdout
    with np.load(tmp_path / "faces.npz") as file: written, settings = file["z"], json.loads(str(file["settings"]))
    np.testing.assert_array_equal(written, generate_vectors(tiny_bundle, EllipticSampler(n_components=2, factor=0.6), 6, 4))
    assert settings == {"sampler": "elliptic", "n_components": 2, "factor": 0.6, "seed": 4}


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_command_offers_every_sampler_with_what_its_class_takes(name, capsys, monkeypatch):
    """The options of each sampler are those that the registry says it has."""
    knobs = {knob: value for knob in ("n_components", "factor") if (value := SAMPLERS[name].default(knob)) is not None}
    assert cli._settings(name, make_sampler(name), 0) == {"sampler": name} | knobs | {"seed": 0}
    for knob in ("n_components", "factor"):
        if getattr(SAMPLERS[name], knob): continue
        assert main(["generate", "--sampler", name, f"--{knob.removeprefix('n_')}", "0.5"]) == 2
        assert f"the sampler {name} has no {knob}" in capsys.readouterr().err


def test_the_help_says_what_the_registry_says(capsys):
    for command in ("generate", "evaluate"):
        with pytest.raises(SystemExit): main([command, "--help"])
        said = " ".join(capsys.readouterr().out.split())
        for name, entry in SAMPLERS.items(): assert f"{name} {entry.description}" in said
        assert f"{SAMPLERS['elliptic'].default('factor')} for elliptic" in said and "(default: None)" not in said


def test_the_help_of_all_commands_needs_no_samplers():
    done = subprocess.run([sys.executable, "-X", "importtime", "-m", "latentfaces", "--help"], capture_output=True, text=True)
    assert "generate" in done.stdout and "numpy" not in done.stderr


BAD = {
    "generate": [["--factor", "0"], ["--factor", "nan"], ["--factor", "x"], ["--components", "999"], ["--components", "many"], ["--components", "-1"],
                 ["--count", "0"], ["--count", "-3"], ["--count", "1e4"], ["--seed", "-1"], ["--seed", "x"], ["--sampler", "magic"],
                 ["--sampler", "blend", "--factor", "0.5"], ["--bundle", "nowhere"], ["--bundle", "~nosuchuser"], ["--out", "~nosuchuser/x"],
                 ["--out", "a-file"], ["--out", "a-file/deeper"], ["--wrong"], ["more"]],
    "evaluate": [["--n", "3"], ["--n", "x"], ["--sampler", "magic"], ["--sampler", "elliptic:x"], ["--sampler", "blend:0.5"], ["--sampler", "elliptic:-1"],
                 ["--sampler", "blend", "--components", "5"], ["--components", "many"], ["--out", "table.txt"], ["--out", "a-file/table.csv"],
                 ["--features", "nowhere.keras"], ["--features", "a-file"], ["--features", "~nosuchuser/x.keras"], ["--bundle", "nowhere"],
                 ["--data", "~nosuchuser"], ["--seed", "-1"], ["--feature-range", "0"], ["--wrong"],
                 ["--judges"], ["--judges", "magic"], ["--judges", "own", "--features", "dlib"], ["--keep", "x"], ["--judges", "onet", "--keep", "a-file"]],
    "report": [["--seed", "-1"], ["--seed", "1.5"], ["--out", "a-folder"], ["--out", "a-file/page.html"], ["--out", "~nosuchuser/page.html"],
               ["--bundle", "nowhere"], ["--bundle", "nowhere.npy"], ["--bundle", "a-file"], ["--bundle", "a-folder"], ["--bundle", "~nosuchuser/z.npy"],
               ["--wrong"], ["more"]],
    "train": [["--size", "0"], ["--size", "50"], ["--crop", "0"], ["--limit", "-1"], ["--held-out", "x"], ["--epochs", "0"], ["--batch-size", "0"],
              ["--latent-dim", "0"], ["--filters", "a-b"], ["--kernel-size", "0"], ["--optimizer", "magic"], ["--learning-rate", "0"], ["--learning-rate", "nan"],
              ["--dtype", "float8"], ["--seed", "-1"], ["--data", "nowhere"], ["--data", "~nosuchuser"], ["--wrong"]],
}


@pytest.mark.parametrize("command, options", [(command, options) for command, cases in BAD.items() for options in cases], ids=lambda part: " ".join(part) if isinstance(part, list) else part)
def test_a_mistake_is_one_line_and_leaves_nothing(command, options, tiny_bundle, face_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a-file").write_text("x")
    (tmp_path / "a-folder").mkdir()
    given = {"generate": ["--bundle", tiny_bundle.path], "evaluate": ["--bundle", tiny_bundle.path, "--data", face_folder, "--n", "20"],
             "report": ["--bundle", tiny_bundle.path], "train": ["--data", face_folder, "--out", "bundle", "--no-align", "--size", "16", "--epochs", "1"]}[command]
    try: status = main([command, "--quiet", *map(str, given), *options])
    except SystemExit as stop: status = stop.code
    said = capsys.readouterr()
    assert status == 2 and said.out == ""
    assert said.err.startswith("latentfaces: ") and said.err.count("\n") == 1
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a-file", "a-folder"]


@pytest.mark.parametrize("arguments", [[], ["magic"], ["--wrong"]])
def test_a_command_that_there_is_not(arguments, capsys):
    with pytest.raises(SystemExit) as stop: main(arguments)
    said = capsys.readouterr().err
    assert stop.value.code == 2 and said.startswith("latentfaces: ") and said.count("\n") == 1


def test_warnings_show_no_source_line(capsys, monkeypatch):
    def warns(args): warnings.warn("the data\nare few")
    monkeypatch.setitem(cli._COMMANDS, "report", (warns, *cli._COMMANDS["report"][1:]))
    shown = warnings.showwarning
    assert main(["report"]) == 0 and capsys.readouterr().err == "latentfaces: warning: the data are few\n"
    assert warnings.showwarning is shown


@pytest.mark.parametrize("command, says", [("train", "interrupted\n"), ("generate", "interrupted\n")])
def test_an_interruption_is_no_error(command, says, capsys, monkeypatch, tmp_path):
    def stops(args): raise KeyboardInterrupt
    monkeypatch.setitem(cli._COMMANDS, command, (stops, *cli._COMMANDS[command][1:]))
    options = ["--data", "x", "--out", str(tmp_path)] if command == "train" else []
    assert main([command, *options]) == 130 and capsys.readouterr().err == f"\nlatentfaces: {says}"
    (tmp_path / "checkpoint.npz").write_text("x")
    main([command, *options])
    assert ("go on with --resume" in capsys.readouterr().err) == (command == "train")


@pytest.mark.parametrize("unbuffered", [{}, {"PYTHONUNBUFFERED": "1"}])
def test_a_reader_that_goes_costs_nothing(unbuffered, tiny_bundle, tmp_path):
    read, write = os.pipe()
    os.close(read)  # gone before the first word
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"} | unbuffered
    done = run("generate", "--bundle", tiny_bundle.path, "--quiet", "--out", tmp_path, capture_output=False, stdout=write, stderr=subprocess.PIPE, env=env)
    os.close(write)
    assert done.returncode == 141 and done.stderr == ""
    assert sorted(p.name for p in tmp_path.iterdir()) == ["faces.npz", "faces.png"]


@pytest.mark.skipif(sys.platform == "win32", reason="closes descriptors as shells on Unix do")
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_cost_nothing(closed, tiny_bundle, tmp_path):
    command = f'"{sys.executable}" -m latentfaces generate --bundle "{tiny_bundle.path}" --out "{tmp_path}" {closed}'
    assert subprocess.run(command, shell=True, capture_output=True).returncode == 0
    with np.load(tmp_path / "faces.npz") as file: assert len(file["faces"]) == 20


@pytest.mark.parametrize("encoding", ["ascii", "cp932", "latin-1"])
def test_no_terminal_is_too_poor(encoding):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    kept, sys.stdout = sys.stdout, stream
    try:
        with cli._streams():
            print("Fréchet ± ∞ 顔")
            sys.stdout.flush()
        assert stream.errors == "strict", "as it was"
    finally: sys.stdout = kept
    assert stream.buffer.getvalue().startswith(b"Fr")


@pytest.mark.parametrize("command", [[], ["generate"], ["train"]])
def test_help_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as stop: main([*command, "--help"])
    assert stop.value.code == 0
    assert "faces" in capsys.readouterr().out


def test_train_command_without_images_says_what_it_looked_for(tmp_path, capsys):
    assert main(["train", "--data", str(tmp_path / "none"), "--out", str(tmp_path / "bundle")]) == 2
    assert str(tmp_path / "none") in capsys.readouterr().err


def test_train_command_names_sizes_that_do(face_folder, tmp_path, capsys):
    assert main(["train", "--quiet", "--data", str(face_folder), "--out", str(tmp_path / "bundle"), "--size", "50"]) == 2
    assert "use 48 or 64" in capsys.readouterr().err


@pytest.mark.parametrize("seed", ["-1", "1.5", "x", ""])
def test_a_bad_seed_is_named(seed, capsys):
    with pytest.raises(SystemExit): main(["generate", "--seed", seed])
    assert f"argument --seed: expected a whole number of at least 0, got {seed!r}" in capsys.readouterr().err


def test_a_factor_behind_the_name_is_the_option_factor(tiny_bundle, tmp_path, capsys):
    drawn = []
    for options in (["--sampler", "elliptic:0.6"], ["--sampler", "elliptic", "--factor", "0.6"]):
        assert main(["generate", "--bundle", str(tiny_bundle.path), "--count", "3", "--quiet", "--out", str(tmp_path), *options]) == 0
        with np.load(tmp_path / "faces.npz") as file: drawn.append((file["z"].tolist(), str(file["settings"])))
    assert drawn[0] == drawn[1] and json.loads(drawn[0][1])["factor"] == 0.6
    assert main(["generate", "--sampler", "elliptic:0.6", "--factor", "0.6"]) == 2
    assert "expected a factor once" in capsys.readouterr().err


def test_the_defaults_of_train_are_those_of_the_functions():
    from inspect import signature

    from latentfaces.bundle import train_bundle
    from latentfaces.training import train_autoencoder

    args = vars(cli.parser().parse_args(["train", "--data", "x", "--out", "y"]))
    known = {p.name: p.default for function in (train_autoencoder, train_bundle) for p in signature(function).parameters.values() if p.default is not p.empty}
    assert not set(args) & set(cli._TRAIN)  # what was not given is left to the functions
    shown = " ".join(cli.parser().format_help().split() + [option["help"] for option in cli._train_options().values()])
    for name in ("epochs", "held_out", "learning_rate", "optimizer"): assert f"(default: {known[name]})" in shown
    assert known["size"] is None and "side of the images; without it, 64" in shown
    assert set(known) - set(cli._TRAIN) == {"folder", "progress"} - ({"folder"} - set(known))


def test_what_train_is_given_reaches_the_function(monkeypatch, tmp_path, capsys):
    given = {}
    class Done: path, latent_dim, config = tmp_path, 4, {"scores": {"held_out_mse": 0.1, "ratio_to_pixel_pca": 1.0}}
    monkeypatch.setattr("latentfaces.bundle.train_bundle", lambda source, out, **options: given.update(options, source=source, out=out) or Done)
    options = ["--filters", "4-8", "--seed", "3", "--batch-norm", "--held-out", "7", "--learning-rate", "0.5", "--dtype", "mixed_bfloat16", "--resume"]
    assert main(["train", "--data", "x", "--out", str(tmp_path), "--quiet", *options]) == 0
    some = {"filters": (4, 8), "random_state": 3, "batch_norm": True, "held_out": 7, "learning_rate": 0.5, "dtype": "mixed_bfloat16", "resume": True, "progress": False, "out": tmp_path}
    assert {name: given[name] for name in some} == some and list(map(str, given["source"])) == ["x"] and "epochs" not in given


@pytest.mark.parametrize("command", sorted(cli._COMMANDS))
def test_no_help_shows_python(command, capsys):
    with pytest.raises(SystemExit): main([command, "--help"])
    said = capsys.readouterr().out
    assert not re.search(r"[{}]|None|\(default: \(", said) and "(default: False)" not in said
    assert command != "train" or "(default: 32-64-128-256)" in " ".join(said.split())


def test_two_public_names(): assert cli.__all__ == ["parser", "main"]


@pytest.mark.parametrize("option, value, least", [("--size", "abc", 1), ("--epochs", "0", 1), ("--shift", "-1", 0)])
def test_train_says_the_least_number_that_it_takes(option, value, least, capsys):
    with pytest.raises(SystemExit): main(["train", "--data", "a", "--out", "b", option, value])
    assert f"at least {least}, got '{value}'" in capsys.readouterr().err


def test_images_to_vectors_and_back(tiny_bundle, face_folder, tmp_path):
    done = run("encode", "--data", face_folder, "--bundle", tiny_bundle.path, "--out", tmp_path / "z.npz", "--quiet")
    assert done.returncode == 0 and "120 vectors of 4 components" in done.stdout, done.stderr
    with np.load(tmp_path / "z.npz", allow_pickle=False) as file: z, names = file["z"], file["names"]
    here = np.isin(names, tiny_bundle.names)
    np.testing.assert_allclose(z[here], tiny_bundle.z, atol=1e-6)
    assert list(names) == sorted(p.name for p in face_folder.iterdir())
    done = run("decode", tmp_path / "z.npz", "--bundle", tiny_bundle.path, "--out", tmp_path / "faces", "--quiet")
    assert done.returncode == 0 and "decoded 120 vectors" in done.stdout, done.stderr
    with np.load(tmp_path / "faces" / "faces.npz") as file: faces = file["faces"]
    np.testing.assert_array_equal(faces, np.rint(255 * tiny_bundle.decode(z)).astype(np.uint8))


@pytest.mark.parametrize("command, said", [
    (["encode", "--data", "FOLDER", "--out", "z.npy"], "ends in .npz"), (["encode", "--data", "nowhere"], "nowhere"), (["encode"], "--data"),
    (["decode", "nowhere.npz"], "not there"), (["decode", "VECTORS"], "256 components, got 3"), (["decode"], "FILE"), (["decode", "VECTORS", "--out", "VECTORS"], "none")])
def test_what_cannot_be_encoded_or_decoded_gets_one_line(command, said, face_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("three.npy", np.zeros((5, 3)))
    command = [{"FOLDER": str(face_folder), "VECTORS": "three.npy"}.get(word, word) for word in command]
    try: status = main(command)
    except SystemExit as error: status = error.code
    error = capsys.readouterr().err
    assert status == 2 and said in error and error.count("\n") == 1, error
    assert [p.name for p in tmp_path.iterdir()] == ["three.npy"]


def test_several_sources_are_encoded_one_behind_the_other(tiny_bundle, face_folder, tmp_path, capsys):
    import shutil
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders: shutil.copytree(face_folder, folder)
    data = [part for folder in folders for part in ("--data", str(folder))]
    assert main(["encode", *data, "--bundle", str(tiny_bundle.path), "--out", str(tmp_path / "z.npz"), "--quiet"]) == 0
    with np.load(tmp_path / "z.npz") as file:
        assert file["z"].shape == (240, 4) and file["names"][0] == "a/000.png" and file["names"][-1] == "b/119.png"
        np.testing.assert_array_equal(file["z"][:120], file["z"][120:])


def test_a_process_that_was_ended_is_one_line(tiny_bundle, face_folder, tmp_path, monkeypatch, capsys):
    def ended(*args, **options): raise RuntimeError("a process that decoded images was ended from outside")
    monkeypatch.setattr("latentfaces.bundle.load_images", ended)
    assert main(["encode", "--data", str(face_folder), "--bundle", str(tiny_bundle.path), "--out", str(tmp_path / "z.npz")]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("latentfaces: a process that decoded")


def test_nothing_of_a_photograph_is_written_but_where_asked(tmp_path):
    "Neither cache nor home nor temporary folder has more afterwards, but for Matplotlib's list of fonts."
    from PIL import Image
    places = {name: tmp_path / name for name in ("home", "cache", "tmp", "here")}
    for place in places.values(): place.mkdir()
    Image.fromarray(synthetic_faces(1, size=200, random_state=3)[0][0]).save(places["here"] / "me.jpg")
    env = os.environ | {"HOME": str(places["home"]), "XDG_CACHE_HOME": str(places["cache"]), "LATENTFACES_CACHE": str(places["cache"]), "TMPDIR": str(places["tmp"])}
    env.pop("ORT_DISABLE_TELEMETRY", None)
    run("edit", "me.jpg", "--attribute", "Smiling=2", "--out", "o", env=env, check=True, cwd=places["here"])
    written = [path for place in places.values() for path in place.rglob("*") if path.is_file() and "matplotlib" not in path.parts]
    assert sorted(str(path.relative_to(places["here"])) for path in written) == ["me.jpg", "o/edit.npz", "o/edit.png", "o/edited.png"]
