"""Training S on images without labels too, where D trusts S: after Hung et al., BMVC 2018, as an Ignite engine."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from operator import length_hint
from typing import Any

import torch
from ignite.engine import Events
from monai.data import set_rnd
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from dam_components.engines.confidence_trainer import ConfidenceEvents, ConfidenceTrainer, undistributed
from dam_components.plain_tensor import plain
from dam_components.predicted_class import predict_class

__all__ = ["SemiSupervisedConfidenceTrainer", "SemiSupervisedKeys"]


class SemiSupervisedKeys:
    """Keys of the output beside those of :class:`ConfidenceKeys`."""

    SEMI_LOSS = "semi_loss"  # before lambda_semi; 0 until semi_start is over
    TRUSTED = "trusted"  # share of the unlabelled voxels that D trusted


class SemiSupervisedConfidenceTrainer(ConfidenceTrainer):
    r"""A :class:`ConfidenceTrainer` whose S learns from unlabelled images as well.

    To the gradients of Eq. 11 an iteration adds those of

    .. math:: \lambda_{semi} \, L(S(X_{strong}), \hat Y, M > t), \quad \hat Y = \mathrm{argmax}\, T(X), \;
        M = \sigma(D(T(X) \cup X))

    before S's optimizer steps. Hung et al. take the labels from S itself, on the very image it learns from, where a
    label that S is sure of teaches it little. So T, the teacher, is the moving average of S (Tarvainen and Valpola
    2017), and S learns on a strongly disturbed view of the image (Sohn et al. 2020, FixMatch); there the share of right
    labels is raised by the largest softmax value, here by D, which must be one that is told where S is right
    (``ConfidenceLoss(target="correctness")``, M the probability that S is right). D learns nothing from unlabelled
    images and gets no gradient.

    It costs a forward pass of T and of D and a pass of S forward and back, after the labelled graph is freed. With
    ``lambda_semi`` 0 nothing of it runs: the supervised baseline. What is drawn for the unlabelled images does not
    change what is drawn for the labelled ones, so that the two see the same labelled batches.

    Args:
        unlabelled_data_loader: yields batches with ``image`` ``(B, channels, ...)`` and ``strong``, the same image at
            the same place, disturbed. It is begun anew every epoch and whenever it ends, so it should shuffle.
        semi_loss: called as ``(S's logits on strong, pseudo-labels, M > t)``, labels integer and mask bool, both
            ``(B, 1, ...)``.
        lambda_semi: weight of the term.
        semi_threshold: t; a voxel is used where M exceeds it.
        semi_start: epochs before the term begins: S and D have to know something first.
        ema_decay: of T, a step; 0 takes S itself.
        semi_seed: of the unlabelled batches.

    All other arguments are those of :class:`ConfidenceTrainer`.

    Raises:
        ValueError: if a number is out of its range, the loader is empty, S is not trained (``optimizer=None``) or a
            batch lacks an image.
    """

    def __init__(
        self,
        *args: Any,
        unlabelled_data_loader: Iterable,
        semi_loss: Callable,
        lambda_semi: float = 1.0,
        semi_threshold: float = 0.9,
        semi_start: int = 1,
        ema_decay: float = 0.99,
        semi_seed: int = 0,
        **kwargs: Any,
    ) -> None:
        if lambda_semi < 0 or semi_start < 0:
            raise ValueError(f"lambda_semi and semi_start must be >= 0, got {lambda_semi} and {semi_start}")
        if not 0 <= semi_threshold <= 1:
            raise ValueError(f"semi_threshold must lie in [0, 1], as M does, got {semi_threshold}")
        if not 0 <= ema_decay < 1:
            raise ValueError(f"ema_decay must lie in [0, 1), got {ema_decay}")
        if length_hint(unlabelled_data_loader, 1) == 0:
            raise ValueError(
                "unlabelled_data_loader is empty: name unlabelled cases and batches no larger than their number, "
                "or use ConfidenceTrainer"
            )
        super().__init__(*args, **kwargs)
        if self.optimizer is None:
            raise ValueError("semi-supervised training is of S and needs its optimizer, got None")
        self.unlabelled_data_loader = unlabelled_data_loader
        self.semi_loss = semi_loss
        self.lambda_semi = lambda_semi
        self.semi_threshold = semi_threshold
        self.semi_start = semi_start
        self.semi_seed = semi_seed
        self.teacher = AveragedModel(bare(self.network), multi_avg_fn=get_ema_multi_avg_fn(ema_decay)).eval()
        self.teacher.requires_grad_(False)
        if lambda_semi > 0:
            self.add_event_handler(Events.EPOCH_STARTED, self._begin_unlabelled)
            self.add_event_handler(ConfidenceEvents.SEGMENTATION_COMPLETED, self._teach)

    def state_dict(self) -> OrderedDict:
        """:class:`ConfidenceTrainer`'s, and the teacher."""
        state = super().state_dict()
        state["teacher"] = self.teacher.state_dict()
        return state

    def load_state_dict(self, state_dict: Any) -> None:
        """Restores what :meth:`state_dict` gave; from a run without a teacher, the teacher begins as S."""
        state = dict(state_dict)
        saved = state.pop("teacher", None)
        if saved is not None:  # else from a run without one: it then begins as S
            self.teacher.load_state_dict(saved)
        super().load_state_dict(state)

    def _teach(self) -> None:
        self.teacher.update_parameters(bare(self.network))

    def _begin_unlabelled(self) -> None:
        """Seeds the unlabelled batches of an epoch by its number, so that a resumed run draws the same ones."""
        seed = (self.semi_seed * 1_000_003 + self.state.epoch * 1009 + self.state.rank + 500_009) % 2**31
        set_rnd(getattr(self.unlabelled_data_loader, "dataset", None), seed)
        self._random = torch.Generator().manual_seed(seed).get_state()
        with self._own_random_numbers():
            self._unlabelled = iter(self.unlabelled_data_loader)

    @contextmanager
    def _own_random_numbers(self) -> Iterator[None]:
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(self._random)
            yield
            self._random = torch.get_rng_state()

    def _unlabelled_images(self) -> list[torch.Tensor]:
        """The next batch as it is and strongly disturbed."""
        with self._own_random_numbers():
            batch = next(self._unlabelled, None)
            if batch is None:
                self._unlabelled = iter(self.unlabelled_data_loader)
                batch = next(self._unlabelled, None)
        if batch is None:
            raise ValueError("unlabelled_data_loader ended without a batch: name unlabelled cases")
        images = []
        for key in ("image", "strong"):
            if key not in batch:
                raise ValueError(f"unlabelled batches must hold 'image' and 'strong', got {sorted(batch)}")
            x = batch[key].to(self.state.device, non_blocking=self.non_blocking, **self.to_kwargs)
            images.append(plain(x))
        return images

    def _more_gradients(self) -> None:
        loss, share = torch.zeros((2,), device=self.state.device)
        if self.lambda_semi > 0 and self.state.epoch > self.semi_start:
            image, strong = self._unlabelled_images()
            labels, confidence = self._judge(image)
            trusted = confidence > self.semi_threshold
            with self._autocast():
                scales = self._scales(self.inferer(strong, self.network), strong.ndim)
            loss = self.semi_loss(scales, labels, trusted)
            self.scaler.scale(self.lambda_semi * loss).backward()
            share = trusted.float().mean()
        self.state.output[SemiSupervisedKeys.SEMI_LOSS] = loss.detach()
        self.state.output[SemiSupervisedKeys.TRUSTED] = share

    @torch.no_grad()
    def _judge(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The teacher's labels and D's confidence in them, ``(B, 1, ...)`` each."""
        if self.teacher.n_averaged == 0:
            self._teach()
        D = bare(self.confidence_network).eval()  # leaves running statistics alone; the next iteration sets train()
        with self._autocast():
            scales = self._scales(self.inferer(image, self.teacher), image.ndim)
            logits = scales if isinstance(scales, torch.Tensor) else scales[0]
            probabilities = logits.float().softmax(1)
            judgement = D(torch.cat([probabilities, image], dim=1))
        return predict_class(probabilities), judgement.float().sigmoid()


def bare(network: nn.Module) -> nn.Module:
    """The network without what wraps it for several processes or compiles it."""
    network = undistributed(network)
    return getattr(network, "_orig_mod", network)
