"""StoredProbabilities: logits whose softmax is what was stored."""

import torch

from dam_components.networks import StoredProbabilities


def test_the_softmax_of_its_logits_is_what_was_stored():
    torch.manual_seed(0)
    p = torch.randn(2, 3, 4, 5, 6).mul(5).softmax(1)
    torch.testing.assert_close(StoredProbabilities()(torch.zeros(2, 1, 4, 5, 6), p).softmax(1), p)


def test_padding_becomes_background_and_zeros_stay_finite():
    p = torch.zeros(1, 3, 2)
    p[0, 2, 0] = 1  # sure of class 2; the other voxel is padding
    logits = StoredProbabilities()(torch.zeros(1, 1, 2), p)
    assert torch.isfinite(logits).all()
    torch.testing.assert_close(logits.softmax(1)[0].T, torch.tensor([[0.0, 0, 1], [1, 0, 0]]))
    assert p[0, 0, 1] == 0  # what was given is left as it is


def test_in_place_it_gives_the_same_without_a_copy():
    torch.manual_seed(0)
    p = torch.randn(1, 3, 6, 5, 4).mul(5).softmax(1)
    p[..., 0] = 0  # padding
    expected = StoredProbabilities()(torch.zeros(1, 1, 6, 5, 4), p)
    turned = p.clone().transpose(2, 4)  # as nnU-Net's axes come
    logits = StoredProbabilities(in_place=True)(torch.zeros(1, 1, 4, 5, 6), turned)
    assert logits.data_ptr() == turned.data_ptr()
    torch.testing.assert_close(logits.transpose(2, 4), expected, rtol=0, atol=0)
