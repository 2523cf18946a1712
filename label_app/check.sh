#!/usr/bin/env bash
# MONAI Label, served and trained for real: label_app/check.sh [ENVIRONMENT]. The environment is made in that folder and
# used again, or without one in a temporary folder. DAM_DATA names the folder of the real data.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export DAM_DATA="${DAM_DATA:-$PWD/../shared/data}" OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
if [[ ! -d "$DAM_DATA/Task04_Hippocampus" ]]; then
    echo "error: no folder $DAM_DATA/Task04_Hippocampus: name its folder with DAM_DATA" >&2
    exit 1
fi

environment=${1:-}
if [[ -z "$environment" ]]; then
    environment=$(mktemp -d)
    trap 'rm -rf "$environment"' EXIT
fi
bin=$environment/bin
if ! "$bin/python" -c 'import monailabel.app' > /dev/null 2>&1; then
    python3 -m venv "$environment"
    "$bin/pip" install --quiet -r label_app/requirements.txt pytest -e .
    "$bin/pip" install --quiet --no-deps monailabel==0.8.5 pydicom-seg==0.4.1
    if ! "$bin/python" -c 'import torchvision' > /dev/null 2>&1; then
        # torchvision for CUDA beside PyTorch for the CPU: MONAI Label wants its pictures only, not its operators
        cat > "$("$bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/sitecustomize.py" << 'END'
import torch

for name in ("nms", "qnms"):
    torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
END
    fi
    echo "installed in $SECONDS s, $(du -sh "$environment" | cut -f1)"
fi
"$bin/python" -m pytest -s -p no:cacheprovider -o addopts= -o pythonpath=label_app label_app/test_server.py label_app/test_attacks.py
