"""Keeping a run: MONAI's checkpoint handlers, made safe against being killed at any moment."""

from __future__ import annotations

import logging
import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from ignite.handlers import Checkpoint, DiskSaver
from monai.handlers import CheckpointLoader, CheckpointSaver
from torch import nn

from dam_components.atomic_files import copy_whole, whole_stream
from dam_components.errors import failure_reason
from dam_components.networks import file_digests, identify, put_identity
from dam_components.networks.weights import MadeFor

__all__ = ["BestSaver", "FinalSaver", "RunLoader", "RunSaver", "newest_checkpoint"]

PREFIX = "run"
logger = logging.getLogger(__name__)
NAME = PREFIX + "_checkpoint_epoch={}.pt"  # as Ignite names them


class _WholeFiles(DiskSaver):
    """Ignite's saver: files appear whole, under one name if one is given; a killed process leaves no other file.

    Args:
        folder: where to save.
        filename: the one name.
        identity: gives the identity of the network whose ``state_dict`` is saved.
    """

    def __init__(
        self, folder: str, filename: str | None = None, identity: Callable[[], dict[str, Any]] | None = None
    ) -> None:
        super().__init__(folder, create_dir=True, require_empty=False)
        self.filename = filename
        self.identity = identity

    def __call__(self, checkpoint, filename, metadata=None) -> None:
        if self.identity is not None:
            put_identity(checkpoint, self.identity())
        super().__call__(checkpoint, self.filename or filename, metadata)

    def _save_func(self, checkpoint: Mapping, path: Path, func: Callable) -> None:
        try:
            with whole_stream(path) as stream:
                func(checkpoint, stream, **self.kwargs)
        except (OSError, RuntimeError) as error:  # PyTorch's writer has an error of its own
            raise OSError(
                f"{path} could not be written ({failure_reason(error)}); what was saved before is whole: free space in "
                f"{path.parent}, or give back the right to write there, and go on with --resume True"
            ) from error

    def remove(self, filename: str) -> None:
        # under a fixed name the rename has already replaced the old file; removing it first would leave a gap
        if self.filename is None:
            super().remove(filename)


def identity_of(
    save_dict: Mapping[str, nn.Module], label_names: Mapping[Any, str] | None, made_for: MadeFor | None
) -> Callable[[], dict[str, Any]]:
    """What gives the identity of the one network of a ``save_dict`` at the moment of the call."""
    (network,) = save_dict.values()

    def identity() -> dict[str, Any]:
        try:
            return identify(network, label_names, None if made_for is None else file_digests(made_for))
        except FileNotFoundError:  # D may be trained before S, behind the networks of cross-fitting
            logger.warning("S is not there yet (%s): the file of D will not say for which S it is", made_for)
            return identify(network, label_names)

    return identity


class BestSaver(CheckpointSaver):
    """Writes a network's raw ``state_dict`` under a fixed name whenever the key metric has improved.

    MONAI's ``CheckpointSaver(save_key_metric=True)``, and: the file is replaced in one step, says which network it is
    of (:func:`dam_components.networks.identify`), and the handler has a state, so that a resumed run does not take its
    first epoch for the best one. The state has the evaluator's best metric and its epoch too, which others ask for.

    Give it a folder of the run, and let :class:`FinalSaver` put the file in its place when the training is over: an
    older model then stays until the new one is complete.

    Args:
        save_dir: folder.
        save_dict: one entry: the network.
        key_metric_filename: the file's name.
        label_names: name of each class by its index, for the identity.
        made_for: of D: S, or the file or files of its weights, for the identity.
    """

    def __init__(
        self,
        save_dir: str,
        save_dict: dict,
        key_metric_filename: str,
        label_names: Mapping[Any, str] | None = None,
        made_for: MadeFor | None = None,
    ) -> None:
        super().__init__(save_dir, save_dict, save_key_metric=True, key_metric_filename=key_metric_filename)
        self.file = Path(save_dir, key_metric_filename)
        self._best = cast(Checkpoint, self._key_metric_checkpoint)
        identity = identity_of(save_dict, label_names, made_for)
        self._best.save_handler = _WholeFiles(save_dir, key_metric_filename, identity)
        self.engine: Engine | None = None

    def attach(self, engine: Engine) -> None:
        """Registers the handler with the evaluator."""
        self.engine = engine
        super().attach(engine)

    @property
    def has_saved(self) -> bool:
        """Whether a network has been written, in this run or the one it resumes."""
        return bool(self._best.state_dict()["_saved"])

    def state_dict(self) -> dict:
        """The best score so far and its file's name; of MONAI's evaluator also ``best_metric`` and its epoch."""
        # plain numbers: a checkpoint that holds a NumPy scalar cannot be read with weights_only
        state: dict[str, Any] = {"_saved": [(float(score), name) for score, name in self._best.state_dict()["_saved"]]}
        there: Any = getattr(self.engine, "state", None)
        if hasattr(there, "best_metric"):
            state["best_metric"] = float(there.best_metric)
            state["best_metric_epoch"] = int(there.best_metric_epoch)
        return state

    def load_state_dict(self, state_dict: dict) -> None:
        """Takes up where :meth:`state_dict` was called."""
        super().load_state_dict({"_saved": state_dict["_saved"]})
        for name in ("best_metric", "best_metric_epoch"):
            if self.engine is not None and name in state_dict:  # runs before 0.2.0 do not have it
                setattr(self.engine.state, name, state_dict[name])


class FinalSaver(CheckpointSaver):
    """Puts a network's raw ``state_dict`` in its place when the training is over: the best one, else the last one.

    The last one is written where no validation has chosen a best one: in a run without validation cases, or one shorter
    than the validation's interval. A training that fails or is interrupted leaves the folder as it was.

    Args:
        save_dir: folder.
        save_dict: one entry: the network.
        final_filename: the file's name.
        unless: the handler that has written the best network; ``None`` takes the last one in any case.
        label_names: name of each class by its index, for the identity.
        made_for: of D: S, or the file or files of its weights, for the identity.
    """

    def __init__(
        self,
        save_dir: str,
        save_dict: dict,
        final_filename: str,
        unless: BestSaver | None,
        label_names: Mapping[Any, str] | None = None,
        made_for: MadeFor | None = None,
    ) -> None:
        super().__init__(save_dir, save_dict, save_final=True, final_filename=final_filename)
        self.file = Path(save_dir, final_filename)
        identity = identity_of(save_dict, label_names, made_for)
        self._final_checkpoint.save_handler = _WholeFiles(save_dir, final_filename, identity)  # type: ignore[union-attr]
        self.unless = unless

    def completed(self, engine: Engine) -> None:
        """Puts the network in its place."""
        if self.unless is None or not self.unless.has_saved:
            super().completed(engine)
            logger.info("saved the last network: %s", self.file)
        elif self.unless.file != self.file and idist.get_rank() == 0:
            copy_whole(self.unless.file, self.file)
            logger.info("saved the network that was best in validation: %s", self.file)

    def exception_raised(self, engine: Engine, e: Exception) -> None:
        """Passes the error on and writes nothing: a run that failed has no final network."""
        raise e  # a network half-way into a failure is no result; RunSaver has the last whole epoch


class RunSaver(CheckpointSaver):
    """Writes all that a run needs to go on, at the end of every epoch, as ``run_checkpoint_epoch=N.pt``; keeps two.

    Attach it to the trainer, which is saved too. It saves after all other handlers, wherever it stands among them, so
    that the file has what they do at the end of the epoch (a scheduler's step). It keeps two files, since the older
    one is removed before the newer one is whole.

    Args:
        save_dir: folder.
        save_dict: networks, optimizers, schedulers and :class:`BestSaver` handlers by name.
    """

    def __init__(self, save_dir: str, save_dict: dict) -> None:
        super().__init__(save_dir, dict(save_dict), file_prefix=PREFIX, save_interval=1, n_saved=2)
        cast(Checkpoint, self._interval_checkpoint).save_handler = _WholeFiles(save_dir)

    def interval_completed(self, engine: Engine) -> None:
        """Writes the epoch's file."""
        super().interval_completed(engine)
        # what an earlier run left in this folder, or else a later resume would take the older run's last epoch
        for file in checkpoints(self.save_dir):
            if not engine.state.epoch - 1 <= epoch_of(file) <= engine.state.epoch:
                file.unlink(missing_ok=True)  # another rank may have been faster

    def attach(self, engine: Engine) -> None:
        """Registers the handler with the trainer."""
        engine.add_event_handler(Events.STARTED, self.check_space)
        self.save_dict["trainer"] = engine
        engine.add_event_handler(Events.STARTED, self.attach_last)  # when all others are attached

    def attach_last(self, engine: Engine) -> None:
        """Once: an engine may run several times."""
        if not engine.has_event_handler(self.interval_completed):
            super().attach(engine)

    def check_space(self, engine: Engine) -> None:
        """Before the first step: room for the files of two epochs and the one that is being written.

        Raises:
            OSError: if there is less.
        """
        parameters = sum(
            value.numel() * value.element_size()
            for part in self.save_dict.values()
            if isinstance(part, nn.Module)
            for value in part.state_dict().values()
        )
        there = sum(file.stat().st_size for file in checkpoints(self.save_dir))
        needed, free = 3 * 3 * parameters, shutil.disk_usage(self.save_dir).free + there  # Adam keeps two of each
        if needed > free:
            raise OSError(
                f"{self.save_dir} has {free / 1e6:.0f} MB free, and the training needs about {needed / 1e6:.0f} MB "
                "there: free space, or name another folder"
            )


class RunLoader(CheckpointLoader):
    """Restores what :class:`RunSaver` wrote, from the newest whole file in a folder. Attach it to the trainer.

    Args:
        load_dir: folder.
        load_dict: as ``save_dict`` of :class:`RunSaver`.
        map_location: as in ``torch.load``.

    Raises:
        FileNotFoundError: if the folder holds no whole checkpoint.
        ValueError: when the training starts, if the checkpoint is of other networks or optimizers, or of a run of
            another length whose learning rate falls over all of it.
    """

    def __init__(self, load_dir: str, load_dict: dict, map_location: str | torch.device | None = None) -> None:
        super().__init__(
            str(newest_checkpoint(load_dir)),
            dict(load_dict),
            map_location=map_location,  # type: ignore[arg-type]  # MONAI hands it to torch.load, which takes more
        )

    def attach(self, engine: Engine) -> None:
        """Registers the handler with the trainer."""
        self.load_dict["trainer"] = engine
        super().attach(engine)

    def __call__(self, engine: Engine) -> None:
        lengths = self._lengths()
        try:
            super().__call__(engine)
            if (before := self._lengths()) != lengths:  # beyond the length of before the rate would stay at 0
                of_before, of_now = (" and ".join(map(str, {*found.values()})) for found in (before, lengths))
                raise ValueError(f"its learning rate falls over {of_before} epochs, that of this run over {of_now}")
        except (RuntimeError, ValueError, KeyError) as error:
            reason = str(error).strip().splitlines()[0]
            raise ValueError(
                f"{self.load_path} is of a run with other options ({reason}); give those of that run, or start anew "
                "without --resume True"
            ) from None

    def _lengths(self) -> dict[str, int]:
        """Epochs of the schedulers that know their end."""
        return {name: part.total_iters for name, part in self.load_dict.items() if hasattr(part, "total_iters")}


def newest_checkpoint(folder: str | Path) -> Path:
    """The newest file of :class:`RunSaver` in the folder that can be read to its end.

    Raises:
        FileNotFoundError: if there is none.
    """
    for file in sorted(checkpoints(folder), key=epoch_of, reverse=True):
        try:
            torch.load(file, map_location="meta", weights_only=True)
            with zipfile.ZipFile(file) as records:
                damaged = records.testzip()  # compares the checksum of every tensor, which torch.load does not
        except Exception:  # a broken file fails in as many ways as it can be broken
            continue
        if damaged is None:
            return file
    raise FileNotFoundError(f"{folder} holds no whole {NAME.format('*')} to resume from; start without --resume True")


def checkpoints(folder: str | Path) -> list[Path]:
    """The files of :class:`RunSaver` in the folder, in no order."""
    return list(Path(folder).glob(NAME.format("*")))


def epoch_of(file: Path) -> int:
    """The epoch in the name of a file of :class:`RunSaver`."""
    return int(file.stem.partition("=")[2])
