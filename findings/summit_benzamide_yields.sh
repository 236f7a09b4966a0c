#!/usr/bin/env bash
# summit 0.8.4, summit/benchmarks/data/baumgartenter_benzamide_cross_coupling.csv: the column of
# yields, `yld`, holds fractions (0.001 to 0.98) in 54 rows and the text "≥90%", a limit in another
# unit, in 5. Read as a table it is a column of texts; made numbers by coercion, five of the best
# reactions are silently gone. The second line of the file, "TYPE,DATA,...", belongs to the header.
# The sister file on aniline has 17 yields above 1.
# Seen: "54 fractions up to 0.979", "5 rows of ≥90%", "17 above 1".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-deps summit==0.8.4
"$folder/venv/bin/python" - <<'PYTHON'
import csv
from collections import Counter
from importlib.metadata import files


def yields(name):
    (path,) = (f.locate() for f in files("summit") if f.name == name)
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    place = rows[0].index("yld")
    assert rows[1][place] == "DATA", rows[1]
    return [row[place] for row in rows[2:] if row]


entries = yields("baumgartenter_benzamide_cross_coupling.csv")
texts = Counter(entry for entry in entries if "%" in entry)
numbers = [float(entry) for entry in entries if "%" not in entry]
print(len(numbers), "fractions up to", round(max(numbers), 3))
for text, count in texts.items():
    print(count, "rows of", text)
above = sum(float(entry) > 1 for entry in yields("baumgartner_aniline_cn_crosscoupling.csv"))
print(above, "above 1")
assert (len(numbers), round(max(numbers), 3)) == (54, 0.979)
assert texts == {"≥90%": 5}, texts
assert above == 17
PYTHON
