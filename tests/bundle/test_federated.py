"""MONAI's federated client on this bundle."""

import pytest
import torch
from monai.fl.client import MonaiAlgo
from monai.fl.utils.constants import ExtraItems, FlStatistics, WeightType
from monai.fl.utils.exchange_object import ExchangeObject


@pytest.fixture
def client(trained, configs, tmp_path, monkeypatch):
    """A site of a federation of two rounds, an epoch each."""
    monkeypatch.chdir(tmp_path)
    options = {
        **trained.overrides,
        "ckpt_dir": str(tmp_path / "models"),
        "output_dir": str(tmp_path / "output"),
        "epochs": 2,
    }
    train = [str(configs / name) for name in ("train.json", "federated.json", "tasks/pelvic.json")]
    evaluate = [str(configs / name) for name in ("train.json", "evaluate.json", "tasks/pelvic.json")]
    algo = MonaiAlgo(
        bundle_root=str(configs.parent),
        local_epochs=1,
        config_train_filename=train,
        train_kwargs=dict(options),
        config_evaluate_filename=evaluate,
        eval_kwargs={**options, **trained.weights, "section": "validation"},
    )
    algo.initialize({ExtraItems.CLIENT_NAME: "site"})
    yield algo
    algo.finalize()


def test_a_client_trains_rounds_gives_and_takes_weights(client, trained):
    weights = torch.load(trained.weights["weights"], weights_only=True)
    D = client.trainer.confidence_network
    for round_ in (1, 2):
        judge = {name: value.clone() for name, value in D.state_dict().items()}
        client.train(ExchangeObject(weights=weights, weight_type=WeightType.WEIGHTS))
        given = client.get_weights()
        assert given.weight_type == WeightType.WEIGHT_DIFF
        assert set(given.weights) == set(weights)
        assert given.statistics[FlStatistics.NUM_EXECUTED_ITERATIONS] > 0
        # the second round learns too: the learning rate falls over all rounds, not within each
        assert max(float(change.abs().max()) for change in given.weights.values()) > 1e-4
        assert any(not torch.equal(value, judge[name]) for name, value in D.state_dict().items())
        weights = {name: value + given.weights[name] for name, value in weights.items()}  # a federation of one site
        assert client.trainer.state.epoch == round_
    for name, value in client.trainer.network.state_dict().items():
        torch.testing.assert_close(value, weights[name])

    metrics = client.evaluate(ExchangeObject(weights=weights, weight_type=WeightType.WEIGHTS)).metrics
    assert 0 <= metrics["mean_dice"] <= 1
    torch.testing.assert_close(dict(client.evaluator.network.state_dict()), weights)
