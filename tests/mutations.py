"""``python -m tests.mutations``: breaks one thing at a time in a copy of the project, and asks whether a test fails.

Each line of ``MUTATIONS`` is a value of the literal recipe, a term of the trainer or of a loss, or a skip of a network.
A mutation that no test notices is printed as survived, and the exit status is 1. It takes 11 minutes of processor time
on one core.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

ROOT = Path(__file__).parents[1]
PAPER, TRAINER = "bundle/configs/experiments/paper.json", "dam_components/engines/confidence_trainer.py"
DIFFICULTY, DICE = "dam_components/losses/difficulty.py", "dam_components/losses/generalized_dice.py"
HYBRID, CONFIDENCE = "dam_components/losses/hybrid.py", "dam_components/losses/confidence.py"
BLOCKS, ENUNET = "dam_components/networks/blocks.py", "dam_components/networks/enhanced_unet.py"
DS, D, TRUNK = (f"dam_components/networks/{name}.py" for name in ("ds_res_unet", "confidence_net", "confidence_trunk"))
TESTS = {
    PAPER: ["tests/bundle/test_paper_recipe.py"],
    TRAINER: [f"tests/engines/test_{name}.py" for name in ("paper_step", "phases", "d_learns", "confidence_trainer")],
    DIFFICULTY: [
        "tests/losses/test_difficulty.py",
        "tests/losses/test_running_dice.py",
        "tests/engines/test_paper_step.py",
    ],
    DICE: ["tests/losses/test_generalized_dice.py", "tests/losses/test_running_dice.py"],
    HYBRID: ["tests/losses/test_hybrid.py", "tests/losses/test_difficulty.py"],
    CONFIDENCE: ["tests/losses/test_confidence.py"],
}
NETWORKS = ["tests/networks/test_skips.py", "tests/networks/test_networks.py", "tests/networks/test_literal_d.py"]


@dataclass(frozen=True)
class Mutation:
    """``old`` becomes ``new``, once, in a file."""

    file: str
    old: str
    new: str


MUTATIONS = [
    *(
        Mutation(PAPER, old, new)
        for old, new in [
            ('"patch_size": [64, 64, 16]', '"patch_size": [64, 64, 32]'),
            ('"lambda_adv": 0.005', '"lambda_adv": 0.05'),
            ('"adversarial_interval": 1', '"adversarial_interval": 2'),
            ('"beta": 2.0', '"beta": 1.0'),
            ('"gamma": 2.0', '"gamma": 1.0'),
            ('"attention_floor": 0.0', '"attention_floor": 1.0'),
            ('"attention_normalize": false', '"attention_normalize": true'),
            ('"warmup_epochs": 0', '"warmup_epochs": 5'),
            ('"confidence_target": "adversarial"', '"confidence_target": "correctness"'),
            ('"confidence_band": null', '"confidence_band": 3'),
            ('"learning_rate": 0.005', '"learning_rate": 0.001'),
            ('"confidence_learning_rate": 0.005', '"confidence_learning_rate": 0.001'),
            ('"weight_decay": 0.0001', '"weight_decay": 0.001'),
            ('"clip_grad_norm": null', '"clip_grad_norm": 12.0'),
            ('"amp": false', '"amp": true'),
            ('"loss#reduction": "sum"', '"loss#reduction": "mean"'),
            ('"confidence_loss#reduction": "sum"', '"confidence_loss#reduction": "mean"'),
            ('"adversarial_loss#reduction": "sum"', '"adversarial_loss#reduction": "mean"'),
            ('"optimizer#_target_": "torch.optim.Adam"', '"optimizer#_target_": "torch.optim.AdamW"'),
            ('confidence_optimizer#_target_": "torch.optim.Adam"', 'confidence_optimizer#_target_": "torch.optim.SGD"'),
            ('"gamma": 0.5', '"gamma": 0.2'),
            ('"gamma": 0.2', '"gamma": 0.5'),
            ('"step_size": 3', '"step_size": 4'),
            ('"literal": true', '"literal": false'),
            ("width // 2 for width", "width for width"),
        ]
    ),
    *(
        Mutation(TRAINER, old, new)
        for old, new in [
            ("confidence = judgement.detach().sigmoid()", "confidence = 1 - judgement.detach().sigmoid()"),
            ("self.lambda_adv * adversarial", "0 * adversarial"),
            ("loss = segmentation + self", "loss = segmentation - self"),
            ("self.adversarial_interval * self", "self"),
            ("self.state.iteration % self.adversarial_interval == 0", "self.adversarial_interval > 0"),
            ("probabilities.detach())", "probabilities)"),
            ("with frozen(network):", "if True:"),
            ("torch.cat([onehot, image], dim=1)", "torch.cat([probabilities, image], dim=1)"),
            ("self.network.train(self.optimizer is not None)", "self.network.train()"),
            ("self.state.epoch > self.warmup_epochs", "self.state.epoch >= self.warmup_epochs"),
            ("range(self.confidence_steps)", "range(1)"),
            ("self.confidence_network.train()", "self.confidence_network.eval()"),
        ]
    ),
    *(
        Mutation(CONFIDENCE, old, new)
        for old, new in [
            ("torch.zeros_like(probabilities[:, :1])", "torch.ones_like(probabilities[:, :1])"),
            ("predict_class(probabilities) == labels", "predict_class(probabilities) != labels"),
            ("functional.softplus(-logits", "functional.softplus(logits"),
            ("torch.ones_like(label_logits), weight", "torch.zeros_like(label_logits), weight"),
            ('1.0 if target == "adversarial" else 0.0', "0.0"),
        ]
    ),
    *(
        Mutation(DIFFICULTY, old, new)
        for old, new in [
            ("(1 - confidence.detach())", "confidence.detach()"),
            ("(1 - confidence.detach())", "(1 - confidence)"),
            ("if self.gamma > 0 else None", "if False else None"),
            ("self.dice.update(finest, labels)", "pass"),
        ]
    ),
    *(
        Mutation(DICE, old, new)
        for old, new in [
            ('"square": 2.0', '"square": 1.0'),
            ("return 1 - (numerator", "return 1 + (numerator"),
            ("numerator = 2 * ", "numerator = "),
            ("(1 - self.value).pow(gamma)", "self.value.pow(gamma)"),
            ("(reference + predicted)", "reference"),
        ]
    ),
    *(
        Mutation(HYBRID, old, new)
        for old, new in [
            ("-log_p_true * voxel_attention", "-log_p_true"),
            ("self.lambda_ce * total", "total"),
            ("self.lambda_dice * (", "("),
            ("(weight / total)", "weight"),
            ('mode="nearest-exact").long()', 'mode="nearest").long()'),
        ]
    ),
    Mutation(BLOCKS, "return x + self.body(x)", "return self.body(x)"),
    Mutation(BLOCKS, "if residual:\n", "if False:\n"),
    Mutation(BLOCKS, "self.attention(torch.cat([high, low], dim=1))", "torch.cat([high, low], dim=1)"),
    Mutation(BLOCKS, "torch.cat([high, low], dim=1)", "torch.cat([high, high], dim=1)"),
    Mutation(BLOCKS, "nn.init.xavier_uniform_(weight)", "nn.init.kaiming_uniform_(weight)"),
    Mutation(BLOCKS, "channels[-3:]", "channels[-2:]"),
    Mutation(ENUNET, "x = self.bottom(x)", "x = x"),
    Mutation(ENUNET, "x = fuse(x, skip(lows[i + 1]))", "x = fuse(x, lows[i + 1])"),
    Mutation(ENUNET, "dilation=d) for d", "dilation=1) for d"),
    Mutation(DS, "+ lows[i + 1])", ")"),
    Mutation(D, "judged.float() + largest_logit", "judged.float() - largest_logit"),
    Mutation(D, "and not literal, residual", ", residual"),
    Mutation(D, "if not self.literal:", "if True:"),
    Mutation(TRUNK, "features if literal else", "features if False else"),
    Mutation(TRUNK, "3 if literal else 1", "1"),
    Mutation(TRUNK, "lows[i + 1]], dim=1", "torch.zeros_like(lows[i + 1])], dim=1"),
]


def survives(mutation: Mutation) -> bool:
    """Whether all tests of the file pass with the mutation. One that changes nothing must survive.

    Raises:
        ValueError: if the file no longer has the text: the list must be brought up to date.
    """
    text = (ROOT / mutation.file).read_text(encoding="utf-8")
    if mutation.old not in text:
        raise ValueError(f"{mutation.file} has no {mutation.old!r}: bring tests/mutations.py up to date")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".git", "output", "docs", "__pycache__", ".venv"))
        (copy / mutation.file).write_text(text.replace(mutation.old, mutation.new, 1), encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:cacheprovider"]
        environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
        tests = TESTS.get(mutation.file, NETWORKS)
        ended = subprocess.run([*command, *tests], cwd=copy, env=environment, capture_output=True, encoding="utf-8")
    if ended.returncode > 1:
        raise ValueError(f"{mutation}: pytest itself failed\n{ended.stdout[-2000:]}{ended.stderr[-2000:]}")
    return ended.returncode == 0


def main() -> None:
    """All mutations; exit status 1 if one survives."""
    for file in dict.fromkeys(mutation.file for mutation in MUTATIONS):
        line = (ROOT / file).read_text(encoding="utf-8").splitlines()[0]
        if not survives(Mutation(file, line, line)):
            sys.exit(f"the tests of {file} fail without any mutation: no mutation can be judged by them")
    left = [mutation for mutation in tqdm(MUTATIONS, desc="mutations") if survives(mutation)]
    for mutation in left:
        print(f"survived: {mutation.file}: {mutation.old!r} -> {mutation.new!r}")
    print(f"{len(MUTATIONS) - len(left)} of {len(MUTATIONS)} mutations were noticed")
    sys.exit(1 if left else 0)


if __name__ == "__main__":
    main()
