"""What a client of MONAI Label may send. The same on a live server: label_app/test_attacks.py."""

import importlib.util
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "label_app" / "lib" / "request_rules.py"
spec = importlib.util.spec_from_file_location("request_rules", FILE)
rules_of = importlib.util.module_from_spec(spec)
spec.loader.exec_module(rules_of)

CODE = ["$__import__('os').system('id')", "$1", "@network", "%file.json", "__import__('os')", "${HOME}"]
PATHS = [
    "../x",
    "..",
    "a/b",
    "/etc/passwd",
    "a\\b",
    "C:\\x",
    "x\0y",
    "..%2fx",
    ".",
    "~",
    "a" * 129,
    "x\ny",
    "",
    " x",
    "x ",
]


@pytest.fixture
def rules():
    info = {"models": {"spleen": {}}, "trainers": {"spleen": {}}, "strategies": {"random": {}}, "scoring": {}}
    served = rules_of.Served(lambda: info, lambda image: image in ("case1", "../x"), lambda model: ["model.pt"])
    return rules_of.Rules(served)


def refused(call, *arguments):
    with pytest.raises(rules_of.Refused) as caught:
        call(*arguments)
    assert "\n" not in caught.value.detail
    assert len(caught.value.detail) < 400
    return caught.value.status


@pytest.mark.parametrize("value", CODE + PATHS[:-3])
@pytest.mark.parametrize("table", ["INFER", "TRAIN", "BATCH", "SAMPLE"])
def test_code_and_paths_pass_in_no_parameter(rules, table, value):
    known = getattr(rules_of, table)
    for name in known:
        assert refused(rules.values, {name: value}, known, "spleen") == 422
        assert refused(rules.values, {name: [{"a": value}]}, known, "spleen") == 422


@pytest.mark.parametrize(
    "name", ["overlap", "image", "bundle_root", "run_id", "network", "train#trainer#max_epochs", "$x"]
)
@pytest.mark.parametrize("table", ["INFER", "TRAIN", "BATCH", "SAMPLE"])
def test_a_parameter_that_is_not_listed_is_refused(rules, table, name):
    assert refused(rules.values, {name: 1}, getattr(rules_of, table), "spleen") == 422


@pytest.mark.parametrize(
    "table, given",
    [
        ("TRAIN", {"max_epochs": 0}),
        ("TRAIN", {"max_epochs": 2.5}),
        ("TRAIN", {"max_epochs": True}),
        ("TRAIN", {"max_epochs": "5"}),
        ("TRAIN", {"max_epochs": 10**9}),
        ("TRAIN", {"val_split": 1}),
        ("TRAIN", {"val_split": -0.1}),
        ("TRAIN", {"val_split": float("nan")}),
        ("TRAIN", {"gpus": "0;1"}),
        ("INFER", {"device": "cuda:123"}),
        ("INFER", {"result_extension": ".py"}),
        ("INFER", {"model_filename": "model_confidence.pt"}),
        ("INFER", {"label_tag": "mine"}),
        ("BATCH", {"images": "case1"}),
        ("BATCH", {"images": ["../x"]}),
        ("BATCH", {"max_workers": 1000}),
    ],
)
def test_values_out_of_range_are_refused(rules, table, given):
    assert refused(rules.values, given, getattr(rules_of, table), "spleen") == 422


def test_what_clients_send_passes(rules):
    info = [{"name": "liver", "description": "", "color": [0, 255, 12], "model_name": "spleen"}]
    rules.values({"device": "cuda:1", "result_extension": ".nrrd", "label_info": info}, rules_of.INFER, "spleen")
    rules.values({"model_filename": "model.pt", "client_id": "user-xyz"}, rules_of.INFER, "spleen")
    rules.values({"max_epochs": 50, "val_split": 0.2, "multi_gpu": True, "gpus": "0,1"}, rules_of.TRAIN, "spleen")
    rules.values({"images": ["case1", "1.2.840.3"], "max_workers": 2}, rules_of.BATCH, "spleen")
    rules.upload("CASE-1 (2).nii.gz", "file")
    for tag in (None, "final", "original", "confidence"):
        rules.tag(tag)


@pytest.mark.parametrize(
    "name", ["x.py", "model.pt", "train.json", "../x.nii.gz", "a/b.nii", "x.nii.gz.sh", "", None, ".nii"]
)
def test_a_file_that_is_no_image_is_refused(rules, name):
    assert refused(rules.upload, name, "file") == 422


@pytest.mark.parametrize("name", PATHS)
def test_ids_without_separators_only(rules, name):
    assert not rules_of.is_id(name)
    assert refused(rules.served.need_image, name) == 404  # even if the studies had it
    if name:
        assert refused(rules.new_id, name) == 422


def test_what_is_not_served_is_named(rules):
    assert refused(rules.served.need, "models", "liver") == 404
    assert refused(rules.served.need, "scoring", "x") == 404
    assert refused(rules.served.need_image, "case2") == 404
    assert refused(rules.tag, "../../x") == 422


@pytest.mark.parametrize("text", ["{", "[1, 2", "NaN", "[" * 5000])
def test_broken_json_is_one_line(rules, text):
    def read():
        rules.values(rules_of.read_json(text), rules_of.INFER, "spleen")

    assert refused(read) == 422
