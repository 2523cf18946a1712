# The stages of dam train as a workflow: on one machine with several GPUs, or on Slurm, those that do not wait for each
# other run side by side (S and the three parts).
#
#   snakemake --snakefile experiments/training.smk --cores 4 --config data=DATA output=MODEL options="--epochs 60"
#
# Each stage is one command, dam train DATA --output MODEL --stage NAME, which skips what is done and goes on after a
# kill, so the workflow and the plain command can take turns. Slurm:
#
#   pip install snakemake-executor-plugin-slurm
#   snakemake --snakefile experiments/training.smk --executor slurm --jobs 4 --config data=DATA output=MODEL \
#       --default-resources slurm_partition=gpu runtime=480 mem_mb=16000 "slurm_extra='--gres=gpu:1'"

import shlex
import sys
from pathlib import Path

MODEL = Path(config["output"]).absolute()
DONE = MODEL / "training" / "done"
TRAIN = f"{shlex.quote(sys.executable)} -m dam_components train {shlex.quote(str(config['data']))}"
TRAIN += f" --output {shlex.quote(str(MODEL))} {config.get('options', '')} --stage "
PARTS = ["part0", "part1", "part2"]
NEEDS = {
    "S": ["plan"],
    **{part: ["plan"] for part in PARTS},
    "D": ["S", *PARTS],
    "calibration": ["D"],
    "evaluation": ["D"],
    "test_cases": ["calibration"],
}


rule all:
    input:
        str(MODEL / "index.html"),


rule plan:
    output:
        str(DONE / "plan.json"),
    shell:
        TRAIN + "plan"


for name, needs in NEEDS.items():

    rule:
        name:
            f"stage_{name}"
        input:
            [str(DONE / f"{need}.json") for need in needs],
        output:
            str(DONE / f"{name}.json"),
        shell:
            TRAIN + name


rule page:
    input:
        [str(DONE / f"{name}.json") for name in NEEDS],
    output:
        str(MODEL / "index.html"),
    shell:
        TRAIN + "page"
