"""Makes the suite's cases importable by Python 3: syntax by lib2to3, octets by octets.py, division as it was."""

import glob
import os
import re
import shutil
import sys
from lib2to3 import refactor

source, target = sys.argv[1:]
shutil.copytree(f"{source}/autobahn-0.10.9/autobahn", f"{target}/autobahn", ignore=shutil.ignore_patterns("asyncio", "test"))
shutil.copytree(f"{source}/autobahntestsuite-25.10.1/autobahntestsuite/case", f"{target}/case")
protocol = f"{target}/autobahn/websocket/protocol.py"
with open(protocol) as file:
    text = file.read()
with open(protocol, "w") as file:
    file.write(text.replace("range(payload_len / len(payload))", "range(payload_len // len(payload))"))
# Compression is not offered, and 9.9.1 is not in the suite's own list.
for path in glob.glob(f"{target}/case/case1[23]*") + [f"{target}/case/case9_9_1.py"]:
    os.remove(path)
tool = refactor.RefactoringTool(f"lib2to3.fixes.fix_{fix}" for fix in ["print", "xrange", "except", "dict", "import", "raise"])
for path in glob.glob(f"{target}/case/*.py"):
    with open(path, encoding="latin-1") as file:
        text = file.read() + "\n"
    # Each byte of a literal is one character: the payloads stay what they are.
    text = re.sub(r"^# coding=utf-8\s*$", "", text, flags=re.M)
    text = re.sub(r"^from case(12_x_x|9_9_1) import \*$", "", text, flags=re.M)
    text = re.sub(r"^.*Case1[23]_X_X.*$", "", text, flags=re.M)
    text = str(tool.refactor_string(text, path))
    text = re.sub(r"^from (case\w*) import", r"from .\1 import", text, flags=re.M)
    text = text.replace("import binascii", "import octets as binascii")
    text = text.replace("from autobahn.websocket.utf8validator", "from octets")
    text = text.replace("(object, Case, )", "(Case,)")
    if os.path.basename(path) == "case10_1_1.py":
        text = text.replace(" / ", " // ")
    with open(path, "w", encoding="latin-1") as file:
        file.write("# coding=latin-1\n" + text)
