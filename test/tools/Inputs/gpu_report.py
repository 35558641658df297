# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""gpu_report.py TOOLS: the Markdown that tools/gpu-check makes of a run, here of one that never was."""

import sys

sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True
from gpu_check import plan, report

names = [name for name, _ in plan.benches()]
times = {"flushed": True, "time_us": 12.5, "gb_per_s": 2000.0, "fraction_of_memory": 0.4, "torch_bf16_us": 50.0,
         "torch_bf16_ratio": 4.0}
bench = {"max_rel_err": 0.001, "times": [times, {**times, "flushed": False, "time_us": 10.0}]}
steps = {
    "memcheck": {"ok": True, "date": "1999-12-31", "text": "7 passed, 0 failed, 0 errors found by the sanitizer"},
    "measure": {"ok": True, "date": "1999-12-31", "data": {
        "peak_gb_per_s": 5000.0,
        "instructions": [{"instruction": "m16n8k16 bf16", "per_clock_per_multiprocessor": 0.25, "tera_ops": 600.0}],
        "reads": [{"loads_in_flight": 4, "blocks_per_multiprocessor": 2, "gb_per_s": 4000.0,
                   "fraction_of_peak": 0.8}]}},
    names[0]: {"ok": True, "date": "1999-12-31", "data": bench},
    names[1]: {"ok": False, "date": "1999-12-31", "text": "bqc: error: out of memory"},
}
print(report.markdown({
    "bundle": {"arch": "sm_90a", "version": "bqc, build 1", "kernels": 3},
    "device": {"device": "A GPU", "capability": "sm_90a", "multiprocessors": 4, "cuda": "13.0"},
    "driver": "580.1", "steps": steps}))
