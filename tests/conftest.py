"""What every test runs in: a share of the cores, no need of a display, no network, and a home folder of its own."""

import os
import socket
import sys
from pathlib import Path

import pytest

LOOPBACK = {"127.0.0.1", "::1", "localhost"}

# Read once, by imports that come after this file. Threads wait for each other by spinning, so where another process
# wants the same core, a torch with two threads is ten times slower than one with a single thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")
if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


@pytest.fixture(autouse=True)
def studio_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that settings, models, caches and the queue live in: fresh for every test, never the user's."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("LTX_STUDIO_HOME", str(home))
    monkeypatch.delenv("LTX_STUDIO_SEALED", raising=False)  # a sealed command sets it for what it starts
    return home


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction] - pytest calls it
    """A test may talk to a server it started on this machine, and to nothing else."""
    connect = socket.socket.connect

    def connect_here(self: socket.socket, address: tuple[str, int] | str | bytes) -> None:
        is_here = not isinstance(address, tuple) or address[0] in LOOPBACK
        assert is_here, f"a test tried to reach {address}"
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_here)


@pytest.fixture
def without_starter(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the model that ships with the program were missing."""
    from engine.weights import catalog

    catalog.catalogue()  # the list itself is read once, and stays
    empty = tmp_path_factory.mktemp("no-starter")
    monkeypatch.setattr(catalog, "bundled_folder", lambda: empty)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of an untrained model, its other files beside it. Read only: a test that damages it copies it."""
    from tests.fakes.models import make_tiny_model

    return make_tiny_model(tmp_path_factory.mktemp("tiny-model"))
