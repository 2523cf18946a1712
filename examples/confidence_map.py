# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation: {extension: .py, format_name: percent}
# ---

# %% [markdown]
# # A confidence map, from nothing to a picture
#
# Two networks learn on a few synthetic pelvic MRI. S segments bladder, prostate and rectum. D says voxel by voxel
# how far S can be trusted. The run takes about a minute on one core.
#
# `jupytext --to notebook confidence_map.py` makes a notebook of this file.

# %%
import sys
from pathlib import Path

import numpy as np
import torch
from monai.data import DataLoader, Dataset
from monai.inferers import SlidingWindowInferer
from monai.transforms import AsDiscrete, NormalizeIntensity
from monai.utils import set_determinism

from dam_components.engines import ConfidenceTrainer
from dam_components.figures import draw_case, save_figure
from dam_components.losses import ConfidenceLoss, DifficultyAwareHybridLoss
from dam_components.networks import EnhancedUNet, LocalCalibrationNet
from dam_components.synthetic import synthesize_pelvic
from dam_components.transforms import ConfidenceMapd

EPOCHS = int(sys.argv[1]) if len(sys.argv) > 1 else 12
set_determinism(0)

# %% [markdown]
# ## Patients
#
# `synthesize_pelvic` gives an image and its label. Here they are small, so that training takes seconds.


# %%
def patient(seed: int) -> dict[str, torch.Tensor]:
    image, label = synthesize_pelvic(seed, shape=(48, 48, 24))
    return {
        "image": NormalizeIntensity()(torch.as_tensor(image, dtype=torch.float32)[None]),
        "label": torch.as_tensor(label, dtype=torch.int64)[None],
    }


train = [patient(seed) for seed in range(6)]
test = patient(100)

# %% [markdown]
# ## S, D and their losses
#
# The loss of S is Eq. 10 of the paper: Dice and cross entropy, with more attention where D doubts. D is told voxel
# by voxel where S is right (`target="correctness"`).

# %%
S = EnhancedUNet(spatial_dims=3, in_channels=1, out_channels=4, channels=(8, 16, 32), strides=(2, 2))
D = LocalCalibrationNet(spatial_dims=3, in_channels=4 + 1, num_classes=4, channels=(8, 16), strides=(2, 2))
trainer = ConfidenceTrainer(
    device="cpu",
    max_epochs=EPOCHS,
    train_data_loader=DataLoader(Dataset(train), batch_size=1, shuffle=True),
    network=S,
    optimizer=torch.optim.AdamW(S.parameters(), 3e-3),
    loss_function=DifficultyAwareHybridLoss(num_classes=4),
    confidence_network=D,
    confidence_optimizer=torch.optim.AdamW(D.parameters(), 3e-3),
    confidence_loss=ConfidenceLoss(target="correctness"),
    lambda_adv=0.0,
    warmup_epochs=EPOCHS // 2,
)
trainer.run()

# %% [markdown]
# ## The map of a new patient
#
# Any network that returns logits can stand in for S, and stored probabilities can too. `ConfidenceMapd` only needs
# P̂ and the image.

# %%
S.eval()
with torch.no_grad():
    logits = SlidingWindowInferer(roi_size=(48, 48, 24))(test["image"][None], S)[0]
case = {"image": test["image"], "pred": logits.softmax(0)}
case = ConfidenceMapd("pred", D)(case)
prediction = AsDiscrete(argmax=True)(case["pred"])[0].numpy().astype(int)
confidence = np.asarray(case["confidence"])[0]
label = test["label"][0].numpy()

right = prediction == label
print(f"mean M where S is right {confidence[right].mean():.3f}, where it is wrong {confidence[~right].mean():.3f}")

# %% [markdown]
# ## The picture
#
# Solid contours are S's, dashed ones the label's. Bright voxels on the right are those that D does not trust.

# %%
names = {1: "bladder", 2: "prostate", 3: "rectum"}
figure = draw_case(test["image"][0].numpy(), prediction, confidence, label, names=names)
print("wrote", save_figure(figure, Path("output") / "confidence_map.png"))
