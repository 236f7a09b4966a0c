#!/usr/bin/env bash
# olymp 0.0.1b0, olympus/datasets/dataset_alkox/data.csv: each of its 104 measurements stands twice,
# label included, so that of the 208 rows a random half held out is known to the digit from the
# other; a model looks perfect that has learnt nothing. dataset_hplc/data.csv has 1,386 rows and
# 1,007 different designs, measured again with other results, and 53 rows that stand twice. Neither
# file has a header: read as usual, the first measurement becomes the names of the columns.
# Seen: "alkox 208 rows, 104 different, each 2 times", "hplc 1386 rows, 1007 designs, 53 twice".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-deps olymp==0.0.1b0
"$folder/venv/bin/python" - <<'PYTHON'
import csv
from collections import Counter
from importlib.metadata import files


def rows(name):
    (path,) = (f.locate() for f in files("olymp") if f.parts[-2:] == (name, "data.csv"))
    with open(path, newline="") as file:
        return [tuple(map(float, row)) for row in csv.reader(file) if row]


alkox = Counter(rows("dataset_alkox"))
(times,) = set(alkox.values())
print("alkox", alkox.total(), "rows,", len(alkox), "different, each", times, "times")
hplc = rows("dataset_hplc")
designs, twice = len({row[:-1] for row in hplc}), len(hplc) - len(set(hplc))
print("hplc", len(hplc), "rows,", designs, "designs,", twice, "twice")
assert (alkox.total(), len(alkox), times) == (208, 104, 2)
assert (len(hplc), designs, twice) == (1386, 1007, 53)
PYTHON
