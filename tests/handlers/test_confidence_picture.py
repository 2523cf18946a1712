"""A picture an epoch, and files of pictures."""

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from matplotlib.figure import Figure
from monai.data import MetaTensor

from dam_components.figures import save_figure
from dam_components.handlers import ConfidencePicture, confidence_picture

PNG = b"\x89PNG\r\n\x1a\n"


def case(one_hot):
    torch.manual_seed(0)
    label = torch.zeros(1, 12, 10, 6)
    label[:, 4:8, 3:7, 1:4] = 1
    pred = torch.cat([1 - label, label]) if one_hot else label
    return {
        "image": torch.rand(1, 12, 10, 6),
        "label": pred.clone(),
        "pred": pred,
        "confidence": torch.rand(1, 12, 10, 6),
    }


@pytest.mark.parametrize("one_hot", [True, False], ids=["one-hot", "indices"])
def test_an_epoch_leaves_a_png_and_a_tensorboard_entry(tmp_path, one_hot):
    engine = Engine(lambda engine, batch: [case(one_hot)])
    ConfidencePicture(str(tmp_path)).attach(engine)
    engine.run([0], max_epochs=2)
    pictures = sorted((tmp_path / "pictures").iterdir())
    assert [file.name for file in pictures] == ["epoch_0001.png", "epoch_0002.png"]
    assert all(file.read_bytes().startswith(PNG) for file in pictures)
    assert list(tmp_path.glob("events.out.tfevents.*"))


def test_a_case_that_says_how_it_lies_is_drawn_as_a_review_is(tmp_path, monkeypatch):
    seen = {}

    def draw(*volumes, **options):
        seen.update(options)
        return Figure()

    def step(engine, batch):
        item = case(True)
        return [{**item, "image": MetaTensor(item["image"], affine=torch.diag(torch.tensor([1.0, 1.0, 2.0, 1.0])))}]

    monkeypatch.setattr(confidence_picture, "draw_review", draw)
    engine = Engine(step)
    ConfidencePicture(str(tmp_path), label_names={"1": "gland"}).attach(engine)
    engine.run([0])
    assert seen["names"] == {1: "gland"}
    assert seen["label"].shape == (12, 10, 6)
    assert seen["affine"].diagonal().tolist() == [1, 1, 2, 1]


def test_the_interval_is_heeded(tmp_path):
    engine = Engine(lambda engine, batch: [case(True)])
    ConfidencePicture(str(tmp_path), interval=3).attach(engine)
    engine.run([0], max_epochs=7)
    assert sorted(f.name for f in (tmp_path / "pictures").iterdir()) == ["epoch_0003.png", "epoch_0006.png"]


def test_a_case_without_a_label_is_drawn(tmp_path):
    def step(engine, batch):
        item = case(True)
        del item["label"]
        return [item]

    engine = Engine(step)
    ConfidencePicture(str(tmp_path)).attach(engine)
    engine.run([0])
    assert (tmp_path / "pictures" / "epoch_0001.png").is_file()


def test_a_figure_is_written_whole_into_a_new_folder_and_the_same_twice(tmp_path):
    def figure():
        figure = Figure(figsize=(1, 1))
        figure.subplots().imshow(np.eye(3))
        return figure

    paths = [save_figure(figure(), tmp_path / "new" / f"{i}.png") for i in range(2)]
    assert [p.name for p in sorted((tmp_path / "new").iterdir())] == ["0.png", "1.png"]
    assert paths[0].read_bytes() == paths[1].read_bytes()  # nothing in it tells when or where it was made
