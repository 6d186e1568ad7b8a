"""Writes docs/faults.md: the faults that were tried, by the tests that tried them.

python docs/faults.py            # runs the tests and writes what they saw
python docs/faults.py --check    # says where the page and the tests differ
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE / "faults.md"
TESTS = HERE.parent / "tests" / "test_faults.py"

HEAD = """# Faults tried and survived

Nothing that loads is ever wrong, nothing that was finished is lost, and the next attempt succeeds. Each row was
written by the test that it names (`tests/test_faults.py`) when `python docs/faults.py` ran it. "Cut short" counts kills
that left something half done behind, which nothing reads.

| fault | operation | tries | what happened | test |
|---|---|---|---|---|
"""


def recording() -> set[str]:
    """The tests that record a row."""
    tree = ast.parse(TESTS.read_text(encoding="utf-8"))
    return {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and node.name.startswith("test_")
        and any(argument.arg == "survived" for argument in node.args.args)
    }


def shown() -> set[str]:
    """The tests that the page names."""
    text = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    return set(re.findall(r"^\|.*`(test_\w+)[^`]*` \|$", text, re.MULTILINE))


def mistakes() -> list[str]:
    """Where the page and the tests differ."""
    lines = [f"{name} has no row in {PAGE.name}" for name in sorted(recording() - shown())]
    return lines + [
        f"{PAGE.name} has a row of {name}, which is no test that records" for name in sorted(shown() - recording())
    ]


def run() -> list[dict[str, str]]:
    """Runs the tests and returns the rows that they recorded."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        select = ["-q", "-m", "slow or not slow", "-k", "not the_table and not a_few_times"]
        command = [sys.executable, "-m", "pytest", str(TESTS), *select]
        done = subprocess.run(command, env=os.environ | {"ZOO_FAULTS": str(path)}, cwd=HERE.parent)
        if done.returncode:
            sys.exit(f"the tests failed; {PAGE} is as it was")
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def main() -> None:
    if "--check" in sys.argv:
        found = mistakes()
        if found:
            sys.exit("\n".join([*found, "python docs/faults.py writes it"]))
        return
    rows = [f"| {r['fault']} | {r['operation']} | {r['tries']} | {r['outcome']} | `{r['test']}` |" for r in run()]
    PAGE.write_text(HEAD + "\n".join(rows) + "\n", encoding="utf-8")
    if found := mistakes():  # a test was skipped on this machine
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main()
