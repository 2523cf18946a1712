"""The page of D behind other models, from the files that ``dam confidence fit`` and ``stored_confidence`` have written.

``python -m benchmarks.stored_tables --folder docs/results/confidence_nnunet``
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from dam_components.atomic_files import write_whole
from dam_components.confidence.evidence_table import markdown_table


def lead(row: pd.Series, measure: str) -> str:
    """D's lead over the row's score with its interval."""
    value, low, high = (float(row[f"{measure}_difference{end}"]) for end in ("", "_low", "_high"))
    return f"{value:+.4f} [{low:+.4f}, {high:+.4f}]"


def band_table(table: pd.DataFrame, region: str = "band") -> pd.DataFrame:
    """AUROC, AUPR and ECE of each score in the region, and D's lead."""
    rows = []
    for _, row in table[table["region"] == region].iterrows():
        shown = {"score": row["score"], "AUROC": row["auroc"], "AUPR": row["aupr"], "ECE": row["ece"]}
        for measure in ("auroc", "aupr"):
            shown[f"{measure.upper()}, D minus it"] = "" if row["score"] == "D" else lead(row, measure)
        rows.append(shown)
    return pd.DataFrame(rows)


def costs(folder: Path) -> str:
    """Processor time of nnU-Net and of D on a held-out case, from the two files of seconds."""
    nnunet, of_d = (
        json.loads((folder / name).read_text(encoding="utf-8")) for name in ("nnunet_seconds.json", "seconds.json")
    )
    every = sum(nnunet.values())
    one = every / len(nnunet)
    return (
        f"Processor time of a held-out case, one thread: nnU-Net {one:.3f} s a fold (preprocessing, mirrored passes in "
        f"float32, export), {every:.3f} s for the mean of {len(nnunet)} folds; D {of_d['D']:.3f} s, "
        f"{of_d['D'] / one:.1%} of one fold's time and {of_d['D'] / every:.1%} of the mean's. `nnunet_seconds.json`, "
        "`seconds.json`."
    )


def page(folder: str) -> None:
    """Writes README.md: a section for each model, from its ``confidence.csv``, then the held-out cases.

    Args:
        folder: with a folder for each model.
    """
    root = Path(folder)
    notes = json.loads((root / "notes.json").read_text(encoding="utf-8"))
    parts = ["# D behind other models", notes["start"]]
    for name, title in notes["models"].items():
        table = pd.read_csv(root / name / "confidence.csv")
        report = (root / name / "confidence.md").read_text(encoding="utf-8")
        verdict = report.split("\n\n")[1]
        facts = next(part for part in report.split("\n\n") if part.startswith("- command"))
        parts += [f"## {title}", facts, verdict]
        parts += ["Near the structures:", markdown_table(band_table(table))]
        parts += ["Over the whole volume:", markdown_table(band_table(table, "volume"))]
        dice = pd.read_csv(root / name / "agreement.csv")
        means = dice[dice["class"] == "mean"][["score", "n", "true_dice", "predicted_dice", "mean_absolute_error"]]
        parts += ["Predicted mean Dice of a case:", markdown_table(means)]
        notes_on = root / name / "calibration_by_region.md"
        if notes_on.is_file():
            parts.append(notes_on.read_text(encoding="utf-8").strip().replace("# ", "### ", 1))
        held = root / name / "held_out.csv"
        if held.is_file():
            parts += [f"### {notes['held_out']}"]
            for stood, rows in pd.read_csv(held).groupby("S"):
                parts += [f"Behind {stood}, near the structures:", markdown_table(band_table(rows))]
            told = pd.read_csv(root / name / "held_out_dice.csv")
            means = told[told["class"] == "mean"][
                ["S", "score", "n", "true_dice", "predicted_dice", "mean_absolute_error"]
            ]
            parts += ["Predicted mean Dice of a held-out case:", markdown_table(means)]
            parts.append(costs(root / name))
    write_whole(root / "README.md", "\n\n".join(parts) + "\n")


if __name__ == "__main__":
    import fire

    fire.Fire(page)
