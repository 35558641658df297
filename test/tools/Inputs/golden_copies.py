# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""golden_copies.py GOLDEN FOLDER: copies of the golden cases in GOLDEN, each wrong in one way, as folders in FOLDER."""

import copy
import hashlib
import json
import pathlib
import shutil
import struct
import sys

source, target = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
FILE = "given/bie_quant.safetensors"
whole = json.loads((source / "given/index.json").read_text())
index = {**whole, "cases": [case for case in whole["cases"] if case["file"] == FILE]}
data = (source / FILE).read_bytes()


def write(name, index, data=data):
    """A copy with this index and these bytes of FILE, which the index lists as they are."""
    (target / name / "given").mkdir(parents=True)
    (target / name / FILE).write_bytes(data)
    text = index if isinstance(index, str) else json.dumps(index)
    (target / name / "given/index.json").write_text(text)


def changed(change):
    result = copy.deepcopy(index)
    change(result, {case["id"]: case for case in result["cases"]})
    return result


def listed(data):
    """An index that lists these bytes of FILE."""
    result = copy.deepcopy(index)
    result["files"][FILE] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return result


def with_value(key, element, value):
    """FILE with another element in an int8 tensor."""
    size = struct.unpack("<Q", data[:8])[0]
    begin = 8 + size + json.loads(data[8 : 8 + size])[key]["data_offsets"][0]
    result = bytearray(data)
    result[begin + element] = value % 256
    return bytes(result)


shutil.rmtree(target, ignore_errors=True)
write("good", index)
# One integer of [6, 10] that no computation gives.
wrong = with_value("init_weight_511/out/int8", 13, 100)
write("wrong-value", listed(wrong), wrong)
for name, tolerance in {
    # 121 away from an expected 100.
    "close": {"mode": "close", "atol": 1, "rtol": 1.2},
    "not-close": {"mode": "close", "atol": 0, "rtol": 1.2},
    "close-int": {"mode": "close_int", "atol": 121, "max_fraction_different": 0.017},
    "far-int": {"mode": "close_int", "atol": 120, "max_fraction_different": 1},
    "many-int": {"mode": "close_int", "atol": 121, "max_fraction_different": 0.016},
    # The nibbles of -21 are 11 and 14, those of 100 are 4 and 6.
    "close-packed": {"mode": "close_packed_int", "bits": 4, "atol": 8, "max_fraction_different": 0.017},
    "far-packed": {"mode": "close_packed_int", "bits": 4, "atol": 7, "max_fraction_different": 1},
    "many-packed": {"mode": "close_packed_int", "bits": 4, "atol": 8, "max_fraction_different": 0.016},
}.items():
    loose = listed(wrong)
    next(case for case in loose["cases"] if case["id"] == "init_weight_511")["tolerance"]["int8"] = tolerance
    write(name, loose, wrong)
write("wrong-digest", index, wrong)
write("short-file", index, data[:-1])
write("damaged-file", listed(data[:-1]), data[:-1])
write("no-file", index)
(target / "no-file" / FILE).unlink()
write("cut-index", json.dumps(index)[:-2])
write("other-format", changed(lambda index, cases: index.update(format=2)))
write("unknown-op", changed(lambda index, cases: cases["q8_511"].update(op="q9_quantization")))
write("other-system", changed(lambda index, cases: cases["q8_511"].update(system="another")))
write("no-tolerance", changed(lambda index, cases: cases["q8_511"]["tolerance"].pop("default")))
write("unknown-mode", changed(lambda index, cases: cases["nv_501"]["tolerance"]["q"].update(mode="near")))
write("no-tensor", changed(lambda index, cases: cases["q8_511"]["inputs"]["x"].update(tensor="q8_511/in/z")))
write("other-shape", changed(lambda index, cases: cases["q8_511"]["inputs"]["x"].update(shape=[12, 21])))
write("no-param", changed(lambda index, cases: cases["nv_501"]["params"].update(num_bits="8")))
write("unknown-output", changed(lambda index, cases: cases["q8_511"]["outputs"].update(
    other=cases["q8_511"]["outputs"]["q_auto"])))
write("expects", changed(lambda index, cases: cases["q8_511"].update(expect={"iterations": 5})))

# Cases whose results hang on rounding, as if one had been run with another rate, and one had gone on.
for name, case, change in [
    ("other-rate", "diode_fp_416", lambda case: case["params"].update(lr=1.2 * case["params"]["lr"])),
    ("other-count", "bal_105", lambda case: case["expect"].update(iterations=case["expect"]["iterations"] + 2)),
]:
    chosen = copy.deepcopy(next(entry for entry in whole["cases"] if entry["id"] == case))
    change(chosen)
    write(name, {**whole, "cases": [chosen]})
    shutil.copy(source / chosen["file"], target / name / chosen["file"])
