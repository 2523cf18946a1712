"""Two ways of training from their metrics.csv: seeds averaged within a case, cases paired."""

import pandas as pd
import pytest

from dam_study.commands.comparison import compare, compare_tables


def metrics(shift=0.0, cases=8):
    rows = []
    for case in range(cases):
        for label, dice in (("a", 0.8), ("b", 0.6)):
            rows.append((f"case{case}", label, "whole", dice + 0.01 * case + shift, 1.0 - shift, 2.0))
            rows.append((f"case{case}", label, "apex", 0.0, 9.0, 9.0))  # must not count
    return pd.DataFrame(rows, columns=["case", "label", "region", "dice", "asd_mm", "hd95_mm"])


def test_seeds_are_averaged_and_cases_paired_whatever_their_order():
    ours = [metrics(0.01), metrics(0.03)]
    table = compare_tables(ours, [metrics().sample(frac=1, random_state=0)]).set_index(["label", "metric"])
    mean = table.loc["mean", "dice"]
    assert mean["ours"] == pytest.approx(0.7 + 0.035 + 0.02)  # over cases 0..7: 0.01 times 3.5
    assert mean["sd over seeds"] == pytest.approx(0.01 * 2**0.5)  # of 0.01 and 0.03
    assert mean["difference"] == pytest.approx(0.02)
    assert (mean["low"], mean["high"]) == pytest.approx((0.02, 0.02))
    assert mean["permutation p"] == pytest.approx(2 / 2**8)  # all 8 signs agree
    assert mean["cases"] == 8
    assert table.loc[("a", "asd_mm"), "difference"] == pytest.approx(-0.02)
    assert table.loc[("b", "dice"), "reference"] == pytest.approx(0.635)
    assert list(dict.fromkeys(label for label, _ in table.index)) == ["mean", "a", "b"]


def test_other_cases_are_refused():
    with pytest.raises(ValueError, match="the same cases and classes, 6 are in one only, such as case6 a"):
        compare_tables([metrics()], [metrics(cases=6)])


def test_files_in_and_a_file_out(tmp_path, capsys):
    for name, shift in (("a.csv", 0.01), ("b.csv", 0.0)):
        metrics(shift).to_csv(tmp_path / name, index=False)
    compare(f"{tmp_path}/a.csv", f"{tmp_path}/b.csv", output=f"{tmp_path}/out/table.csv")
    assert "| mean | dice | 0.7450 |" in capsys.readouterr().out
    assert pd.read_csv(tmp_path / "out" / "table.csv")["difference"][0] == pytest.approx(0.01)
    assert [f.name for f in (tmp_path / "out").iterdir()] == ["table.csv"]
    (tmp_path / "c.csv").write_text("case,label\n")
    with pytest.raises(ValueError, match=r"c.csv is no metrics.csv .*lacks the columns asd_mm, dice, hd95_mm, region"):
        compare(f"{tmp_path}/c.csv", f"{tmp_path}/b.csv")
    with pytest.raises(FileNotFoundError, match="no metrics at .*d.csv: run evaluate.json"):
        compare(f"{tmp_path}/d.csv", f"{tmp_path}/b.csv")
