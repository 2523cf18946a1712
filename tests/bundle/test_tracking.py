"""--tracking mlflow: MONAI adds its handlers to this bundle's engines, and what they refer to is there."""

import json

import pytest
from monai.bundle import ConfigWorkflow

TRAIN, EVALUATE, INFER = ["train.json"], ["train.json", "evaluate.json"], ["inference.json"]


@pytest.mark.parametrize(
    ("names", "kind", "handlers"),
    [
        (TRAIN, "train", ["train#handlers", "validate#handlers"]),
        (EVALUATE, "train", ["validate#handlers"]),
        (INFER, "infer", ["handlers"]),
    ],
)
def test_every_engine_gets_mlflows_handler(configs, tmp_path, names, kind, handlers):
    workflow = ConfigWorkflow(
        [str(configs / name) for name in names],
        workflow_type=kind,
        logging_file=False,
        tracking="mlflow",
        output_dir=str(tmp_path),
    )
    parser = workflow.parser
    for place in handlers:
        own = [h for h in parser[place] if isinstance(h, str)]  # references
        names = [h["_target_"] for h in parser[place] if h not in own]
        assert names.count("MLFlowHandler") == 1
        assert names[-1] == "MLFlowHandler"
    assert str(tmp_path) in parser.get_parsed_content("tracking_uri")
    assert parser.get_parsed_content("is_not_rank0") is False
    (executed,) = tmp_path.glob("config_*.json")  # what the run is recorded with
    assert all(key in json.loads(executed.read_text()) for key in ("network_def", "confidence_network_def"))
