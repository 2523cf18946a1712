"""The blocks' own arithmetic, against PyTorch's."""

import pytest
import torch
from torch.nn import functional

from dam_components.networks.blocks import resize_to, smooth


@pytest.mark.parametrize("dtype, error", [(torch.float32, 1e-5), (torch.bfloat16, 0.03)])
@pytest.mark.parametrize("channels", [1, 7, 8, 20])
@pytest.mark.parametrize("size, wanted", [((5, 7), (9, 13)), ((3, 4, 5), (6, 8, 9)), ((4, 6, 4), (3, 6, 2))])
def test_resizing_is_pytorchs_interpolation(size, wanted, channels, dtype, error):
    """Whatever order of memory and number of channels it goes through, values and gradients stay."""
    torch.manual_seed(0)
    x = torch.randn(2, channels, *size).to(dtype).requires_grad_()
    exact = x.detach().float().requires_grad_()
    resized = resize_to(x, torch.empty(1, 1, *wanted))
    mode = "bilinear" if len(size) == 2 else "trilinear"
    expected = functional.interpolate(exact, size=wanted, mode=mode, align_corners=False)
    assert (resized.shape, resized.dtype) == (expected.shape, dtype)
    torch.testing.assert_close(resized.float(), expected, atol=error, rtol=0)
    weights = torch.randn(expected.shape).to(dtype)
    (gradient,), (wanted_gradient,) = (
        torch.autograd.grad((each * weights).float().sum(), leaf) for each, leaf in ((resized, x), (expected, exact))
    )
    torch.testing.assert_close(gradient.float(), wanted_gradient, atol=error, rtol=0)


def test_resizing_to_the_same_size_changes_nothing():
    x = torch.randn(1, 3, 4, 5)
    assert resize_to(x, torch.empty(2, 1, 4, 5)) is x


@pytest.mark.parametrize("shape, axes", [((2, 3, 5, 4, 1), [0, 1, 2]), ((1, 2, 6, 3), [1]), ((1, 1, 2, 1), [0, 1])])
def test_the_gradient_of_smoothing_is_that_of_the_sums_that_it_is(shape, axes):
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: smooth(x, axes), x)
    assert torch.autograd.gradgradcheck(lambda x: smooth(x, axes) ** 2, x)
    with torch.no_grad():
        assert torch.equal(smooth(x, axes), smooth(x.detach(), axes))


def test_smoothing_is_the_same_in_torchscript():
    x = torch.randn(1, 2, 4, 4, 4, requires_grad=True)
    scripted = torch.jit.script(smooth)(x, [0, 1, 2])
    torch.testing.assert_close(scripted, smooth(x, [0, 1, 2]))
    (theirs,), (mine,) = (torch.autograd.grad(y.square().sum(), x) for y in (scripted, smooth(x, [0, 1, 2])))
    torch.testing.assert_close(theirs, mine)
