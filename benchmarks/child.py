"""Runs one program in a process of its own; `turns.Child` is the other end of its pipes.

The first line of the input names the function that makes the program and its arguments, as JSON.
Each later line is a request, "run" or "where", and gets one line of JSON as the answer.

This file imports only the standard library: `PYTHONPATH` decides which checkout of the repository
the program comes from.
"""

import json
import os
import sys
import traceback
from pathlib import Path
from pkgutil import resolve_name
from typing import Any


def main() -> None:
    """Answer requests until the input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a program prints must not come between the answers
    target, arguments = json.loads(sys.stdin.readline())
    program: Any = None
    for request in sys.stdin:
        try:
            if request == "where\n":
                answer = str(Path(resolve_name("cpvae_jax").__file__).parent)
            else:
                program = program or _make(target, arguments)
                answer = program()
            print(json.dumps({"answer": answer}), file=answers)
        except Exception as error:
            if not isinstance(error, ImportError):  # such as PyTorch, which may be missing
                traceback.print_exc()
            print(json.dumps({"error": f"{type(error).__name__}: {error}"}), file=answers)


def _make(target: str, arguments: dict[str, Any]) -> Any:
    if "case" in arguments:
        case = resolve_name("benchmarks.problem:Case")(**arguments["case"])
        arguments = {**arguments, "case": case}
    return resolve_name(target)(**arguments)


if __name__ == "__main__":
    main()
