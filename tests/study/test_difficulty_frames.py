"""Figure 4's masks: which slice, which epochs, and that looking changes nothing."""

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.inferers import SimpleInferer
from torch import nn

from dam_study.handlers import DifficultyFrames
from dam_study.handlers.difficulty_frames import frame_epochs


class Fixed(nn.Module):
    """The same logits everywhere."""

    def __init__(self, *logits):
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits).view(1, -1, 1, 1, 1))
        self.seen = []

    def forward(self, x):
        self.seen.append((x, self.training))
        return self.logits.expand(len(x), -1, *x.shape[2:])


@pytest.fixture
def case():
    label = torch.zeros(1, 4, 3, 9)
    label[0, 1, 1, 2:7] = 1  # slices 2..6: 4 is the middle one
    return {"image": torch.arange(9.0).expand(1, 4, 3, 9).clone(), "label": label}


@pytest.fixture
def look(case, tmp_path):
    def run(epochs=4, frames=5, dataset=None, S=None, D=None, start=0):
        # class 0 has 3/4; M is 1/5
        S, D = S or Fixed(np.log(3.0), 0.0), D or Fixed(-np.log(4.0))
        S.train(), D.train()
        trainer = Engine(lambda engine, batch: None)
        cases = [case] if dataset is None else dataset
        file = tmp_path / "difficulty.npz"
        DifficultyFrames(file, S, D, cases, SimpleInferer(), epochs, frames).attach(trainer)
        if start:
            trainer.load_state_dict({"epoch": start, "max_epochs": epochs, "epoch_length": 1})
        trainer.run([0], max_epochs=epochs)
        return S, D, dict(np.load(file)) if file.is_file() else None

    return run


def test_masks_of_the_middle_slice(look):
    _, _, arrays = look(epochs=1)
    assert {*arrays} == {"image", "label", "epoch1/difficulty", "epoch1/focal"}
    assert (arrays["image"] == 4).all()
    assert arrays["image"].shape == (4, 3)
    assert arrays["label"].sum() == 1
    assert arrays["label"][1, 1] == 1
    np.testing.assert_allclose(arrays["epoch1/difficulty"], 0.8, rtol=1e-6)  # 1 - M
    focal = np.full((4, 3), 0.25)  # 1 - P̂ of the background
    focal[1, 1] = 0.75
    np.testing.assert_allclose(arrays["epoch1/focal"], focal, rtol=1e-6)


def test_d_sees_probabilities_and_image(look, case):
    _, D, _ = look(epochs=1)
    x, training = D.seen[0]
    assert not training
    torch.testing.assert_close(x[:, 2:], case["image"][None])
    assert x[:, 0].unique().item() == pytest.approx(0.75)


@pytest.mark.parametrize(("frames", "seen"), [(5, [1, 3, 6, 8, 10]), (2, [1, 10]), (1, [1])])
def test_epochs_are_spread_over_the_training(frames, seen, look):
    # linspace 1..10 in 5: 1, 3.25, 5.5, 7.75, 10; halves round to even
    _, _, arrays = look(epochs=10, frames=frames)
    assert sorted(int(n[5:].split("/")[0]) for n in arrays if n.endswith("focal")) == seen == frame_epochs(10, frames)


def test_modes_and_gradients_are_left_as_they_were(look):
    S, D, _ = look(epochs=1)
    assert S.training
    assert D.training
    assert S.logits.grad is None
    assert not S.seen[0][1]


def test_a_resumed_training_adds_to_the_file_and_a_new_one_begins_it_anew(look):
    _, _, first = look(epochs=2)
    _, _, both = look(epochs=3, start=2, D=Fixed(0.0))
    assert {n for n in both if n.endswith("focal")} == {"epoch1/focal", "epoch2/focal", "epoch3/focal"}
    np.testing.assert_array_equal(both["epoch1/difficulty"], first["epoch1/difficulty"])
    np.testing.assert_allclose(both["epoch3/difficulty"], 0.5)
    _, _, anew = look(epochs=1)
    assert {n for n in anew if n.endswith("focal")} == {"epoch1/focal"}


def test_without_cases_there_is_no_file(look):
    assert look(epochs=1, dataset=[])[2] is None


def test_a_label_without_foreground_gives_the_middle_of_the_volume(look, case):
    case["label"].zero_()
    assert (look(epochs=1)[2]["image"] == 4).all()


def test_frames_below_1_are_refused():
    with pytest.raises(ValueError, match="frames must be at least 1, got 0"):
        DifficultyFrames("f.npz", nn.Identity(), nn.Identity(), [], SimpleInferer(), 3, frames=0)
