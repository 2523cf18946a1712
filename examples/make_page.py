"""Writes docs/parts.md: what must change in a bundle's configuration to put in each part, as diffs of merged JSON."""

import json
import re
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

from monai.bundle import ConfigParser

CONFIGS = Path(__file__).parent / "zoo_like"
PAGE = Path(__file__).parents[1] / "docs" / "parts.md"
BUNDLES = {
    "ct": "CT, one channel, two classes (as spleen_ct_segmentation)",
    "mr": "MR, one channel, three classes (as prostate_mri_anatomy)",
    "multichannel": "MR, four channels, regions that overlap (as brats_mri_segmentation)",
}


@dataclass(frozen=True)
class Part:
    """An overlay, its title, and the files that it goes on top of."""

    title: str
    overlay: str
    below: tuple[str, ...]


def parts_of(kind: str) -> list[Part]:
    """The parts in one bundle, in the order in which they go in."""
    train = (f"{kind}/train.json",)
    network, trainer = "parts/confidence_network.json", "parts/confidence_trainer.json"
    own = kind == "multichannel"
    found = [Part("EnhancedUNet", f"{kind}/enhanced_unet.json", train)]
    if own:
        found.append(Part("Classes that exclude each other", f"{kind}/exclusive.json", train))
        train = (*train, f"{kind}/exclusive.json")
    map_ = f"{kind}/confidence_map.json" if own else "parts/confidence_map.json"
    return [
        *found,
        Part("DifficultyAwareHybridLoss", "parts/difficulty_loss.json", train),
        Part("ConfidenceNet", network, train),
        Part("ConfidenceTrainer", trainer, (*train, network)),
        Part("ConfidenceMapd in validation", map_, (*train, network, trainer)),
        Part("Inference with a map and a report", f"{kind}/inference_map.json", (f"{kind}/inference.json", network)),
    ]


SECTIONS = {kind: parts_of(kind) for kind in BUNDLES}
NETWORKS = [
    Part(
        f"{name} as S under ConfidenceTrainer",
        f"ct/networks/{name.lower()}.json",
        ("ct/train.json", "parts/confidence_network.json", "parts/confidence_trainer.json"),
    )
    for name in ("VNet", "DynUNet", "SegResNet", "SwinUNETR")
]
PARTS = [*(part for parts in SECTIONS.values() for part in parts), *NETWORKS]
INTRODUCTION = """\
# Parts in another bundle

<!-- written by examples/make_page.py -->

This page shows what must change in a bundle of MONAI's model zoo to use each part. Each change is a file of its own
that goes on top of the bundle's `train.json` or `inference.json`. So the bundle's own files stay as they are.

The three bundles below are look-alikes. They have the traits of the zoo's files that matter here: numbers where others
have symbols, `%train#postprocessing` in the validation, no softmax before the argmax, boolean labels with sigmoids.
The overlays in `examples/zoo_like/` fit the zoo's own files too. Each diff shows the whole configuration.

<!-- tested: tests/examples/test_zoo_parts.py -->
```sh
python examples/zoo_like/make_data.py ct ct 12
cd examples/zoo_like
python -m monai.bundle run --config_file "['ct/train.json','parts/difficulty_loss.json']" --bundle_root ../../ct \\
    --dataset_dir ../../ct --epochs 2 --train#random_transforms#0#spatial_size "[16,16,16]" \\
    --validate#inferer#roi_size "[16,16,16]" --train#trainer#amp False --validate#evaluator#amp False
```

`tests/examples/` trains each part for two epochs, and then infers. It checks that the map lies where the image lies.
With `DAM_ZOO`, the folder `models` of a checkout of the model zoo, it does the same with the zoo's own files.

What is easily forgotten:

- `Invertd` must invert `confidence` beside `pred`, and before the argmax.
- The map has a transform of its own that writes it, `SaveMapd`. `SaveImaged` works too, without the small files.
- D needs probabilities. Where the bundle has no softmax, put `Activationsd` with `softmax` in front.
- D sees P̂ and the image. Its `in_channels` are S's input and output channels together.
- Classes must exclude each other, background included. Sigmoids and classes that overlap are refused everywhere.
  `multichannel/exclusive.json` shows the way out.
"""


def merged_lines(names: tuple[str, ...]) -> list[str]:
    """The configurations, merged as MONAI merges them, as lines of JSON with short lists on one line."""
    config = ConfigParser.load_config_files([str(CONFIGS / name) for name in names])
    config.pop("_desc_", None)
    text = json.dumps(config, indent=4, ensure_ascii=False)
    short = re.compile(r"\[\s+([^\[\]{}]*?)\s+\]")
    return short.sub(lambda found: "[" + re.sub(r",\s+", ", ", found[1]) + "]", text).splitlines()


def section(part: Part, shown: set[str]) -> str:
    """One part: what its file says of it where it comes first, and the diff."""
    says = "" if part.overlay in shown else json.loads((CONFIGS / part.overlay).read_text(encoding="utf-8"))["_desc_"]
    shown.add(part.overlay)
    diff = list(unified_diff(merged_lines(part.below), merged_lines((*part.below, part.overlay)), n=2, lineterm=""))[2:]
    lines = [line for line in diff if not line.startswith("@@")]
    files = " over ".join(f"`{name}`" for name in [part.overlay, *reversed(part.below)])
    return "\n".join([f"\n### {part.title}\n", f"{files}. {says}".strip() + "\n", "```diff", *lines, "```\n"])


def page() -> str:
    """The whole page."""
    shown: set[str] = set()
    text = INTRODUCTION
    for kind, parts in SECTIONS.items():
        text += f"\n## {BUNDLES[kind]}\n" + "".join(section(part, shown) for part in parts)
    return text + "\n## MONAI's networks as S\n" + "".join(section(part, shown) for part in NETWORKS)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
