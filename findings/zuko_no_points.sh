#!/usr/bin/env bash
# zuko 1.6.0 (torch 2.13.0): the density of no points at all, shape (0, d), is an error with every
# autoregressive and coupling flow, where torch's own distributions give an empty tensor. Whoever
# shares points out over processes, or keeps those of some weight, meets it in the share that is
# empty.
# Seen, for NSF, MAF and RealNVP: "RuntimeError: cannot reshape tensor of 0 elements into shape
# [0, -1] ...", and for MultivariateNormal "torch.Size([0])".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/pip" install -q --no-deps zuko==1.6.0
"$folder/venv/bin/python" - <<'PYTHON'
import torch
import zuko

none = torch.zeros(0, 3)
normal = torch.distributions.MultivariateNormal(torch.zeros(3), torch.eye(3))
print("MultivariateNormal", normal.log_prob(none).shape)
assert normal.log_prob(none).shape == (0,)
for flow in (zuko.flows.NSF, zuko.flows.MAF, zuko.flows.RealNVP):
    made = flow(features=3, transforms=1)()
    assert made.log_prob(torch.zeros(1, 3)).shape == (1,)
    try:
        made.log_prob(none)
    except RuntimeError as error:
        print(flow.__name__, "RuntimeError:", error)
        assert "cannot reshape tensor of 0 elements" in str(error)
    else:
        raise AssertionError(f"{flow.__name__} has changed")
PYTHON
