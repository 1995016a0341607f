"""Sealed mode: every way to the network that Python has is refused, recorded and kept.

Alone: `pytest tests/engine/test_network.py`. Audit hooks stay for the life of a process, so each test asks a fresh one.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.network import REFUSED_NAME, NetworkRecord, Refused, refused_connections

WAYS = {
    "connect": "socket.create_connection(('127.0.0.1', 9), timeout=1)",
    "connect_ex": "socket.socket().connect_ex(('127.0.0.1', 9))",
    "datagram": "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))",
    "message": "socket.socket(type=socket.SOCK_DGRAM).sendmsg([b'x'], [], 0, ('127.0.0.1', 9))",
    "listen": "socket.create_server(('127.0.0.1', 0))",
    "look up a name": "socket.getaddrinfo('example.org', 443)",
    "look up a name, the old way": "socket.gethostbyname('example.org')",
    "look up an address": "socket.gethostbyaddr('127.0.0.1')",
    "urllib": "urllib.request.urlopen('http://127.0.0.1:9/', timeout=1)",
    "asyncio": "asyncio.run(asyncio.open_connection('127.0.0.1', 9))",
}


def in_a_fresh_process(code: str, home: Path, *, sealed: bool) -> dict[str, Any]:
    """What a guarded process says of itself after running a line."""
    program = (
        "import asyncio, json, os, socket, urllib.request\n"
        "from pathlib import Path\n"
        "from engine.network import guard_network\n"
        f"record = guard_network(sealed={sealed}, data_folder=Path({str(home)!r}))\n"
        "error = None\n"
        f"try: {code}\n"
        "except OSError as caught: error = str(caught)\n"
        "names = ('HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE', 'LTX_STUDIO_SEALED')\n"
        "print(json.dumps({'error': error, 'record': record.to_dict(), 'env': [os.environ.get(n) for n in names]}))\n"
    )
    result = subprocess.run(
        [sys.executable, "-W", "ignore::ResourceWarning", "-c", program], capture_output=True, text=True, check=True
    )
    return json.loads(result.stdout)


@pytest.mark.parametrize("way", WAYS)
def test_sealed_mode_refuses_records_and_keeps(way: str, tmp_path: Path) -> None:
    said = in_a_fresh_process(WAYS[way], tmp_path, sealed=True)

    assert "Sealed mode: the connection to" in said["error"]
    assert said["record"] == {"sealed": True, "attempts": 1}
    assert said["env"] == ["1", "1", "1"]
    assert len(refused_connections(tmp_path)) == 1


def test_an_open_process_counts_and_refuses_nothing(tmp_path: Path) -> None:
    said = in_a_fresh_process("socket.create_server(('127.0.0.1', 0)).close()", tmp_path, sealed=False)

    assert said["error"] is None
    assert said["record"] == {"sealed": False, "attempts": 1}
    assert said["env"][:2] == ["1", "1"]  # the libraries stay quiet all the same
    assert refused_connections(tmp_path) == []


@pytest.mark.skipif(not hasattr(__import__("socket"), "AF_UNIX"), reason="no sockets with a file's name here")
def test_sockets_of_the_system_itself_are_not_the_network(tmp_path: Path) -> None:
    said = in_a_fresh_process(f"socket.socket(socket.AF_UNIX).bind({str(tmp_path / 's')!r})", tmp_path, sealed=True)

    assert (said["error"], said["record"]["attempts"]) == (None, 0)


def test_a_data_folder_that_cannot_be_written_does_not_weaken_the_refusal(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    record = NetworkRecord(is_sealed=True, refused_file=tmp_path / "file" / REFUSED_NAME)

    with pytest.raises(OSError, match=r"example\.org:443 was refused"):
        record.note("socket.getaddrinfo", ("example.org", 443, 0, 0, 0))


def test_a_cut_line_among_the_kept_refusals_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / REFUSED_NAME).write_text('{"time": "2026-01-01T00:00:00+00:00", "target": "a:1"}\n{"time": "20')

    assert refused_connections(tmp_path) == [Refused("2026-01-01T00:00:00+00:00", "a:1")]
