"""Training S beside D: Eq. 4-6 and 10-11 of Nie et al., AAAI 2019, as an Ignite engine."""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from ignite.engine import EventEnum
from ignite.metrics import Metric
from monai.engines import SupervisedTrainer, default_metric_cmp_fn, default_prepare_batch
from monai.engines.utils import IterationEvents
from monai.engines.workflow import Workflow
from monai.inferers import Inferer
from monai.transforms import Transform
from monai.utils.enums import CommonKeys
from torch import nn
from torch.optim import Optimizer

from dam_components.plain_tensor import plain
from dam_components.precision import choose_amp, use_right_gradients

__all__ = ["ConfidenceEvents", "ConfidenceKeys", "ConfidenceTrainer"]


class ConfidenceEvents(EventEnum):
    """Fired once an iteration each: after D's optimizer has stepped, and after S's."""

    CONFIDENCE_COMPLETED = "confidence_completed"
    SEGMENTATION_COMPLETED = "segmentation_completed"


class ConfidenceKeys:
    """Keys of the trainer's output beside MONAI's ``image``, ``label``, ``pred`` and ``loss``."""

    CONFIDENCE = "confidence"  # M, (1, ...)
    CONFIDENCE_LOSS = "confidence_loss"  # L_D, Eq. 4
    SEGMENTATION_LOSS = "segmentation_loss"  # L_DamHyb, Eq. 10
    ADVERSARIAL_LOSS = "adversarial_loss"  # L_ADV, Eq. 6, as last computed; 0 where lambda_adv is


class ConfidenceTrainer(SupervisedTrainer):
    r"""Trains a segmentation network S and a confidence network D together.

    An iteration is one forward pass of S and two phases:

    1. D: judges P̂ (detached) and descends its own loss, Eq. 4. Its judgement is the confidence map M.
    2. S: descends :math:`L_{Seg} = L_{DamHyb}(M) + \lambda_1 L_{ADV}`, Eq. 11, with M detached and D frozen.

    Any network that returns logits ``(B, C, ...)``, or while training a list of them finest first (or stacked along
    dimension 1, as MONAI's ``DynUNet`` does), can be S. Any network
    that maps ``torch.cat([P̂, X], 1)`` to one logit a voxel can be D. A ``loss_function`` that takes no ``confidence``
    is called as in ``SupervisedTrainer``: D is then trained beside S without steering it.

    ``state.output`` holds ``image``, ``label``, ``pred`` (the finest logits), ``loss`` (Eq. 11) and the entries of
    :class:`ConfidenceKeys`, the same with and without AMP.

    Args:
        device: where to train.
        max_epochs: epochs in all.
        train_data_loader: yields batches with ``image`` ``(B, channels, ...)`` and ``label`` ``(B, 1, ...)``.
        network: S.
        optimizer: S's. ``None`` keeps S as it is, in evaluation mode, and trains D alone.
        loss_function: Eq. 10 or any loss of (logits, labels).
        confidence_network: D.
        confidence_optimizer: D's.
        confidence_loss: Eq. 4; called as ``(D's logits, P̂, labels)``, and with D's logits on the labels where its
            ``label_weight`` is above 0.
        adversarial_loss: Eq. 6, of D's logits; not needed where ``lambda_adv`` is 0.
        lambda_adv: λ1 of Eq. 11. At 0, D is not run a second time.
        adversarial_interval: n: the adversarial term is computed in every n-th iteration, then with n times its weight
            (lazy regularization, Karras et al. 2020). Its mean weight is λ1, at an n-th of its price.
        confidence_steps: D's steps for each step of S.
        warmup_epochs: epochs in which D learns and S does not look at it yet (F = 1, λ1 = 0): a D that knows nothing
            points at random voxels.
        clip_grad_norm: largest gradient norm, for each of the two networks; ``None`` does not clip.
        amp: mixed precision: float16 with a scaler on CUDA, bfloat16 on CPU; ``amp_kwargs={"dtype": torch.bfloat16}``
            for bfloat16 on CUDA. ``"auto"`` where it is fast, see :func:`~dam_components.precision.choose_amp`.
        compile: run S and D through ``torch.compile``.

    All other arguments are those of ``monai.engines.SupervisedTrainer``.

    Raises:
        ValueError: if ``lambda_adv`` > 0 has no ``adversarial_loss``, or a number is out of its range.
    """

    scaler: torch.amp.GradScaler  # type: ignore[assignment]  # MONAI's is for CUDA alone

    def __init__(
        self,
        device: str | torch.device,
        max_epochs: int,
        train_data_loader: Iterable,
        network: nn.Module,
        optimizer: Optimizer | None,
        loss_function: Callable,
        confidence_network: nn.Module,
        confidence_optimizer: Optimizer,
        confidence_loss: Callable,
        adversarial_loss: Callable | None = None,
        lambda_adv: float = 0.005,
        adversarial_interval: int = 1,
        confidence_steps: int = 1,
        warmup_epochs: int = 0,
        clip_grad_norm: float | None = None,
        epoch_length: int | None = None,
        non_blocking: bool = False,
        prepare_batch: Callable = default_prepare_batch,
        iteration_update: Callable | None = None,
        inferer: Inferer | None = None,
        postprocessing: Transform | None = None,
        key_train_metric: dict[str, Metric] | None = None,
        additional_metrics: dict[str, Metric] | None = None,
        metric_cmp_fn: Callable = default_metric_cmp_fn,
        train_handlers: Sequence | None = None,
        amp: bool | str = False,
        event_names: list | None = None,
        event_to_attr: dict | None = None,
        decollate: bool = True,
        optim_set_to_none: bool = True,
        to_kwargs: dict | None = None,
        amp_kwargs: dict | None = None,
        compile: bool = False,
        compile_kwargs: dict | None = None,
    ) -> None:
        if lambda_adv < 0 or warmup_epochs < 0 or confidence_steps < 1 or adversarial_interval < 1:
            raise ValueError(
                "lambda_adv and warmup_epochs must be >= 0, confidence_steps and adversarial_interval >= 1, got "
                f"{lambda_adv}, {warmup_epochs}, {confidence_steps} and {adversarial_interval}"
            )
        if clip_grad_norm is not None and clip_grad_norm <= 0:
            raise ValueError(f"clip_grad_norm must be None or > 0, got {clip_grad_norm}")
        if lambda_adv > 0 and adversarial_loss is None:
            raise ValueError(f"lambda_adv={lambda_adv} needs an adversarial_loss (Eq. 6), got None")
        amp = choose_amp(amp, device)
        if amp and torch.device(device).type == "cpu":
            use_right_gradients(network)
            use_right_gradients(confidence_network)
        if compile:
            network, confidence_network = (
                cast(nn.Module, torch.compile(each, **(compile_kwargs or {}))) for each in (network, confidence_network)
            )
        for loss in (loss_function, confidence_loss, adversarial_loss):
            if isinstance(loss, nn.Module):
                loss.to(device)  # it may hold state, as the running Dice of Eq. 7
        # before the base class attaches handlers, which may ask for any of these
        self.network = network
        self.confidence_network = confidence_network
        self.optimizer = optimizer  # type: ignore[assignment]  # MONAI's has one
        self.confidence_optimizer = confidence_optimizer
        self.loss_function = loss_function
        self.confidence_loss = confidence_loss
        self.adversarial_loss = adversarial_loss
        self.lambda_adv = lambda_adv
        self.adversarial_interval = adversarial_interval
        self._last_adversarial = torch.zeros((), device=device)
        self.confidence_steps = confidence_steps
        self.warmup_epochs = warmup_epochs
        self.clip_grad_norm = clip_grad_norm
        self.loss_takes_confidence = (
            "confidence" in inspect.signature(getattr(loss_function, "forward", loss_function)).parameters
        )
        super().__init__(
            device=device,
            max_epochs=max_epochs,
            train_data_loader=train_data_loader,
            network=network,
            optimizer=optimizer,  # type: ignore[arg-type]
            loss_function=loss_function,
            epoch_length=epoch_length,
            non_blocking=non_blocking,
            prepare_batch=prepare_batch,
            iteration_update=iteration_update,
            inferer=inferer,
            postprocessing=postprocessing,
            key_train_metric=key_train_metric,
            additional_metrics=additional_metrics,
            metric_cmp_fn=metric_cmp_fn,
            train_handlers=train_handlers,
            amp=amp,
            event_names=[*(event_names or []), ConfidenceEvents],
            event_to_attr=event_to_attr,
            decollate=decollate,
            optim_set_to_none=optim_set_to_none,
            to_kwargs=to_kwargs,
            amp_kwargs=amp_kwargs,
        )
        # one scaler a network: their gradients differ by orders of magnitude. Only float16 underflows.
        kind = self.state.device.type
        half = amp and kind == "cuda" and self.amp_kwargs.get("dtype", torch.float16) == torch.float16
        self.scaler = torch.amp.GradScaler(kind, enabled=half)
        self.confidence_scaler = torch.amp.GradScaler(kind, enabled=half)

    def run(self) -> None:  # type: ignore[override]
        """Trains from the present state on.

        ``Trainer.run`` would put a new scaler for CUDA in the place of the one that a checkpoint has restored, so the
        engine's own ``run`` is called.
        """
        Workflow.run(self)

    def state_dict(self) -> OrderedDict:
        """Ignite's (epoch, iteration), and what else a resumed run needs: scalers, best metric, running Dice."""
        state = super().state_dict()
        state["scalers"] = [self.scaler.state_dict(), self.confidence_scaler.state_dict()]
        state["best"] = [float(self.state.best_metric), self.state.best_metric_epoch]
        if isinstance(self.loss_function, nn.Module):
            state["loss"] = self.loss_function.state_dict()
        return state

    def load_state_dict(self, state_dict: Any) -> None:
        """Restores what :meth:`state_dict` gave."""
        state = dict(state_dict)
        for scaler, saved in zip((self.scaler, self.confidence_scaler), state.pop("scalers"), strict=True):
            if saved and scaler.is_enabled():  # a run without AMP may go on from one with it, and the reverse
                scaler.load_state_dict(saved)
        self.state.best_metric, self.state.best_metric_epoch = state.pop("best")
        saved = state.pop("loss", None)
        if saved is not None and isinstance(self.loss_function, nn.Module):
            self.loss_function.load_state_dict(saved)
        super().load_state_dict(state)

    def _iteration(self, engine: SupervisedTrainer, batchdata: Any) -> dict:
        if batchdata is None:
            raise ValueError("Must provide batch data for current iteration.")
        inputs, targets, args, kwargs = self._prepare(batchdata)
        output: dict[str, Any] = {CommonKeys.IMAGE: inputs, CommonKeys.LABEL: targets}
        self.state.output = output
        image, labels = plain(inputs), plain(targets)
        self.network.train(self.optimizer is not None)
        self.confidence_network.train()
        if isinstance(self.loss_function, nn.Module):
            self.loss_function.train()

        # S, once
        with self._autocast(), torch.set_grad_enabled(self.optimizer is not None):
            scales = self._scales(self.inferer(image, self.network, *args, **kwargs), image.ndim)
            logits = scales if isinstance(scales, torch.Tensor) else scales[0]
            probabilities = logits.float().softmax(1)
        output[CommonKeys.PRED] = logits
        self.fire_event(IterationEvents.FORWARD_COMPLETED)

        # 1. D: min L_D, Eq. 4
        for _ in range(self.confidence_steps):
            judged = self._confidence_step(image, labels, probabilities.detach())
        output[ConfidenceKeys.CONFIDENCE_LOSS], judgement = judged
        confidence = judgement.detach().sigmoid()
        output[ConfidenceKeys.CONFIDENCE] = confidence
        self.fire_event(ConfidenceEvents.CONFIDENCE_COMPLETED)

        # 2. S: min L_DamHyb + λ1 L_ADV, Eq. 11
        if self.optimizer is None:
            nothing = torch.zeros_like(output[ConfidenceKeys.CONFIDENCE_LOSS])
            self._publish(nothing, nothing, nothing)
        else:
            self._segmentation_step(self.optimizer, image, labels, scales, probabilities, confidence)
            self.fire_event(ConfidenceEvents.SEGMENTATION_COMPLETED)
        self.fire_event(IterationEvents.MODEL_COMPLETED)
        return self.state.output

    def _prepare(self, batchdata: Any) -> tuple[torch.Tensor, torch.Tensor, tuple, dict]:
        batch = self.prepare_batch(batchdata, self.state.device, self.non_blocking, **self.to_kwargs)
        inputs, targets, args, kwargs = (*batch, (), {}) if len(batch) == 2 else batch
        return inputs, targets, args, kwargs

    def _scales(self, predicted: Any, dimensions: int) -> torch.Tensor | list[torch.Tensor]:
        """S's output as logits, or a list of them finest first."""
        if isinstance(predicted, torch.Tensor) and predicted.ndim == dimensions:
            scales = [predicted]
        else:  # a stack of scales, as from DynUNet, comes apart along dimension 1
            scales = list(predicted.unbind(1) if isinstance(predicted, torch.Tensor) else predicted)
        if self.amp:  # a loss adds up more voxels than half precision can count
            scales = [scale.float() for scale in scales]
        return scales[0] if isinstance(predicted, torch.Tensor) and len(scales) == 1 else scales

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.state.device.type, enabled=self.amp, **self.amp_kwargs)

    def _confidence_step(
        self, image: torch.Tensor, labels: torch.Tensor, probabilities: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """One step of D; gives L_D and D's logits as they were before the step."""
        self.confidence_optimizer.zero_grad(set_to_none=self.optim_set_to_none)
        with self._autocast():
            judgement = self.confidence_network(torch.cat([probabilities, image], dim=1)).float()
            on_labels: tuple[torch.Tensor, ...] = ()
            if getattr(self.confidence_loss, "label_weight", 0) > 0:
                classes = torch.arange(probabilities.shape[1], device=labels.device)
                # by comparison: the loss, which reports labels out of range, still gets to see them
                onehot = (labels == classes.view(-1, *[1] * (labels.ndim - 2))).to(probabilities.dtype)
                on_labels = (self.confidence_network(torch.cat([onehot, image], dim=1)).float(),)
        loss = self.confidence_loss(judgement, probabilities, labels, *on_labels)
        self.confidence_scaler.scale(loss).backward()
        self._step(self.confidence_scaler, self.confidence_optimizer, self.confidence_network)
        return loss.detach(), judgement

    def _segmentation_step(
        self,
        optimizer: Optimizer,
        image: torch.Tensor,
        labels: torch.Tensor,
        scales: torch.Tensor | list[torch.Tensor],
        probabilities: torch.Tensor,
        confidence: torch.Tensor,
    ) -> None:
        """One step of S."""
        optimizer.zero_grad(set_to_none=self.optim_set_to_none)
        heeds = self.state.epoch > self.warmup_epochs
        is_due = heeds and self.state.iteration % self.adversarial_interval == 0
        attention = {"confidence": confidence if heeds else None} if self.loss_takes_confidence else {}
        segmentation = self.loss_function(scales, labels, **attention).mean()
        loss = segmentation
        # not through DistributedDataParallel, which would wait for gradients of D that never come
        network = undistributed(self.confidence_network)
        with frozen(network):
            if is_due and self.lambda_adv > 0 and self.adversarial_loss is not None:
                with self._autocast():
                    judgement = network(torch.cat([probabilities, image], dim=1))
                adversarial = self.adversarial_loss(judgement.float())
                loss = segmentation + self.adversarial_interval * self.lambda_adv * adversarial
                self._last_adversarial = adversarial.detach()
            self._publish(loss, segmentation, self._last_adversarial)
            self.scaler.scale(loss).backward()
        self._more_gradients()
        self.fire_event(IterationEvents.BACKWARD_COMPLETED)
        self._step(self.scaler, optimizer, self.network)

    def _more_gradients(self) -> None:
        """For a subclass: what S learns from beside Eq. 11, added to its gradients before the step."""

    def _publish(self, loss: torch.Tensor, segmentation: torch.Tensor, adversarial: torch.Tensor) -> None:
        self.state.output[CommonKeys.LOSS] = loss
        self.state.output[ConfidenceKeys.SEGMENTATION_LOSS] = segmentation.detach()
        self.state.output[ConfidenceKeys.ADVERSARIAL_LOSS] = adversarial
        self.fire_event(IterationEvents.LOSS_COMPLETED)

    def _step(self, scaler: torch.amp.GradScaler, optimizer: Optimizer, network: nn.Module) -> None:
        if self.clip_grad_norm is not None:
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(network.parameters(), self.clip_grad_norm)
        scaler.step(optimizer)
        scaler.update()


def undistributed(network: nn.Module) -> nn.Module:
    """The network inside ``DistributedDataParallel``, compiled or not; any other as it is."""
    inner = getattr(network, "_orig_mod", network)
    return inner.module if isinstance(inner, nn.parallel.DistributedDataParallel) else network


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Within, gradients pass through the network and stop at its parameters; its buffers end as they began."""
    wanted = [parameter for parameter in network.parameters() if parameter.requires_grad]
    buffers = [(buffer, buffer.clone()) for buffer in network.buffers()]  # running statistics of a batch norm
    for parameter in wanted:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in wanted:
            parameter.requires_grad_(True)
        for buffer, before in buffers:
            buffer.copy_(before)
