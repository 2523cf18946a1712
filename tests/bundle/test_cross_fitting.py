"""D trained alone: behind S, and behind the networks that did not learn from the case at hand."""

import pytest
import torch
from monai.bundle import ConfigParser


@pytest.fixture(scope="module")
def options(patients, tmp_path_factory):
    folder = tmp_path_factory.mktemp("crossfit")
    return {"dataset_dir": str(patients), "output_dir": str(folder / "output"), "epochs": 1}


def test_d_alone_changes_d_and_leaves_s(trained, tiny, run_here, options, tmp_path):
    workflow = run_here(
        *("train.json", "tasks/pelvic.json", "train_confidence.json"),
        **{**tiny, **options, "weights": trained.weights["weights"], "ckpt_dir": str(tmp_path)},
        start_from=trained.weights["confidence_weights"],
    )
    before = torch.load(trained.weights["confidence_weights"], weights_only=True)
    after = torch.load(tmp_path / "model_confidence.pt", weights_only=True)
    assert any(not torch.equal(before[name], value) for name, value in after.items())
    s_before = torch.load(trained.weights["weights"], weights_only=True)
    s_after = workflow.parser.get_parsed_content("network").state_dict()
    assert all(torch.equal(s_after[name], value) for name, value in s_before.items())
    assert [file.name for file in tmp_path.iterdir()] == ["model_confidence.pt"]


def test_cross_fitting_trains_a_network_a_part_and_d_behind_them_all(tiny, run_here, options, tmp_path):
    names = []
    for part in range(3):
        workflow = run_here(
            *("train.json", "tasks/pelvic.json", "crossfit_part.json"),
            **{**tiny, **options, "ckpt_dir": str(tmp_path), "leave_out": part, "batch_size": 1},
        )
        names.append({case["case"] for case in workflow.parser.get_parsed_content("train#dataset").data})
    assert set.union(*names) - names[0]
    assert len(names[0]) < len(set.union(*names))
    # each training case has a network that did not see it
    assert not set.intersection(*names)
    workflow = run_here(
        *("train.json", "tasks/pelvic.json", "train_confidence.json", "crossfit_confidence.json"),
        **{**tiny, **options, "ckpt_dir": str(tmp_path)},
    )
    behind = workflow.parser.get_parsed_content("network")
    for part, network in enumerate(behind.networks):
        saved = torch.load(tmp_path / f"part{part}" / "model.pt", weights_only=True)
        assert all(torch.equal(network.state_dict()[name], value) for name, value in saved.items())
    assert (tmp_path / "model_confidence.pt").is_file()
    assert not (tmp_path / "model.pt").exists()  # S itself is left alone


@pytest.mark.parametrize("kind", ["part", "D"])
def test_both_go_on_where_they_were_stopped(trained, tiny, run_here, options, tmp_path, kind):
    files, run, weights = {
        "part": (("crossfit_part.json",), "part1/run", "part1/model.pt"),
        "D": (("train_confidence.json",), "confidence/run", "model_confidence.pt"),
    }[kind]
    both = {**tiny, **options, "epochs": 2, "weights": trained.weights["weights"], "batch_size": 1}
    both |= {"leave_out": 1} if kind == "part" else {}
    both = {name: value for name, value in both.items() if kind == "D" or name != "weights"}
    both |= {"ckpt_dir": str(tmp_path / "models"), "output_dir": str(tmp_path / "output")}
    run_here("train.json", "tasks/pelvic.json", *files, **both)
    whole = torch.load(tmp_path / "models" / weights, weights_only=True)
    (tmp_path / "models" / weights).unlink()
    (tmp_path / "output" / run / "run_checkpoint_epoch=2.pt").unlink()  # as if the second epoch had been cut short
    run_here("train.json", "tasks/pelvic.json", *files, **both, resume=True)
    resumed = torch.load(tmp_path / "models" / weights, weights_only=True)
    assert all(torch.equal(whole[name], value) for name, value in resumed.items())


def test_a_part_that_was_not_trained_is_named(tiny, error_of, options, tmp_path):
    message = error_of(
        *("train.json", "tasks/pelvic.json", "train_confidence.json", "crossfit_confidence.json"),
        **{**tiny, **options, "ckpt_dir": str(tmp_path)},
    )
    assert message == f"no weights at {tmp_path}/part0/model.pt; train first, or name another file"


def test_d_alone_learns_from_every_voxel(configs):
    parser = ConfigParser()
    parser.read_config([str(configs / name) for name in ("train.json", "tasks/pelvic.json", "train_confidence.json")])
    assert parser.get_parsed_content("confidence_loss").band is None


def test_few_cases_get_more_epochs(tiny, patients, configs):
    def epochs(*names, **overrides):
        parser = ConfigParser()
        parser.read_config([str(configs / name) for name in ("train.json", "tasks/pelvic.json", *names)])
        parser.update({**tiny, "dataset_dir": str(patients), "batch_size": 1, **overrides})
        return parser.get_parsed_content("train#trainer#max_epochs")

    # three training cases, two where a part of them is left out
    assert epochs("train_confidence.json", "crossfit_confidence.json", iterations=75) == 25
    assert epochs("crossfit_part.json", iterations=75) in (37, 38)
    # as on many cases
    assert epochs("train_confidence.json", iterations=6) == 12
    assert epochs("crossfit_part.json", iterations=6) == 30
    assert epochs("train_confidence.json", epochs=2) == 2


def test_the_hippocampus_has_the_epochs_of_the_shipped_weights(hippocampus, configs):
    parser = ConfigParser()
    parser.read_config([str(configs / "train.json"), str(configs / "train_confidence.json")])
    parser["dataset_dir"] = str(hippocampus)
    assert parser.get_parsed_content("epochs") == 12
    parser.read_config([str(configs / "train.json"), str(configs / "crossfit_part.json")])
    parser["dataset_dir"] = str(hippocampus)
    assert parser.get_parsed_content("epochs") == 30
