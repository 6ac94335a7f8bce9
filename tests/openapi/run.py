"""Throws at a running server what its OpenAPI document allows and forbids, and looks for answers that it does not document.

``python tests/openapi/run.py <unisono-server>``, with schemathesis installed. The requests come from a fixed seed. The totals
have the form in which Rust's tests tell theirs.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

# Enough for a defect in how a body is read to show; the whole takes less than a minute.
EXAMPLES = "12"
SEED = "11"
# What has to hold whatever was sent. (`positive_data_acceptance` does not: a random cursor, stamp or key id is no good one.)
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def output(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def run(server, data):
    process = subprocess.Popen(
        [server, "serve", "--dev", "--data", data, "--listen", "127.0.0.1:0", "--log", "error"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        url = process.stdout.readline().split()[-1]
        token = output(server, "token", "--dev", "--data", data, "--user", "alice")
        report = Path(data) / "report"
        command = [
            str(Path(sys.executable).with_name("st")), "run", f"{url}/openapi.json",
            "--header", f"Authorization: Bearer {token}",
            "--checks", CHECKS,
            "--phases", "examples,coverage,fuzzing",
            "--max-examples", EXAMPLES,
            "--seed", SEED,
            "--generation-database", "none",
            "--continue-on-failure",
            "--request-timeout", "20",
            "--warnings", "off",
            "--no-color",
        ]
        print("running 1 test", flush=True)
        ended = subprocess.run(command, cwd=data, env={**os.environ, "SCHEMATHESIS_HOOKS": ""})
        return ended.returncode == 0
    finally:
        process.terminate()
        process.wait()


def main():
    with tempfile.TemporaryDirectory() as data:
        good = run(sys.argv[1], data)
    verdict = "ok. 1 passed; 0 failed" if good else "FAILED. 0 passed; 1 failed"
    print(f"test result: {verdict}; 0 ignored")
    sys.exit(not good)


if __name__ == "__main__":
    main()
