import numpy as np
import pytest

from dam_components.synthetic.pelvic_canvas import Canvas, ray_distance, smooth_field

AXES = [np.arange(-60.0, 60.0, 4.0)] * 3


def test_smooth_field_has_zero_mean_and_unit_variance():
    # a 6 mm lattice puts (400/6)^3 = 296000 coefficients into the cube; each weighs 1 / 0.332 in the mean, whose
    # standard error is so 1 / (0.332 sqrt(296000)) = 0.0055
    field = smooth_field(np.random.default_rng(0), 6.0, [np.arange(-200.0, 200.0, 4.0)] * 3)
    assert field.dtype == np.float32
    assert field.mean() == pytest.approx(0, abs=0.02)
    assert field.std() == pytest.approx(1, abs=0.02)


def test_smooth_field_is_a_function_of_space():
    x, y, z = (np.arange(-60.0, 60.0, step) for step in (4.0, 5.0, 6.0))
    full = smooth_field(np.random.default_rng(1), 20.0, [x, y, z])
    part = smooth_field(np.random.default_rng(1), 20.0, [x[5:9], y[::2], z[3:]])
    assert full.shape == (30, 24, 20)
    np.testing.assert_allclose(full[5:9, ::2, 3:], part, atol=1e-5)


def test_smooth_field_lattice_sets_its_smoothness():
    def step(lattice_mm: float) -> float:
        return float(np.abs(np.diff(smooth_field(np.random.default_rng(2), lattice_mm, AXES), axis=0)).mean())

    assert step(8.0) > 3 * step(40.0)


def test_ray_distance_to_a_ball_is_the_distance():
    x, y, z = np.random.default_rng(0).normal(0, 10, (3, 50))
    expected = np.sqrt(x**2 + y**2 + z**2) - 7
    np.testing.assert_allclose(ray_distance((x, y, z), (7.0, 7.0, 7.0)), expected, atol=1e-9)


def test_ray_distance_power_makes_it_boxier():
    # the point (0.9, 0.9, 0) a: norm 0.9 * 2^(1/2) = 1.27 for p=2, 0.9 * 2^(1/8) = 0.98 for p=8
    corner = (np.array([9.0]), np.array([9.0]), np.array([0.0]))
    assert ray_distance(corner, (10.0, 10.0, 10.0))[0] == pytest.approx(np.sqrt(162) * (1 - 1 / np.sqrt(1.62)))
    assert ray_distance(corner, (10.0, 10.0, 10.0), power=8.0)[0] < 0


def test_ray_distance_is_finite_at_the_centre():
    zero = np.zeros(1)
    assert np.isfinite(ray_distance((zero, zero, zero), (10.0, 10.0, 10.0))[0])


def test_canvas_box_holds_the_whole_ellipsoid():
    canvas = Canvas(AXES, np.random.default_rng(3), 0.0)
    box, near = canvas.ellipsoid((10, -5, 0), (24, 8, 12), turn_deg=40)
    far = ray_distance(canvas.local((slice(None),) * 3, (10, -5, 0), 40), (24, 8, 12))
    assert (near < 0).sum() == (far < 0).sum() > 0
    assert near.shape == far[box].shape != far.shape


def test_canvas_turn_is_counterclockwise_about_z():
    canvas = Canvas(AXES, np.random.default_rng(3), 0.0)
    box, distance = canvas.ellipsoid((0, 0, 0), (30, 8, 12), turn_deg=45)
    x, y, _ = (bent[box][distance < 0] for bent in canvas.bent)
    assert np.corrcoef(x, y)[0, 1] > 0.5


def test_paint_covers_inside_blends_at_the_edge_and_leaves_the_outside():
    canvas = Canvas(AXES, np.random.default_rng(0), 10.0)
    box = (slice(0, 5), slice(0, 1), slice(0, 1))
    distance = np.array([-9.0, -0.9, 0.0, 0.9, 9.0]).reshape(5, 1, 1)  # the edge is 0.9 voxels of 4 mm: 3.6 mm
    canvas.paint(box, distance, 2.0)
    np.testing.assert_allclose(canvas.image[:5, 0, 0], [2, 4, 6, 8, 10], rtol=1e-6)
    assert (canvas.image[5:] == 10).all()


def test_paint_cover_and_edge():
    canvas = Canvas(AXES, np.random.default_rng(0), 10.0)
    box = (slice(0, 2), slice(0, 1), slice(0, 1))
    canvas.paint(box, np.array([-9.0, -2.0]).reshape(2, 1, 1), 2.0, cover=0.25, edge_mm=8.0)
    np.testing.assert_allclose(canvas.image[:2, 0, 0], [8.0, 10 - 8 * 0.75 * 0.25], rtol=1e-6)
