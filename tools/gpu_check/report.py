# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Results of a run as Markdown."""


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n\n"


def number(value, digits=1):
    return "" if value is None else f"{value:.{digits}f}"


def measured(data):
    text = "## Tensor instructions\n\nOperands in registers, 16 warps on each multiprocessor.\n\n"
    text += table(["instruction", "for each clock and multiprocessor", "TOP/s"],
                  [[row["instruction"], number(row["per_clock_per_multiprocessor"], 3), number(row["tera_ops"])]
                   for row in data["instructions"]])
    peak = data["peak_gb_per_s"]
    text += "## Reading memory\n\nLoads of 16 bytes, 256 threads in a block."
    text += f" By clock and width the memory gives {number(peak, 0)} GB/s.\n\n" if peak else "\n\n"
    text += table(["loads in flight", "blocks for each multiprocessor", "GB/s", "of the peak"],
                  [[str(row["loads_in_flight"]), str(row["blocks_per_multiprocessor"]), number(row["gb_per_s"], 0),
                    number(row["fraction_of_peak"], 3)] for row in data["reads"]])
    return text


def markdown(results):
    device, bundle, steps = results["device"], results["bundle"], results["steps"]
    text = f"# {device['device']}\n\n"
    driver = f"driver {results['driver']}, " if results["driver"] else ""
    text += (f"{device['multiprocessors']} multiprocessors, {driver}CUDA {device['cuda']}; {bundle['version']}, "
             f"{bundle['kernels']} kernels for {bundle['arch']}.\n\n")
    benches = {name: step for name, step in steps.items() if name.startswith("bench ")}
    text += table(["step", "date", "result"],
                  [[name, step["date"], step.get("text") or ("done" if step["ok"] else "failed")]
                   for name, step in steps.items() if name not in benches])
    if steps.get("measure", {}).get("ok"):
        text += measured(steps["measure"]["data"])
    if benches:
        text += linear(benches, steps.get("measure", {}).get("data"))
    return text


def linear(benches, device):
    """`device`: what the step measure says, or None."""
    best = max(row["gb_per_s"] for row in device["reads"]) if device else None
    rows = []
    for name, step in benches.items():
        _, shape, format, m = name.split()
        cells = [shape, format, m[1:]]
        if not step["ok"]:
            rows.append(cells + [step.get("text", "failed")] + [""] * 6)
            continue
        for data in step["data"]["times"]:
            share = data["gb_per_s"] / best if best else data["fraction_of_memory"]
            rows.append(cells + ["memory" if data["flushed"] else "cache", number(data["time_us"]),
                                 number(data["gb_per_s"], 0), number(share if data["flushed"] else None, 2),
                                 number(data["torch_bf16_us"]), number(data["torch_bf16_ratio"], 2),
                                 f"{step['data']['max_rel_err']:.1e}"])
    text = ("## Linear layers\n\nAs `bqc bench linear --device cuda` measures, inside CUDA graphs: with weights that "
            "come from memory, and with one that stays in the L2 cache. GB/s are those of the weight's bytes, their "
            f"share is that of {'the fastest read above' if best else 'what the memory gives by clock and width'}; the "
            "error is relative to max|x| sum|W|.\n\n")
    return text + table(["N x K", "format", "M", "weights from", "us", "GB/s", "share", "LibTorch bf16, us",
                         "times as fast", "error"], rows)
