"""Points of a plane: what a box or lasso holds, frames, colours, images of many stars."""

import numpy as np
import pandas as pd
from bokeh.events import SelectionGeometry, Tap
from pytest import approx

from dashboard.planes.axis import (
    IMAGE_MIN_ALPHA,
    Axis,
    Groups,
    class_groups,
    count_image,
    counts_in_pixels,
    frame_limits,
    inside_geometry,
    inside_polygon,
    spread_where_sparse,
    survey_dataset,
)
from dashboard.planes.layer import POINTS_LIMIT
from dashboard.planes.plane import Plane, error_ellipse
from dashboard.theme import LIGHT

X = Axis("teff", "Teff [K]", (0, 100), (10, 20), flipped=True)
Y = Axis("logg", "log g", (-5, 5), (0, 1), error="logg_err")


def table_of(n: int, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "obsid": 2**60 + np.arange(n),
            "teff": rng.uniform(5, 25, n),
            "logg": rng.normal(0.5, 0.3, n),
            "predicted_class": rng.choice(["BHB", "A", None], n),
        }
    )


def plane_of(table: pd.DataFrame, **hands) -> Plane:
    found = {"on_select": lambda _: None, "on_brush": lambda _: None} | hands
    plane = Plane(X, Y, LIGHT, **found)
    plane.draw(survey_dataset(table), class_groups(table, LIGHT))
    return plane


def test_a_lasso_holds_the_points_inside_it_and_no_missing_ones():
    rng = np.random.default_rng(2)
    x, y = rng.uniform(-1, 1, (2, 4000))
    x[0] = np.nan
    angle = np.linspace(0, 2 * np.pi, 400)
    inside = inside_polygon(x, y, 0.7 * np.cos(angle), 0.7 * np.sin(angle))
    clear = np.abs(np.hypot(x, y) - 0.7) > 0.001
    assert (inside == (np.hypot(x, y) < 0.7))[clear].all()


def test_a_lasso_with_a_notch_leaves_the_notch_out():
    px, py = np.array([0, 2, 2, 1, 0]), np.array([0, 0, 2, 0.5, 2])
    assert inside_polygon(np.array([1.0, 0.2]), np.array([1.5, 1.0]), px, py).tolist() == [
        False,
        True,
    ]


def test_a_box_drawn_backwards_is_the_same_box():
    x, y = np.array([1.0, 3.0]), np.array([1.0, 1.0])
    box = {"type": "rect", "x0": 2, "x1": 0, "y0": 2, "y1": 0}
    assert inside_geometry(box, x, y).tolist() == [True, False]


def test_the_frame_ignores_wild_values_keeps_physics_and_shows_what_it_must():
    values = np.concatenate([np.linspace(12, 18, 5000), [1e9, -1e9]])
    low, high = frame_limits(values, Axis("v", "v", (0, 100), (10, 15)))
    assert 9 < low <= 10
    assert 18 <= high < 19
    assert frame_limits(values, Axis("v", "v", (11, 16), (10, 15))) == (11, 16)
    assert frame_limits(np.array([np.nan]), X) == approx((20.6, 9.4))  # flipped, nothing measured


def test_a_class_that_has_no_colour_counts_as_none():
    groups = class_groups(pd.DataFrame({"predicted_class": ["BHB", None, "?", "WD"]}), LIGHT)
    assert list(groups.word) == ["BHB", "no class", "no class", "WD"]


def test_few_stars_are_points_and_each_is_there_once():
    table = table_of(500)
    plane = plane_of(table)
    assert sorted(plane.vivid.points.data["obsid"]) == sorted(table["obsid"].astype(str))
    assert not len(plane.vivid.image.data["x"])


def test_many_stars_are_an_image_that_covers_the_frame():
    plane = plane_of(table_of(POINTS_LIMIT + 1))
    assert plane.vivid.n_points == 0
    image = plane.vivid.image.data
    assert (image["x"][0], image["y"][0]) == (plane.window[0], plane.window[2])
    assert image["x"][0] + image["dw"][0] == approx(plane.window[1])
    assert np.count_nonzero(image["image"][0]) > 1000


def test_an_image_has_each_star_at_its_place_in_the_colour_of_its_group():
    frame = pd.DataFrame(
        {"x": [1.0, 9.0], "y": [1.0, 9.0], "group": pd.Categorical(["low", "high"])}
    )
    colour = {"low": "#ff0000", "high": "#0000ff"}
    image = count_image(frame, colour, ("x", "y"), (0, 10, 0, 10), (40, 40))
    low, high = image[4, 4], image[36, 36]  # rows run upwards
    assert (low & 0xFF, (low >> 16) & 0xFF) == (255, 0)  # red, blue bytes of RGBA
    assert (high & 0xFF, (high >> 16) & 0xFF) == (0, 255)
    assert image[4, 36] == image[36, 4] == 0


def test_a_pixel_mixes_the_colours_of_its_stars_by_number_and_is_denser_with_more():
    x = [0.5] * 4 + [2.5]
    frame = pd.DataFrame({"x": x, "y": 0.5, "group": pd.Categorical(list("aaabb"))})
    image = count_image(frame, {"a": "#c80000", "b": "#0000c8"}, ("x", "y"), (0, 3, 0, 1), (3, 1))
    many, none, one = image.view(np.uint8).reshape(3, 4)
    assert many.tolist() == [150, 0, 50, 255]
    assert one[:3].tolist() == [0, 0, 200]
    assert IMAGE_MIN_ALPHA < one[3] < 255
    assert not none.any()


def test_lonely_stars_are_drawn_as_discs_and_dense_ones_as_they_are():
    lonely = np.zeros((21, 21, 1), dtype=np.uint32)
    lonely[3, 3] = lonely[15, 16] = 2
    shown = spread_where_sparse(lonely)[..., 0]
    assert shown[3].tolist()[:7] == [0, 2, 2, 2, 2, 2, 0]
    assert shown[:, 16].tolist()[12:19] == [0, 2, 2, 2, 2, 2, 0]
    assert shown[1, 1] == 0  # a disc, no square
    assert shown.sum() == 2 * 2 * 13
    dense = np.ones((9, 9, 2), dtype=np.uint32)
    assert (spread_where_sparse(dense) == dense).all()


def test_stars_are_counted_in_the_pixel_in_which_they_lie_edges_included():
    frame = pd.DataFrame(
        {
            "x": [0.0, 0.0, 4.0, 3.99, 2.0, -0.1, 4.1, np.nan],
            "y": [0.0, 0.1, 2.0, 1.99, 1.0, 1.0, 1.0, 1.0],
            "group": pd.Categorical(list("abbaaaaa")),
        }
    )
    counts = counts_in_pixels(frame, ("x", "y"), (0, 4, 0, 2), (4, 2))
    assert counts.shape == (2, 4, 2)  # rows run upwards
    assert counts[0, 0].tolist() == counts[1, 3].tolist() == [1, 1]
    assert counts[1, 2].tolist() == [1, 0]
    assert counts.sum() == 5


def test_brushed_stars_stay_vivid_and_the_others_turn_grey():
    table = table_of(POINTS_LIMIT + 500)
    plane = plane_of(table)
    brushed = np.arange(len(table)) < 40
    plane.draw(survey_dataset(table), class_groups(table, LIGHT), brushed)
    assert set(plane.vivid.points.data["obsid"]) == set(table["obsid"][:40].astype(str))
    assert len(plane.rest.image.data["x"]) == 1


def test_drawing_again_makes_no_new_model():
    table = table_of(200)
    plane = plane_of(table)
    before = {model.id for model in plane.figure.references()}
    brushed = (table["teff"] > 15).to_numpy()
    plane.draw(survey_dataset(table), class_groups(table, LIGHT), brushed)
    plane.draw_star(table.iloc[3])
    plane.draw_star(None)
    assert {model.id for model in plane.figure.references()} == before


def test_a_tap_selects_the_nearest_star_and_a_tap_into_nothing_selects_none():
    table, chosen = table_of(50), []
    table.loc[0, ["teff", "logg"]] = 15.0, 3.0
    plane = plane_of(table, on_select=chosen.append)
    plane.figure.y_range.update(start=-1, end=4)
    for y in (3.05, 2.2):
        plane.figure._trigger_event(Tap(plane.figure, x=15.05, y=y))
    assert chosen == [int(table["obsid"][0])]


def test_a_finished_box_hands_on_its_obsids_and_an_unfinished_one_none():
    table, brushed = table_of(300), []
    plane = plane_of(table, on_brush=brushed.append)
    box = {"type": "rect", "x0": 10, "x1": 15, "y0": 0.2, "y1": 0.6}
    for final in (False, True):
        plane.figure._trigger_event(SelectionGeometry(plane.figure, geometry=box, final=final))
    inside = table["teff"].between(10, 15) & table["logg"].between(0.2, 0.6)
    assert [list(obsids) for obsids in brushed] == [list(table["obsid"][inside])]


def test_the_ring_carries_the_errors_and_lies_on_the_overlay_level():
    plane = plane_of(table_of(20))
    plane.draw_star(pd.Series({"obsid": 1, "teff": 12.0, "logg": 0.5, "logg_err": 0.1}))
    assert plane.star.data["top"] == [approx(0.6)]
    assert plane.star.data["left"] == [12.0]  # no error column: no bar
    levels = {r.level for r in plane.figure.renderers if r.data_source is plane.star}
    assert levels == {"overlay"}


def test_a_star_without_a_place_has_no_ring():
    plane = plane_of(table_of(20))
    plane.draw_star(pd.Series({"obsid": 1, "teff": np.nan, "logg": 0.5}))
    assert not len(plane.star.data["x"])
    assert not len(plane.ellipse.data["x"])


def test_the_error_ellipse_has_the_covariance_it_was_drawn_from():
    outline = error_ellipse(1.0, 2.0, 0.5, 0.2, -0.6)
    covariance = 2 * np.cov(outline["x"], outline["y"], bias=True)
    assert covariance == approx(np.array([[0.25, -0.06], [-0.06, 0.04]]))


def test_groups_keep_the_order_of_their_colours():
    groups = Groups.of(pd.Series(["b", "a"]), {"a": "#000000", "b": "#ffffff", "?": "#777777"}, "?")
    assert groups.word.codes.tolist() == [1, 0]


def test_a_window_without_stars_gives_an_empty_image_in_one_colour_or_many():
    frame = pd.DataFrame({"x": [1.0, 2.0], "y": [1.0, 2.0], "group": pd.Categorical(["a", "b"])})
    for colour in ({"a": "#ff0000", "b": "#0000ff"}, {"a": "#ff0000"}):
        shown = frame[frame["group"].isin(list(colour))]
        empty = count_image(shown, colour, ("x", "y"), (5, 6, 5, 6), (20, 20))
        full = count_image(shown, colour, ("x", "y"), (0, 3, 0, 3), (20, 20))
        assert not empty.any()
        assert full.any()


def test_points_wear_the_colour_of_their_group_and_the_first_group_lies_on_top():
    table = table_of(100)
    plane = plane_of(table)
    points, colour = plane.vivid.points.data, class_groups(table, LIGHT).colour
    assert [colour[word] for word in points["group"]] == list(points["colour"])
    assert points["group"][-1] == "BHB"
    assert plane.legend == ["BHB", "A", "no class"]
