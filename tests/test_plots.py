"Drawing: every function takes plain arrays and an axis, disturbs nothing else, and says what it wants."
import io
import subprocess
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from latentfaces.pictures import face_sheet
from latentfaces.plots import (
    COLOURS, Panel, draw_panels, figure_style, plot_along_axes, plot_cloud, plot_correlations, plot_densities, plot_ellipse, plot_faces,
    plot_histogram, plot_quantiles, plot_ranges)


@pytest.fixture(autouse=True)
def no_open_figures():
    yield
    plt.close("all")


# ---------------------------------------------------------------------------------------------------------------- faces

@pytest.mark.parametrize("value", [1.7, -0.1, np.nan])
def test_values_that_are_no_pixels_are_refused(value):
    with pytest.raises(ValueError, match=r"expected values in \[0, 1\]"): plot_faces(np.full((1, 2, 2, 3), value))


@pytest.mark.parametrize("draw, says", [(lambda: plot_faces(np.zeros((3, 4, 4, 3)), 2, ["a"]), "each of the 2 rows, got 1"),
                                        (lambda: plot_faces(np.zeros((3, 4, 4, 3)), 0), "columns must be"),
                                        (lambda: plot_cloud(np.zeros((9, 3)), np.zeros((2, 2))), r"shape \(n, 2\), got \(9, 3\)")])
def test_drawing_says_what_it_wants(draw, says):
    with pytest.raises(ValueError, match=says): draw()


def test_plots_take_lists():
    faces, points = np.random.default_rng(0).random((4, 3, 3, 3)), [[0.0, 1.0], [1.0, 0.5], [2.0, 2.5]]
    assert plot_faces(faces.tolist(), 2, ["a", "b"]).images and len(plot_cloud(points, points).lines) == 2


def test_ellipse_has_the_covariance_as_its_equation():
    covariance = np.array([[4, 1.5], [1.5, 1]])
    ellipse = plot_ellipse([1, 2], covariance, 2.2, plt.subplots()[1])
    border = ellipse.get_path().vertices[:-1]
    border = ellipse.get_patch_transform().transform(border[np.isclose(np.hypot(*border.T), 1)]) - [1, 2]
    distances = np.sqrt(np.einsum("ij,jk,ik->i", border, np.linalg.inv(covariance), border))
    np.testing.assert_allclose(distances, 2.2, rtol=1e-6)


def test_plots_draw_into_the_axis_they_are_given():
    ax = plt.subplots()[1]
    points = np.random.default_rng(0).normal(size=(50, 2))
    assert plot_cloud(points, points[:3], ax=ax) is ax and len(ax.lines) == 2 and len(ax.patches) == 1
    assert plot_faces(np.zeros((3, 4, 4, 3)), columns=2, row_labels=["a", "b"], ax=ax) is ax


def test_a_figure_shows_the_sheet_of_its_faces():
    faces = np.random.default_rng(0).random((9, 16, 16, 3))
    np.testing.assert_array_equal(plot_faces(faces, 3, title="nine").images[0].get_array(), face_sheet(faces, 3))


# ---------------------------------------------------------------------------------------------------------------- style

def test_every_line_of_the_style_has_its_own_colour_and_dashes():
    with plt.rc_context():
        figure_style()
        lines = [plt.plot([0, 1])[0] for _ in COLOURS]
        assert [line.get_color() for line in lines] == list(COLOURS)
        assert len({str(line._unscaled_dash_pattern) for line in lines}) == len(COLOURS)


def test_no_two_colours_look_alike_to_those_who_see_no_red_or_no_green():
    "Brettel's and Viénot's matrices for the two kinds, in linear light."
    rgb = np.array([to_rgb(colour) for colour in COLOURS]) ** 2.2
    protan = [[0.112, 0.888, 0], [0.112, 0.888, 0], [0.004, -0.004, 1]]
    deutan = [[0.292, 0.708, 0], [0.292, 0.708, 0], [-0.022, 0.022, 1]]
    for seen in (np.clip(rgb @ np.transpose(matrix), 0, 1) ** (1 / 2.2) for matrix in (protan, deutan)):
        distances = np.linalg.norm(seen[:, None] - seen, axis=-1)
        assert distances[np.triu_indices(len(COLOURS), 1)].min() > 0.1


# ---------------------------------------------------------------------------------------------------------------- panels

rng = np.random.default_rng(0)
POINTS = rng.standard_normal((300, 4))
DRAWN = {
    plot_cloud: {"points": POINTS[:, :2], "n_std": (1, 2, 3)},
    plot_densities: {"values": POINTS},
    plot_histogram: {"values": POINTS[:, 0], "law": ([-2, 0, 2], [0.1, 0.4, 0.1])},
    plot_quantiles: {"values": POINTS[:, 0], "expected": np.linspace(-2, 2, 50)},
    plot_correlations: {"matrix": np.corrcoef(POINTS.T)},
    plot_along_axes: {"values": {"a": [3, 2, 1], "b": [1, 2, 3]}},
    plot_ranges: {"ranges": {"near": (0.5, 1, 2), "far": (3, 4, 6)}},
    plot_faces: {"faces": rng.random((6, 8, 8, 3)), "columns": 3},
}


@pytest.mark.parametrize("draw", DRAWN, ids=lambda draw: draw.__name__)
def test_what_is_drawn_lands_in_the_axis_given_or_in_a_new_one(draw):
    ax = plt.subplots()[1]
    assert draw(**DRAWN[draw], ax=ax) is ax and ax.has_data()
    assert draw(**DRAWN[draw]).figure is not ax.figure


@pytest.mark.parametrize("draw", DRAWN, ids=lambda draw: draw.__name__)
def test_a_panel_draws_without_pyplot_the_same_every_time(draw):
    panel, before = Panel(draw, DRAWN[draw], "what is to be seen", {"title": "a title"}), dict(plt.rcParams)
    with Image.open(io.BytesIO(panel.png())) as picture:
        assert picture.format == "PNG" and picture.size in {(506, 374), (505, 374)}  # Matplotlib 3.9 and 3.10 round down
    assert panel.png() == panel.png() and plt.get_fignums() == [] and dict(plt.rcParams) == before


@pytest.mark.parametrize("n, shape", [(1, (1, 2)), (3, (2, 2)), (4, (2, 2))])
def test_panels_stand_in_two_columns(n, shape):
    figure = draw_panels([Panel(plot_histogram, DRAWN[plot_histogram], "", {"title": f"{i}"}) for i in range(n)])
    assert [ax.get_title() for ax in figure.axes] == [f"{i}" for i in range(n)]
    assert figure.axes[0].get_gridspec().get_geometry() == shape


def test_wide_panels_stand_below_one_another():
    figure = draw_panels([Panel(plot_faces, DRAWN[plot_faces], "", size=(6, height)) for height in (1, 3)])
    assert figure.axes[0].get_gridspec().get_geometry() == (2, 1)


def test_lengths_that_are_all_the_same_are_a_line():
    ax = plot_histogram(np.full(50, 3, np.float32) * (1 + 1e-7 * rng.standard_normal(50)))
    assert len(ax.lines) == 1 and not ax.collections and ax.lines[0].get_xdata()[0] == pytest.approx(3)


def test_a_histogram_is_a_density():
    heights = plot_histogram(POINTS[:, 0], bins=10).collections[0].get_paths()[0].vertices
    assert abs(_area(heights)) == pytest.approx(1, abs=1e-6)


def _area(corners):
    "Area of a polygon."
    x, y = corners.T
    return 0.5 * np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))


def test_components_of_a_large_matrix_keep_their_numbers():
    assert [t.get_text() for t in plot_correlations(np.eye(5), 100).get_xticklabels()] == ["0", "25", "50", "75", "100"]


def test_the_module_is_quick_to_import():
    code = "import latentfaces.plots, sys; print('seaborn' in sys.modules, 'pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False False\n"
