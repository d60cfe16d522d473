import json
import os
import re
import signal
import subprocess
import sys

import httpx
import pytest

from tamperscan.data import sample_path


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--host", "0.0.0.0"), "--token-file"),
        (("--host", "0.0.0.0", "--identity-header", "X-User"), "--trusted-proxy"),
        (("--token-file", "nowhere"), "can't be read"),
        (("--host", "192.0.2.1", "--identity-header", "X-User", "--trusted-proxy", "10.0.0.5"), "can't be listened on"),
    ],
)
def test_refused_at_start(tamperscan, arguments, said):
    outcome = tamperscan("serve", *arguments, "--port", 0)
    assert outcome.returncode == 3
    assert outcome.stderr.count("\n") == 1
    assert said in outcome.stderr


def test_short_token_is_not_repeated(tamperscan):
    outcome = tamperscan("serve", "--port", 0, TAMPERSCAN_TOKEN="hunter2")
    assert outcome.returncode == 3
    assert "hunter2" not in outcome.stderr


@pytest.mark.parametrize(
    "arguments", [("nowhere",), ("--port", "x"), ("--tls-cert", sample_path()), ("--upload-limit", 0)]
)
def test_wrong_usage(tamperscan, arguments):
    assert tamperscan("serve", *arguments).returncode == 2


def test_serves_until_told_to_end(tmp_path):
    """The scan that is named is queued and its page told; what is no scan is named too; SIGTERM ends it well."""
    (tmp_path / "notes.txt").write_text("no scan")
    command = [sys.executable, "-m", "tamperscan", "serve", str(sample_path()), str(tmp_path / "notes.txt")]
    command += ["--home", str(tmp_path / "home"), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    ) as process:
        try:
            found = re.fullmatch(
                r"Open in a browser: (http://127\.0\.0\.1:\d+)/read/(\w{32})\n", process.stdout.readline()
            )
            assert httpx.get(f"{found[1]}/api/jobs/{found[2]}", trust_env=False).json()["title"] == sample_path().name
        finally:
            process.send_signal(signal.SIGTERM)
        assert "notes.txt: is not a DICOM image" in process.stderr.read()
        assert process.wait(20) == 0
    lines = [json.loads(line) for line in (tmp_path / "home" / "audit.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines if line.get("job") == found[2]][:2] == ["received", "named"]
