"Tables of samplers: rows, seeds, references, files, texts, and the command."
import csv
import json
import os
import subprocess
import sys
import threading
import warnings

import numpy as np
import pandas as pd
import pytest

from clouds import cloud
from latentfaces import cli
from latentfaces.bundle import Bundle, mismatched_images, load_bundle
from latentfaces.drawn import synthetic_faces
from latentfaces.densities import BlendSampler, EigenfaceSampler
from latentfaces.evaluation import (
    Yardstick, build_reference, check_table_path, evaluate, format_table, load_reference, readable_table, reference_for, write_table)
from latentfaces.features import Features, build_attribute_network, load_features
from latentfaces.metrics import standard_error
from latentfaces.sampling import SAMPLERS, GaussianSampler, make_sampler

@pytest.fixture(scope="module")
def small_world(tiny_bundle, face_folder):
    "Tiny bundle, tiny features, and a reference with images."
    from latentfaces.images import load_images
    features = Features(build_attribute_network(16, 40, 6, (4, 8)), attribute_names=load_features().attribute_names)
    images, names = load_images(face_folder, size=16, return_names=True, progress=False)
    return tiny_bundle, features, build_reference(images, names, tiny_bundle, features, progress=False)


def table(world, **options):
    bundle, features, reference = world
    return evaluate(bundle, options.pop("samplers", {"Gaussian": GaussianSampler()}), reference, features=features, **{"n_samples": 40, "progress": False, "n_faces": 5, "n_seeds": 2} | options)


def test_a_table_always_has_the_four_rows(small_world):
    found = table(small_world)
    assert list(found.index) == ["real images", "reconstructions", "mean face", "N(0, I)", "Gaussian"] and found.index.name == "name"
    assert found.loc["mean face", "diversity"] == pytest.approx(0, abs=1e-5)
    assert found.loc["reconstructions", "frechet_ratio"] == pytest.approx(1) or "frechet_ratio" not in found
    assert found.coverage.between(0, 1).all() and (found.frechet >= 0).all() and (found.n_samples <= 54).all()
    assert np.isfinite(found.loc["Gaussian", "copies_pixels"]) and np.isnan(found.loc["real images", "copies_pixels"])


def test_the_same_seed_gives_the_same_table(small_world):
    first = table(small_world)
    pd.testing.assert_frame_equal(first, table(small_world))
    assert not first.equals(table(small_world, random_state=1))


def test_the_spread_is_that_of_single_draws(small_world):
    "Means and standard deviations are those of tables with one seed each; a single draw has no spread."
    whole = table(small_world, n_seeds=3, random_state=5)
    single = [table(small_world, n_seeds=1, random_state=seed) for seed in (5, 6, 7)]
    assert not [name for one in single for name in one if name.endswith("_sd")]
    for name in ("frechet", "coverage", "diversity", "copies"):
        values = np.array([one.loc["Gaussian", name] for one in single])
        assert whole.loc["Gaussian", name] == pytest.approx(values.mean()) and whole.loc["Gaussian", f"{name}_sd"] == pytest.approx(values.std(ddof=1))
        assert list(whole).index(f"{name}_sd") == list(whole).index(name) + 1
    assert whole.loc["Gaussian", "frechet_sd"] > 0 and whole.n_samples.dtype == int


def test_samplers_are_fitted_once(small_world):
    fits = []
    class Counted(GaussianSampler):
        def fit(self, z, y=None):
            fits.append(len(z))
            return super().fit(z)
    table(small_world, samplers={"a": Counted()}, n_seeds=3)
    assert len(fits) == 1


@pytest.mark.parametrize("n_seeds", [0, -1, 1.5, None])
def test_bad_numbers_of_seeds(n_seeds, small_world):
    with pytest.raises((ValueError, TypeError), match="n_seeds must be a whole number of at least 1"): table(small_world, n_seeds=n_seeds)


def test_rows_may_be_samplers_fitted_or_not_z_vectors_or_images(small_world):
    bundle = small_world[0]
    z = GaussianSampler().fit(bundle.z).sample(40, random_state=0)
    given = {"unfitted": GaussianSampler(), "fitted": GaussianSampler().fit(bundle.z), "vectors": z, "images": bundle.decode(z)}
    rows = table(small_world, samplers=given, n_seeds=1).loc[list(given)]
    for name in given: assert rows.loc[name].to_dict() == pytest.approx(rows.loc["unfitted"].to_dict(), nan_ok=True)


@pytest.mark.parametrize("samplers, names", [
    (["elliptic", "blend"], ["elliptic", "blend"]), ("blend", ["blend"]), (("gaussian",), ["gaussian"]), (BlendSampler(), ["BlendSampler"]),
    ({"two parents": "blend"}, ["two parents"]), ({}, []), (None, [name for name, entry in SAMPLERS.items() if entry.compared_by_default])])
def test_rows_may_be_named(small_world, samplers, names):
    assert list(table(small_world, samplers=samplers, n_seeds=1).index)[4:] == names


def test_a_name_is_the_sampler_that_it_names(small_world):
    by_name, by_class = table(small_world, samplers=["blend"]), table(small_world, samplers={"blend": BlendSampler()})
    pd.testing.assert_frame_equal(by_name, by_class)


@pytest.mark.parametrize("samplers, says", [
    (["magic"], "expected one of the samplers"), ([GaussianSampler()], "expected names of samplers, a sampler or a dict"), (3, "expected names"), (GaussianSampler, "expected names"),
    ({"a": GaussianSampler}, "expected a sampler such as"), ({"mean face": "blend"}, "rows of every table"), ({"a": None}, "expected"), ({"a": np.zeros((30, 7))}, r"shape \(n, 4\)"), ({"a": np.full((30, 4), np.nan)}, "NaN"),
    ({"a": GaussianSampler().fit(cloud(50, 7))}, r"shape \(n, 4\)"), ({"a": np.full((30, 4, 4, 3), 7.0)}, r"in \[0, 1\]"), ({"a": "magic"}, "expected one of the samplers")])
def test_what_is_no_sampler_is_refused_before_the_work(small_world, samplers, says):
    bundle, _, _ = small_world
    class Never:
        def predict(self, images): raise AssertionError("worked")
    with pytest.raises((ValueError, TypeError), match=f"^[^\n]*{says}[^\n]*$"): evaluate(bundle, samplers, features=Never(), progress=False)


def test_a_sampler_of_images_has_a_row_when_it_is_fitted(small_world):
    class Eigenfaces(EigenfaceSampler): learns_from = "images"
    images = small_world[2].images[0][np.arange(60)]
    fitted = Eigenfaces(5).fit(images)
    found = table(small_world, samplers={"eigenfaces": fitted, "images": fitted.sample(40, random_state=0)}, n_seeds=1)
    assert found.loc["eigenfaces"].to_dict() == pytest.approx(found.loc["images"].to_dict(), nan_ok=True)
    with pytest.raises(TypeError, match="learns from images, not from z-points: fit it first"): table(small_world, samplers={"a": Eigenfaces()})


def test_the_table_says_how_sure_the_share_of_faces_is(small_world):
    found = table(small_world, n_faces=40, n_seeds=1)
    for name in ("reconstructions", "N(0, I)", "Gaussian"): assert found.loc[name, "face_rate_se"] == standard_error(found.loc[name, "face_rate"], 40)
    assert np.isnan(found.loc[["real images", "mean face"], "face_rate_se"]).all() and "±" in format_table(found, ["face_rate"])


def test_a_single_picture_fills_its_row_and_is_looked_at_once(small_world, monkeypatch):
    seen, mean = [], small_world[0].z.mean(axis=0, keepdims=True)
    monkeypatch.setattr("latentfaces.evaluation.face_rate", lambda images: seen.append(len(images)) or 0.5)
    found = table(small_world, samplers={"one": mean, "many": np.repeat(mean, 40, axis=0)}, n_seeds=1)
    assert seen == [5, 1, 5, 1, 5] and (found.loc[["mean face", "one", "many"], "n_samples"] == 40).all()
    measured = found.drop(columns="face_rate_se")
    assert measured.loc["one"].to_dict() == pytest.approx(measured.loc["mean face"].to_dict(), nan_ok=True)
    assert measured.loc["many"].to_dict() == pytest.approx(measured.loc["one"].to_dict(), abs=1e-3, nan_ok=True)


def test_features_of_your_own_do_not_fit_the_shipped_reference_whatever_they_name():
    names = load_features().attribute_names
    own = Features(build_attribute_network(64, 40, 128, (4, 8)), attribute_names=names)
    with pytest.raises(ValueError, match="^expected the images as well as other features, [^\n]+$"): reference_for(load_bundle(), None, own)
    assert reference_for(load_bundle(), None, load_features()) is load_reference()


def test_a_slow_fit_shows_that_it_goes_on(small_world):
    told = []
    class Slow(GaussianSampler):
        def __init__(self, scale=1.0, *, n_components=None, progress=True, random_state=None):
            super().__init__(scale, n_components=n_components, random_state=random_state)
            self.progress = progress
        def fit(self, z, y=None):
            told.append(self.progress)
            return super().fit(z)
    for progress in (True, False): table(small_world, samplers={"a": Slow()}, n_seeds=1, progress=progress)
    assert told == [True, False]


def test_other_images_of_the_same_names_are_refused(small_world, face_folder, tmp_path):
    from PIL import Image
    bundle, features, _ = small_world
    assert len(reference_for(bundle, face_folder, features, progress=False).train) == 108
    for i, face in enumerate(synthetic_faces(120, size=16, random_state=99)[0]): Image.fromarray(face).save(tmp_path / f"{i:03d}.png")
    with pytest.raises(ValueError, match="got others under 108 of their names, such as [0-9]+.png"): reference_for(bundle, tmp_path, features, progress=False)


def changed_config(bundle, encoder=True, **data):
    "A bundle with other data in its config, in memory, with or without its encoder."
    config = bundle.config | {"data": {name: value for name, value in (bundle.config["data"] | data).items() if value is not None}}
    return Bundle(bundle.z, bundle.names, config, bundle.encoder if encoder else None, bundle.decoder)


@pytest.mark.parametrize("fingerprint, images_are", [("right", "accepted"), ("0" * 32, "encoded"), (None, "encoded")])
def test_the_fingerprint_is_asked_before_the_encoder(fingerprint, images_are, small_world, face_folder, monkeypatch):
    bundle, features, _ = small_world
    asked = []
    monkeypatch.setattr("latentfaces.evaluation.mismatched_images", lambda *args: asked.append(1) or mismatched_images(*args))
    bundle = changed_config(bundle, **{} if fingerprint == "right" else {"fingerprint": fingerprint})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(reference_for(bundle, face_folder, features, progress=False).train) == 108
    assert bool(asked) == (images_are == "encoded")


@pytest.mark.parametrize("fingerprint, says", [("0" * 32, "another fingerprint"), (None, "no fingerprint"), ("right", None)])
def test_without_an_encoder_what_cannot_be_compared_is_said_once(fingerprint, says, small_world, face_folder):
    bundle, features, _ = small_world
    bundle = changed_config(bundle, encoder=False, **{} if fingerprint == "right" else {"fingerprint": fingerprint})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert len(reference_for(bundle, face_folder, features, progress=False).train) == 108
    found = [str(warning.message) for warning in caught]
    assert len(found) == (says is not None) and all(f"without an encoder and with {says}: make sure" in text for text in found)


@pytest.mark.parametrize("missing", [("size",), ("crop",), ("size", "crop")])
def test_what_the_config_does_not_say_the_decoder_does(missing, small_world, face_folder):
    bundle, features, reference = small_world
    config = {name: value for name, value in bundle.config.items() if name not in missing}
    for decoder in (bundle.decoder, lambda z: bundle.decode(z)):
        found = reference_for(Bundle(bundle.z, bundle.names, config, bundle.encoder, decoder), face_folder, features, progress=False)
        np.testing.assert_allclose(found.train, reference.train, atol=1e-5)
    with pytest.raises(ValueError, match="got z-points without one"): reference_for(Bundle(bundle.z, bundle.names), face_folder, features, progress=False)


@pytest.mark.parametrize("n", [30, 100])
def test_the_bar_ends_where_its_total_is(n, small_world, monkeypatch):
    class Bar:
        def __init__(self, total): self.total, self.n = total, 0
        def __enter__(self): return self
        def __exit__(self, *error): pass
        def update(self, steps=1): self.n += steps
        def set_description(self, text): pass
    bars = []
    monkeypatch.setattr("latentfaces.evaluation.progress_bar", lambda *args, total, **options: bars.append(Bar(total)) or bars[-1])
    table(small_world, n_samples=n, samplers={"Gaussian": GaussianSampler(), "vectors": small_world[0].z[:25]})  # 54 reconstructions, 25 vectors
    assert bars[0].n == bars[0].total > 0


def test_reconstructions_come_from_the_half_that_is_not_the_yardstick(small_world):
    from latentfaces.evaluation import _sources
    bundle, features, reference = small_world
    by = Yardstick(reference, bundle, features)
    _, z = next(_sources(bundle, {}, by, 1000))
    assert len(z) == len(by.other) == 54
    np.testing.assert_array_equal(np.sort(z, axis=0), np.sort(bundle.z[np.isin(bundle.names, reference.names[by.other])], axis=0))


@pytest.mark.parametrize("n", [0, 19, -5, 2.5, True, "many"])
def test_too_few_pictures(small_world, n):
    with pytest.raises((ValueError, TypeError), match="n_samples must be a whole number of at least 20"): table(small_world, n_samples=n)
    with pytest.raises(ValueError, match="n_faces must be a whole number of at least 1"): table(small_world, n_faces=0)


def test_the_shipped_reference_is_refused_where_it_does_not_fit(tiny_bundle):
    with pytest.raises(ValueError, match="pass data"): reference_for(tiny_bundle)
    assert reference_for(load_bundle()) is load_reference()
    with pytest.raises(ValueError, match="got none of them"): build_reference(synthetic_faces(3, size=16)[0], ["x", "y", "z"], tiny_bundle, lambda x: x)


def test_without_held_out_images_copies_are_left_out(small_world):
    found = table((*small_world[:2], small_world[2]._replace(held_out=small_world[2].held_out[:0])), samplers={})
    assert "copies" not in found and "copies" not in format_table(found)


def test_features_without_attributes_have_a_table_without_them(small_world, face_folder):
    bundle, features, _ = small_world
    plain = Features(features.network)
    found = evaluate(bundle, {}, reference_for(bundle, face_folder, plain, progress=False), 30, 0, False, plain, 3, 1)
    assert "attribute_gap" not in found and "coverage" in found


ROWS = pd.DataFrame({"n_samples": [3, 4], "frechet": [1.5, 2.25], "frechet_sd": [0.126, np.nan], "frechet_ratio": [np.inf, np.nan]}, pd.Index(["a, b", "c"], name="name"))


def test_tables_are_written_whole_or_not_at_all(tmp_path):
    with (write_table(ROWS, tmp_path / "t.csv")).open(newline="") as file: found = list(csv.DictReader(file))
    assert found == [{"name": "a, b", "n_samples": "3", "frechet": "1.5", "frechet_sd": "0.126", "frechet_ratio": ""},
                     {"name": "c", "n_samples": "4", "frechet": "2.25", "frechet_sd": "", "frechet_ratio": ""}]
    assert json.loads(write_table(ROWS, tmp_path / "t.json").read_text())[1] == {"name": "c", "n_samples": 4, "frechet": 2.25, "frechet_sd": None, "frechet_ratio": None}
    for bad in ([{"name": "a"}], None, ROWS.assign(other="text"), ROWS.assign(other=object())):
        with pytest.raises(TypeError, match="^expected the table that evaluate returned, got [^\n]+$"): write_table(bad, tmp_path / "bad.json")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.csv", "t.json"]
    with pytest.raises(ValueError, match="ends in .csv or .json"): check_table_path(tmp_path / "t.txt")
    assert write_table(ROWS, tmp_path / "new" / "t.csv").is_file()
    with pytest.raises(NotADirectoryError, match="which is none"): check_table_path(tmp_path / "t.csv" / "t.csv")


def test_a_table_that_was_written_is_the_table(small_world, tmp_path):
    found = table(small_world)
    again = pd.read_csv(write_table(found, tmp_path / "t.csv"), index_col="name")
    pd.testing.assert_frame_equal(again, found)
    again = pd.DataFrame(json.loads(write_table(found, tmp_path / "t.json").read_text())).set_index("name")
    pd.testing.assert_frame_equal(again, found, check_dtype=False)


def test_people_read_numbers_with_their_spread():
    shown = readable_table(ROWS, "all")
    assert shown.to_dict("list") == {"n samples": ["3", "4"], "Fréchet": ["1.50 ± 0.13", "2.25"], "Fréchet ratio": ["inf", "-"]}
    assert list(readable_table(ROWS)) == ["Fréchet ratio"] and list(shown.index) == ["a, b", "c"]
    lines = format_table(ROWS, ["frechet"]).splitlines()
    assert [line.split() for line in lines] == [["Fréchet"], ["a,", "b", "1.50", "±", "0.13"], ["c", "2.25"]] and len({len(line) for line in lines}) == 1
    with pytest.raises(ValueError, match="got 'magic': choose from n_samples, frechet, frechet_ratio"): readable_table(ROWS, ["magic"])


@pytest.mark.parametrize("width", [40, 60, 100])
def test_no_line_is_longer_than_the_terminal(width, small_world):
    found = table(small_world)
    lines = format_table(found, "all", width).splitlines()
    assert max(map(len, lines)) <= width and sum("Gaussian" in line for line in lines) >= 2
    assert max(map(len, format_table(found).splitlines())) <= 100 and "\n\n" not in format_table(found)


def test_a_table_goes_through_links_and_pipes(tmp_path):
    rows, link, pipe, read = ROWS[["n_samples"]].iloc[1:], tmp_path / "link.csv", tmp_path / "pipe.csv", []
    link.symlink_to("there.csv")
    assert write_table(rows, link) == link and link.is_symlink() and (tmp_path / "there.csv").read_text() == "name,n_samples\nc,4\n"
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write_table(rows, pipe)
    reader.join(10)
    assert read == ["name,n_samples\nc,4\n"] and pipe.is_fifo()


# ----------------------------------------------------------------------------------------------------------------- command

def test_the_command_on_your_own_images(tiny_bundle, face_folder, tmp_path, capsys):
    out = tmp_path / "table.json"
    assert cli.main(["evaluate", "--bundle", str(tiny_bundle.path), "--data", str(face_folder), "--sampler", "gaussian:0.5", "--n", "30", "--quiet", "--out", str(out)]) == 0
    assert [row["name"] for row in json.loads(out.read_text())][4:] == ["gaussian:0.5"]
    shown = capsys.readouterr()
    assert "gaussian:0.5" in shown.out and "copies" in shown.out and shown.err == ""


@pytest.mark.parametrize("encoding", ["ascii", "cp932"])
def test_the_table_is_written_and_shown_on_any_terminal(encoding, tiny_bundle, face_folder, tmp_path):
    out = tmp_path / "table.csv"
    done = subprocess.run([sys.executable, "-m", "latentfaces", "evaluate", "--bundle", tiny_bundle.path, "--data", face_folder, "--sampler", "gaussian",
                           "--n", "20", "--quiet", "--out", out], env=os.environ | {"PYTHONIOENCODING": encoding}, capture_output=True)
    assert done.returncode == 0 and b"Fr?chet" in done.stdout and out.read_text().startswith("name,n_samples,frechet,frechet_sd,"), done.stderr


@pytest.mark.parametrize("options, samplers", [
    ([], {name: make_sampler(name) for name, entry in SAMPLERS.items() if entry.compared_by_default}),
    (["--sampler", "gaussian:0.5", "--sampler", "blend", "--components", "3"], {"gaussian:0.5": make_sampler("gaussian", factor=0.5, n_components=3), "blend": make_sampler("blend")}),
    (["--sampler", "gaussian:"], {"gaussian": make_sampler("gaussian")}), (["--components", "0.5", "--sampler", "sequential"], {"sequential": make_sampler("sequential", n_components=0.5)})])
def test_the_rows_of_the_command(options, samplers):
    rows = cli._rows(cli.parser().parse_args(["evaluate", *options]))
    assert {label: repr(row) for label, row in rows.items()} == {label: repr(row) for label, row in samplers.items()}


def test_drawn_faces_are_not_compared_with_photographs(small_world):
    "Their files are called as CelebA's are."
    bundle = load_bundle()
    drawn = Bundle(bundle.z, bundle.names, bundle.config | {"data": {"source": "synthetic:8500"}})
    with pytest.raises(ValueError, match="with crop 140 and drawn images such as .*: pass data"): reference_for(drawn)
    assert len(reference_for(bundle).train) == 8500


@pytest.mark.parametrize("bundle", ["x", np.zeros((30, 4))])
def test_what_is_no_bundle_is_refused_in_one_sentence(bundle):
    with pytest.raises(TypeError, match="expected a bundle, got .*: load_bundle reads"): evaluate(bundle)
