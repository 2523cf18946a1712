"""index.html: read as a browser reads it."""

from html.parser import HTMLParser
from urllib.parse import unquote

import pytest

from dam_components.handlers.review_page import review_page


def report(case, mean=0.9, review=False, reasons=(), structure="gland", **values):
    row = {"volume_ml": 40.0, "predicted_dice": mean, "predicted_dice_low": 0.7, "predicted_dice_high": 0.95, **values}
    return {
        "case": case,
        "review": review,
        "calibrated": review,
        "predicted_mean_dice": mean,
        "reasons": list(reasons),
        "classes": {structure: row},
    }


class Read(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.tags, self.images, self.headings, self.cells, self.texts = [], [], [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag == "img":
            self.images.append(dict(attributes))

    def handle_data(self, data):
        self.texts.append(data.strip())
        lists = {"h1": self.headings, "h2": self.headings, "td": self.cells}
        if data.strip() and self.tags[-1] in lists:
            lists[self.tags[-1]].append(data.strip())


def test_the_cases_in_their_order_with_numbers_and_reasons(tmp_path):
    page = Read(review_page(tmp_path, [report("b", 0.61, True, ["small"]), report("a", 0.9)]))
    assert page.headings == [
        "2 cases, 1 to look at",
        "b, predicted mean Dice 0.61",
        "a, predicted mean Dice 0.90, not calibrated",
    ]
    assert page.cells == ["gland", "40.00", "0.61", "0.70 to 0.95", "gland", "40.00", "0.90", "0.70 to 0.95"]
    assert "small" in page.texts
    assert not page.images


def test_pictures_are_linked_where_there_are_any(tmp_path):
    for case in ("a b#1%", "b"):
        (tmp_path / case).mkdir()
    (tmp_path / "a b#1%" / "a b#1%_review.png").write_bytes(b"")
    page = Read(review_page(tmp_path, [report("a b#1%"), report("b")]))
    (image,) = page.images
    assert (tmp_path / unquote(image["src"])).is_file()
    assert "#" not in image["src"]
    assert "a b#1%" in image["alt"]
    assert image["loading"] == "lazy"


@pytest.mark.parametrize("bad", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "&lt;"])
def test_names_are_text_and_never_markup(tmp_path, bad):
    page = review_page(tmp_path, [report("a", review=True, reasons=[bad], structure=bad), report(bad)])
    assert "script" not in Read(page).tags
    assert not Read(page).images
    assert bad in Read(page).texts
    assert "default-src 'none'" in page


def test_what_a_report_does_not_know_stays_empty(tmp_path):
    page = review_page(tmp_path, [report("a", predicted_dice_low=None, predicted_dice_high=None, volume_ml="many")])
    assert Read(page).cells == ["gland", "0.90"]
