# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""cache_info.py BQC: asks for the only kernel of the cache by the first eight digits of its key."""

import json
import subprocess
import sys

listing = subprocess.run([sys.argv[1], "cache", "list", "--json"], check=True, capture_output=True, text=True)
(kernel,) = json.loads(listing.stdout)["kernels"]
subprocess.run([sys.argv[1], "cache", "info", kernel["key"][:8]], check=True)
