"""Writes docs/parts.md: what must change in a bundle's configuration to put in each part, as diffs of merged JSON."""

import json
import re
from difflib import unified_diff
from pathlib import Path

from monai.bundle import ConfigParser

CONFIGS = Path(__file__).parent / "spleen_like"
PAGE = Path(__file__).parents[1] / "docs" / "parts.md"
# title, the overlay, and the configurations that it goes on top of
PARTS = [
    ("EnhancedUNet", "enhanced_unet.json", ["train.json"]),
    ("DifficultyAwareHybridLoss", "difficulty_loss.json", ["train.json"]),
    ("ConfidenceTrainer and ConfidenceNet", "confidence_trainer.json", ["train.json"]),
    ("ConfidenceMapd", "confidence_map.json", ["train.json", "confidence_trainer.json"]),
    ("A bundle with a sigmoid", "sigmoid.json", ["train.json"]),
]
PARTS += [
    (f"{name} as S under ConfidenceTrainer", f"networks/{name.lower()}.json", ["train.json", "confidence_trainer.json"])
    for name in ("VNet", "DynUNet", "SegResNet", "SwinUNETR")
]
INTRODUCTION = """\
# Parts in another bundle

<!-- written by examples/make_page.py -->

`examples/spleen_like/train.json` is a configuration of the kind that MONAI's model zoo has for the spleen in CT. One
part at a time goes into it below. Each diff shows the whole configuration before and after, so it is all that must
change. Each change is a file of its own, and goes on top of the original:

<!-- tested: tests/examples/test_parts.py -->
```sh
python examples/spleen_like/make_data.py ct
cd examples/spleen_like
python -m monai.bundle run --config_file "['train.json','enhanced_unet.json']" --bundle_root ../../ct \\
    --dataset_dir ../../ct --validation_cases 2 --patch_size "[32,32,32]" --epochs 2
```

`tests/examples/` trains and evaluates each of them in 3D. In 2D, `tests/engines/test_any_network.py` trains MONAI's
UNet, VNet, DynUNet, SegResNet and SwinUNETR as S.
"""


def merged_lines(names: list[str]) -> list[str]:
    """The configurations, merged as MONAI merges them, as lines of JSON with short lists on one line."""
    config = ConfigParser.load_config_files([str(CONFIGS / name) for name in names])
    config.pop("_desc_", None)
    text = json.dumps(config, indent=4, ensure_ascii=False)
    short = re.compile(r"\[\s+([^\[\]{}]*?)\s+\]")
    return short.sub(lambda found: "[" + re.sub(r",\s+", ", ", found[1]) + "]", text).splitlines()


def section(title: str, overlay: str, below: list[str]) -> str:
    """One part: what its file says of it, and the diff."""
    says = json.loads((CONFIGS / overlay).read_text(encoding="utf-8")).get("_desc_", "")
    diff = list(unified_diff(merged_lines(below), merged_lines([*below, overlay]), n=2, lineterm=""))[2:]
    lines = [line for line in diff if not line.startswith("@@")]
    files = " over ".join(f"`{name}`" for name in [overlay, *reversed(below)])
    return "\n".join([f"\n## {title}\n", f"{files}. {says}".strip() + "\n", "```diff", *lines, "```\n"])


def page() -> str:
    """The whole page."""
    return INTRODUCTION + "".join(section(*part) for part in PARTS)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
