"""nnU-Net's own trainer with a short schedule, and bfloat16 autocast on the CPU, where nnU-Net stays in float32."""

import os

import torch
from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


class nnUNetTrainerShortCPU(nnUNetTrainer):
    """Epochs and iterations come from the environment. Network, loss and the rest of the augmentation are nnU-Net's."""

    def __init__(self, plans, configuration, fold, dataset_json, device=None):
        super().__init__(plans, configuration, fold, dataset_json, device or torch.device("cpu"))
        self.num_epochs = int(os.environ.get("DAM_EPOCHS", 10))
        self.num_iterations_per_epoch = int(os.environ.get("DAM_ITERATIONS", 50))
        self.num_val_iterations_per_epoch = 2
        self.initial_lr = float(os.environ.get("DAM_RATE", 1e-3))

    def configure_optimizers(self):
        """Adam, as in nnU-Net's own variants of its trainer: SGD with momentum 0.99 is made for 250 000 iterations."""
        optimizer = torch.optim.AdamW(self.network.parameters(), lr=self.initial_lr, weight_decay=self.weight_decay)
        return optimizer, PolyLRScheduler(optimizer, self.initial_lr, self.num_epochs)

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self):
        """Mirrors left and right only, as nnU-Net's own onlyMirror variants do for other axes: a hippocampus that may
        also be upside down and back to front takes longer to learn."""
        rotation, dummy_2d, initial_patch, _ = super().configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        self.inference_allowed_mirroring_axes = (2,)
        return rotation, dummy_2d, initial_patch, (2,)

    def plot_network_architecture(self):
        """A drawing only: nothing here reads it."""

    def perform_actual_validation(self, save_probabilities=False):
        """Segments the validation cases, unless ``DAM_VALIDATE`` is 0."""
        if os.environ.get("DAM_VALIDATE", "1") == "1":
            super().perform_actual_validation(save_probabilities)

    def initialize(self):
        super().initialize()
        torch.set_num_threads(1)
        self.network.to(memory_format=torch.channels_last_3d)
        if self.device.type == "cpu" and os.environ.get("DAM_AMP", "1") == "1":
            forward = self.network.forward

            def in_bfloat16(x):
                with torch.autocast("cpu", dtype=torch.bfloat16):
                    out = forward(x)
                return [o.float() for o in out] if isinstance(out, (list, tuple)) else out.float()

            self.network.forward = in_bfloat16


class nnUNetTrainerPlainCPU(nnUNetTrainerShortCPU):
    """The same with nnU-Net's own optimizer and mirroring."""

    def __init__(self, plans, configuration, fold, dataset_json, device=None):
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.initial_lr = 1e-2

    def configure_optimizers(self):
        return nnUNetTrainer.configure_optimizers(self)

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self):
        return nnUNetTrainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size(self)
