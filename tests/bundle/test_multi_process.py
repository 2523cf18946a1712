"""Training in two processes with multi_gpu_train.json, on CPUs with gloo."""

import torch

TORCHRUN = ("torch.distributed.run", "--standalone", "--nproc_per_node=2")


def test_two_processes_train_and_one_of_them_writes(start, tiny, patients, tmp_path):
    process = start(
        tmp_path,
        "train.json",
        "tasks/pelvic.json",
        "multi_gpu_train.json",
        launcher=TORCHRUN,
        **{**tiny, "folds#validation": 2},  # at least one a process
        dataset_dir=patients,
        ckpt_dir=tmp_path / "models",
        output_dir=tmp_path / "output",
        epochs=2,
        val_interval=1,
        lambda_adv=0.01,
        warmup_epochs=0,
    )
    stdout, stderr = process.communicate(timeout=240)
    assert process.returncode == 0, stderr
    for name in ("model.pt", "model_confidence.pt"):
        state = torch.load(tmp_path / "models" / name, weights_only=True)
        # the network itself, not what wraps it for several processes
        assert state and not any(key.startswith("module.") for key in state)
    runs = sorted(file.name for file in (tmp_path / "output" / "run").iterdir())
    assert runs == ["run_checkpoint_epoch=1.pt", "run_checkpoint_epoch=2.pt"]
    assert stdout.count("Metrics -- val_mean_dice") == 2  # one process tells it, once an epoch
