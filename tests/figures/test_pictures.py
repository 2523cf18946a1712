import numpy as np
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

from dam_components.figures import draw_case, most_telling_slices


def test_slices_of_largest_score_in_order():
    score = np.zeros((2, 2, 6))
    score[0, 0] = [1, 5, 4, 0, 3, 0]
    assert most_telling_slices(score, 2) == [1, 2]
    assert most_telling_slices(score, 2, apart=2) == [1, 4]
    assert most_telling_slices(score, 9) == [0, 1, 2, 3, 4, 5]
    assert most_telling_slices(score, 3, apart=5) == [1]  # none is that far off
    assert most_telling_slices(score.T, 2, axis=0) == [1, 2]


def test_names_and_slice_names_are_shown():
    volume = np.zeros((6, 5, 4))
    prediction = volume.astype(int)
    prediction[2:4, 2:4, 1:3] = 1
    figure = draw_case(volume, prediction, volume, slices=[1, 2], names={1: "gland"}, slice_names=["x", "y"], title="t")
    assert [ax.get_ylabel() for ax in figure.axes[:4]] == ["x", "", "y", ""]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["gland"]
    plain = draw_case(volume, prediction, volume, slices=[1, 2])
    assert [ax.get_ylabel() for ax in plain.axes[:4]] == ["slice 1", "", "slice 2", ""]
    assert not plain.legends
    assert not plain.axes[0].texts


def test_sides_and_a_scale_bar_are_shown():
    volume = np.zeros((60, 50, 4))
    figure = draw_case(volume, volume.astype(int), volume, slices=[1], sides=("R", "L"), pixel_mm=2.0)
    panel = figure.axes[0]
    assert [(text.get_text(), text.get_position()[0] < 0.5) for text in panel.texts] == [("R", True), ("L", False)]
    (bar,) = [artist for artist in panel.artists if isinstance(artist, AnchoredSizeBar)]
    assert bar.txt_label.get_text() == "20 mm"  # no more than a third of 120 mm
    assert bar.size_bar.get_children()[0].get_width() == 10  # pixels of 2 mm
