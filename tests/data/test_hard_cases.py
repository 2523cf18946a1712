import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from dam_components.data import HARD_KINDS, HardCased

MOVED = ("shifted_crop", "turn", "zoom", "distortion")
INTENSITY = [kind for kind in HARD_KINDS if kind not in MOVED]


def make_case(name="case_1", shape=(24, 20, 16), channels=1):
    """A dark ball in a textured volume, normalised as the bundle normalises, and its label."""
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij"))
    ball = (grid**2).sum(0) < 0.3
    image = np.stack([2.0 * ball + np.sin(3 * grid[0]) * (c + 1) + 0.1 * grid[1] for c in range(channels)])
    image = (image - image.mean()) / image.std()
    return {
        "image": MetaTensor(torch.from_numpy(image).float()),
        "label": MetaTensor(torch.from_numpy(ball[None]).float()),
        "case": name,
    }


def change(kind, severity=1.0, seeds=range(8), **options):
    """Mean absolute change of the image, in its standard deviations, over some seeds."""
    case = make_case()
    hard = (HardCased(("image", "label"), kind, severity, seed, **options)(case)["image"] for seed in seeds)
    return float(np.mean([(image - case["image"]).abs().mean() for image in hard]))


@pytest.mark.parametrize("kind", HARD_KINDS)
def test_each_kind_changes_the_image_by_a_tenth_of_its_contrast_or_more(kind):
    assert change(kind) > 0.1


@pytest.mark.parametrize("kind", HARD_KINDS)
def test_more_severe_is_further_from_the_image(kind):
    assert change(kind, 0.3) < change(kind, 1.0)


@pytest.mark.parametrize("kind", HARD_KINDS)
@pytest.mark.parametrize("channels", [1, 2])
def test_same_seed_and_case_give_the_same_in_any_order(kind, channels):
    first, second = make_case("a", channels=channels), make_case("b", channels=channels)
    before = first["image"].clone()
    hard = HardCased(("image", "label"), kind, seed=5)
    alone = hard(first)["image"]
    hard(second)
    np.random.seed(99)
    torch.manual_seed(99)
    assert torch.equal(alone, HardCased(("image", "label"), kind, seed=5)(first)["image"])
    assert torch.equal(before, first["image"])
    assert alone.shape == before.shape


@pytest.mark.parametrize("kind", HARD_KINDS)
def test_another_case_and_another_seed_are_spoilt_otherwise(kind):
    def spoilt(name, seed):
        return HardCased(("image", "label"), kind, seed=seed)(make_case(name))["image"]

    # of several, since a shifted crop has only six outcomes
    assert any(not torch.equal(spoilt("a", 0), spoilt("a", seed)) for seed in range(1, 6))
    assert any(not torch.equal(spoilt("a", 0), spoilt(name, 0)) for name in "bcdef")


@pytest.mark.parametrize("kind", INTENSITY)
def test_faults_of_intensity_leave_the_label_and_normalise_the_image(kind):
    case = make_case()
    hard = HardCased(("image", "label"), kind)(case)
    assert torch.equal(hard["label"], case["label"])
    assert float(hard["image"].mean()) == pytest.approx(0, abs=1e-4)
    assert float(hard["image"].std()) == pytest.approx(1, abs=1e-2)


@pytest.mark.parametrize("seed", range(6))
def test_shifted_crop_moves_image_and_label_alike_and_cuts_a_third_of_the_structure(seed):
    case = make_case()
    case["image"] = MetaTensor(2 * case["label"].as_tensor() - 1)  # the image tells the label
    hard = HardCased(("image", "label"), "shifted_crop", seed=seed)(case)
    image, label = hard["image"][0], hard["label"][0]
    assert image.shape == label.shape == case["label"].shape[1:]
    inside = label == 1
    assert torch.equal(inside, image == image.max())
    where, before = np.argwhere(inside.numpy()), np.argwhere(case["label"][0].numpy() == 1)
    extent, full = np.ptp(where, axis=0) + 1, np.ptp(before, axis=0) + 1
    axis = int(np.argmax(full - extent))
    assert extent[axis] == full[axis] - round(full[axis] / 3)
    assert where[:, axis].min() == 0 or where[:, axis].max() == inside.shape[axis] - 1  # it is cut by the border


def test_shifted_crop_of_an_unlabelled_case_crops_the_volume():
    case = make_case()
    case["label"] = torch.zeros_like(case["label"])
    hard = HardCased(("image", "label"), "shifted_crop")(case)
    assert hard["image"].shape == case["image"].shape
    assert not torch.equal(hard["image"], case["image"])


def test_inversion_turns_the_order_of_intensities_round():
    case = make_case()
    hard = HardCased(("image", "label"), "inversion")(case)
    before, after = case["image"].flatten().numpy(), hard["image"].flatten().numpy()
    assert np.corrcoef(np.argsort(np.argsort(before)), np.argsort(np.argsort(after)))[0, 1] < -0.99


def test_two_dimensional_cases_go_too():
    case = {"image": torch.rand(1, 32, 24), "label": (torch.rand(1, 32, 24) > 0.5).float(), "case": "flat"}
    for kind in HARD_KINDS:
        assert HardCased(("image", "label"), kind)(case)["image"].shape == (1, 32, 24)


def test_case_key_names_the_case():
    case = make_case("a") | {"patient": "b"}
    by_case, by_patient = (HardCased(("image", "label"), "noise", case_key=key)(case) for key in ("case", "patient"))
    assert not torch.equal(by_case["image"], by_patient["image"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "metal"}, "kind must be one of noise, bias_field, .*got 'metal'"),
        ({"kind": "noise", "severity": 0.0}, "severity must be positive.*got 0.0"),
        ({"kind": "shifted_crop", "severity": 2.5}, "at most 2 for shifted_crop, got 2.5"),
        ({"kind": "noise", "keys": ("image",)}, "keys must name the image and the label, got \\['image'\\]"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        HardCased(**({"keys": ("image", "label")} | options))
