"""Reading weights: what fits is loaded, what does not is said in one line."""

import pytest
import torch

from dam_components.networks import ConfidenceNet, EnhancedUNet, load_weights


def network(channels=(4, 8), seed=0):
    torch.manual_seed(seed)
    return EnhancedUNet(2, channels=channels, strides=(2,))


@pytest.fixture
def file(tmp_path):
    torch.save(network().state_dict(), tmp_path / "model.pt")
    return tmp_path / "model.pt"


@pytest.mark.parametrize("kind", [str, lambda path: path], ids=["str", "Path"])
def test_weights_are_loaded_into_the_network_that_comes_back(file, kind):
    other = network(seed=1)
    assert load_weights(other, kind(file)) is other
    torch.testing.assert_close(other.state_dict(), network().state_dict())


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no weights at .*none.pt; train first, or name another file"):
        load_weights(network(), tmp_path / "none.pt")


@pytest.mark.parametrize("content", [b"", b"no weights", "cut"])
def test_a_file_that_is_no_state_dict(file, content):
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if content == "cut" else content)
    with pytest.raises(ValueError, match="model.pt cannot be read as a state_dict .*; fetch it again") as caught:
        load_weights(network(), file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("saved", [{"epoch": 3}, [torch.zeros(2)], torch.zeros(2)])
def test_something_else_in_the_file(file, saved):
    torch.save(saved, file)
    with pytest.raises(ValueError, match="cannot be read as a state_dict"):
        load_weights(network(), file)


def test_code_in_a_file_is_not_run(file):
    torch.save(network(), file)  # a pickled module, which would import and build whatever it says
    with pytest.raises(ValueError, match="cannot be read as a state_dict"):
        load_weights(network(), file)


@pytest.mark.parametrize(
    "other",
    [network((4, 16)), network().heads, ConfidenceNet(2, 3, channels=(4, 8), strides=(2,))],
    ids=["wider", "a part", "D"],
)
def test_another_architecture_is_named_with_the_first_difference(file, other):
    before = {name: value.clone() for name, value in other.state_dict().items()}
    expected = rf"model.pt holds weights of another architecture: .* in the file and .* in {type(other).__name__}; use"
    with pytest.raises(ValueError, match=expected):
        load_weights(other, file)
    torch.testing.assert_close(dict(other.state_dict()), before)  # nothing was half loaded
