"""A case that fails, at whatever step, is left out with its reason; a full disk ends the run."""

import errno
import re

import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor
from monai.transforms import Lambdad

from dam_components.data import ReadableCases
from dam_components.engines import CaseEvaluator, LargeCaseInferer
from dam_components.errors import plain_message


def wrapped(error):
    def fail(pred):
        if float(pred.mean()) == 2:
            raise error
        done.append(float(pred.mean()))
        return pred

    done = []
    return fail, done


def evaluate(network, postprocessing=None, cases=4):
    images = [
        {"image": MetaTensor(torch.full((1, 4, 4), float(i)), meta={"filename_or_obj": f"{i}.nii"})}
        for i in range(cases)
    ]
    dataset = ReadableCases(images, lambda case: case)
    evaluator = CaseEvaluator(
        leave_out=dataset.leave_out,
        device="cpu",
        val_data_loader=DataLoader(dataset, batch_size=1),
        network=network,
        postprocessing=postprocessing,
        decollate=True,
    )
    evaluator.run()
    return dataset


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError("Unable to allocate 3 GB"), "there is not enough memory for it: crop it, .* 3 GB"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "there is not enough memory for it: crop it, "),
        (PermissionError(errno.EACCES, "Permission denied", "out/2"), "Permission denied"),
        (
            RuntimeError(
                "no writer:\nTraceback (most recent call last):\n  File\nOSError: [Errno 5] Input/output error"
            ),
            "Errno 5",
        ),
    ],
)
def test_a_transform_that_fails_leaves_its_case_out(error, reason, caplog):
    fail, done = wrapped(error)
    dataset = evaluate(torch.nn.Identity(), Lambdad("pred", fail))
    assert done == [0, 1, 3]
    assert len(dataset.failed) == 1
    assert dataset.failed[0].startswith("2.nii: ")
    assert re.search(reason, dataset.failed[0])
    assert "left out 2.nii" in caplog.text
    with pytest.raises(SystemExit, match="1 of 4 cases failed, the others are done"):
        dataset.exit_if_failed()


def test_a_network_that_fails_leaves_its_case_out():
    class Failing(torch.nn.Module):
        def forward(self, x):
            if float(x.mean()) == 1:
                raise RuntimeError("CUDA out of memory. Tried to allocate 3 GiB")
            return x

    (failed,) = evaluate(Failing()).failed
    assert failed.startswith(
        "1.nii: there is not enough memory for it: crop it, or use a machine with more (CUDA out of "
    )


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError(
            "no writer:\nTraceback (most recent call last):\n  File\nOSError: [Errno 28] No space left on device"
        ),
    ],
)
def test_a_full_disk_ends_the_run_in_one_line(error):
    fail, done = wrapped(error)
    with pytest.raises(OSError, match="the disk is full: 2.nii could not be written") as caught:
        evaluate(torch.nn.Identity(), Lambdad("pred", fail))
    assert done == [0, 1]
    assert "--skip_finished True" in plain_message(caught.value)


@pytest.mark.parametrize(("size", "bar"), [(8, False), (80, True)])
def test_windows_of_a_large_case_have_a_bar(size, bar, capsys):
    inferer = LargeCaseInferer((8, 8), sw_batch_size=2, overlap=0.5, bar_from=50)
    assert inferer(torch.zeros(1, 1, size, size), torch.nn.Identity()).shape == (1, 1, size, size)
    assert ("100%" in capsys.readouterr().err) is bar


def test_the_dataset_is_another_ones_too():
    """Anything with a method for what fails can be told."""
    told = []
    evaluator = CaseEvaluator(
        leave_out=lambda image, error: told.append((image, str(error))),
        device="cpu",
        val_data_loader=DataLoader(Dataset([{"image": torch.zeros(1, 2, 2)}]), batch_size=1),
        network=torch.nn.Conv2d(3, 1, 1),
    )
    evaluator.run()
    assert [image for image, _ in told] == ["a case"]
