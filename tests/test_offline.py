"""Tests pass where there is neither a network nor a data set, as on a clean clone."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
READERS = (
    "tests/test_datasets.py",
    "tests/test_dataset_rows.py",
    "plugins/zoo-metrics/tests/test_extractor.py",
    "plugins/zoo-metrics/tests/test_anchors.py",
    "plugins/zoo-nets/tests/test_path_model.py",
)
"""The files whose tests read MNIST or Fashion-MNIST where they are."""
ELSEWHERE = "192.0.2.1"
"""An address kept for documentation (RFC 5737): nobody answers there."""


def test_connections_go_to_loopback_only() -> None:
    with socket.socket() as client, pytest.raises(ConnectionRefusedError, match=f"not to {ELSEWHERE}:80"):
        client.connect((ELSEWHERE, 80))
    with pytest.raises(socket.gaierror, match=r"not example\.org"):
        socket.getaddrinfo("example.org", 443)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()


def test_programs_that_tests_start_are_held_to_it_too() -> None:
    code = f"import socket; socket.socket().connect(('{ELSEWHERE}', 80))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 1
    assert "connections go to loopback only" in ran.stderr


@pytest.mark.slow
def test_what_reads_data_is_skipped_with_a_reason_where_there_is_none(tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if name != "ZOO_DATA" and not name.startswith("PYTEST_")}
    env |= {"ZOO_CACHE": str(tmp_path), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "-m", "not slow", *READERS]
    ran = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stdout[-3000:]
    assert re.search(r"SKIPPED .*(mnist|MNIST)", ran.stdout), ran.stdout[-3000:]
    assert not any(tmp_path.rglob("*.gz")), "a data set was fetched"
