"""Write the rows of `bench_recognition.py` as Markdown tables.

python bench/bench_recognition.py > rows.jsonl; python bench/recognition_table.py rows.jsonl
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

#: Cases in which nothing is ordered: there the false volume is all that can be scored.
EMPTY = ("clusters", "matrix", "shuffled")
HEADER = (
    "| case, level | method | voxel AP | Dice (best cut) | volume fraction | r 1–1.5 nm: a quarter, any | r ≥ 1.5 nm | "
    "precision | radius bias, RMSE (nm) | false volume |"
)


def percent(value: float | None, sign: bool = False) -> str:
    """Write a share in per cent."""
    return "–" if value is None else f"{100 * value:{'+' if sign else ''}.0f} %"


def number(value: float | None, digits: int, sign: bool = False) -> str:
    """Write a number with a fixed number of digits."""
    return "–" if value is None else f"{value:{'+' if sign else ''}.{digits}f}"


def line(row: dict[str, Any]) -> str:
    """Write a row."""
    cells = [
        f"{row['case']}, {row['level']}",
        row["method"],
        number(row["average_precision"], 3),
        f"{number(row['dice'], 3)} ({number(row['best_dice'], 3)})",
        percent(row["volume_fraction_error"], sign=True),
        f"{percent(row['recall_1_1.5'])}, {percent(row['touched_1_1.5'])}",
        percent(row["recall_1.5"]),
        number(row["precision"], 2),
        f"{number(row['radius_bias_nm'], 2, sign=True)}, {number(row['radius_rmse_nm'], 2)}",
        f"{100 * row['false_volume']:.3f} %",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print both tables."""
    lines = [json.loads(text) for text in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()]
    rows = [line for line in lines if line["name"] == "recognition.row"]
    failed = [row for row in rows if "error" in row]
    rows = [row for row in rows if "error" not in row]
    print(HEADER + "\n" + "|---" * 10 + "|")
    print("\n".join(line(row) for row in rows if row["case"] not in EMPTY))
    methods = list(dict.fromkeys(row["method"] for row in rows))
    print("\n| nothing is ordered, level | " + " | ".join(methods) + " |\n" + "|---" * (len(methods) + 1) + "|")
    share = {(row["case"], row["level"], row["method"]): f"{100 * row['false_volume']:.3f} %" for row in rows}
    for case, level in dict.fromkeys((row["case"], row["level"]) for row in rows if row["case"] in EMPTY):
        print(f"| {case}, {level} | " + " | ".join(share.get((case, level, method), "–") for method in methods) + " |")
    for row in failed:
        print(f"\n{row['case']}, {row['level']}, {row['method']}: {row['error']}")


if __name__ == "__main__":
    main()
