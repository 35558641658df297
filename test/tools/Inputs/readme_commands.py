# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""readme_commands.py BQC README: the README's list of commands is that of the program."""

import pathlib
import re
import subprocess
import sys

text = subprocess.run([sys.argv[1], "--help"], check=True, capture_output=True, text=True).stdout
in_program = set(re.findall(r"^  ([a-z]+)  ", text[text.index("Subcommands:"):], re.MULTILINE))
page = pathlib.Path(sys.argv[2]).read_text()
section = page[page.index("## The command line"):page.index("## The cache")]
in_page = set(re.findall(r"^    bqc ([a-z]+)", section, re.MULTILINE))
assert in_program == in_page, in_program ^ in_page
