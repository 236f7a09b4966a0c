#!/usr/bin/env bash
# torch 2.13.0 (CPU, float64): torch.special.ndtr has no left tail. At -8 it is 1.8 % too small, and
# from -9 on it is exactly 0, where scipy 1.17.1 gives 1.1e-19 at -9 and 3.7e-51 at -15. The
# exponential of torch.special.log_ndtr is right to the last digits, and ndtri inverts that.
# Who draws truncated normal numbers by ndtri(ndtr(a) + u (ndtr(b) - ndtr(a))) gets -inf beyond it.
# Seen: "-8 0.982", "-9 0.0", "-15 0.0" and "log_ndtr ok".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 scipy==1.17.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import torch
from scipy.special import ndtr

places = torch.tensor([-8.0, -9.0, -15.0], dtype=torch.float64)
exact = torch.from_numpy(ndtr(places.numpy()))
shares = (torch.special.ndtr(places) / exact).tolist()
for place, share in zip(places.tolist(), shares):
    print(f"{place:g}", round(share, 3))
assert [round(share, 3) for share in shares] == [0.982, 0.0, 0.0], shares
torch.testing.assert_close(torch.special.log_ndtr(places).exp(), exact, rtol=1e-12, atol=0)
torch.testing.assert_close(torch.special.ndtri(exact), places, rtol=1e-12, atol=0)
print("log_ndtr ok")
PYTHON
