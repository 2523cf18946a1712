from dataclasses import replace

import numpy as np
import pytest

from dam_components.synthetic.pelvic_scanner import SCANNERS, acquire

AXES = [np.linspace(-120, 120, 40, dtype=np.float32)] * 3
PLAIN = replace(SCANNERS[0], gain=100.0, bias=0.0, coil=0.0, noise=0.0)


def _acquire(scanner, value=1.0):
    brightness = np.full((40, 40, 40), value, dtype=np.float32)
    return acquire(brightness, AXES, scanner, np.random.default_rng(0), np.random.default_rng(1))


def test_without_faults_the_image_is_the_brightness_times_a_gain():
    image = _acquire(PLAIN)
    assert image.dtype == np.float32
    assert image.min() == pytest.approx(image.max())
    assert 85 <= image.max() <= 120


def test_noise_is_rician():
    # in air it is Rayleigh: mean sigma sqrt(pi/2), standard deviation sigma sqrt(2 - pi/2), so their ratio is 1.913
    air = _acquire(replace(PLAIN, noise=0.05), value=0.0)
    assert air.mean() / air.std() == pytest.approx(np.sqrt(np.pi / 2) / np.sqrt(2 - np.pi / 2), rel=0.02)
    # in bright tissue it is normal with the same sigma
    bright = _acquire(replace(PLAIN, noise=0.05), value=1.0)
    assert bright.std() == pytest.approx(air.mean() / np.sqrt(np.pi / 2), rel=0.03)


def test_coil_brightens_front_and_back():
    # gain exp(0.4 (y/100)^2): at |y| = 120 mm exp(0.576) = 1.779 times that at y = 3.08 mm
    image = _acquire(replace(PLAIN, coil=0.4))
    assert image[0, 0, 0] / image[0, 20, 0] == pytest.approx(1.779, rel=1e-3)
    assert image[0, 0, 0] == pytest.approx(image[39, 39, 39], rel=1e-5)


def test_bias_field_is_smooth_and_multiplies():
    log = np.log(_acquire(replace(PLAIN, bias=0.2)))
    assert log.std() > 0.05
    assert np.abs(np.diff(log, axis=0)).max() < 0.1
    np.testing.assert_allclose(_acquire(replace(PLAIN, bias=0.2), 2.0), 2 * np.exp(log), rtol=1e-4)


def test_two_scanners_differ_in_contrast():
    first, second = (scanner.tissue(np.random.default_rng(0)) for scanner in SCANNERS)
    assert first.keys() == second.keys()
    assert first["fat"] / first["fluid"] > 1.3 * second["fat"] / second["fluid"]
