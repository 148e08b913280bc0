"""The receiver inside a Python program."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import dcmrecv
from dcmrecv import api
from dcmrecv.api import Receiver
from dcmrecv.config.settings import (
    LogSettings,
    NetworkSettings,
    PoolSettings,
    Settings,
    StorageMode,
    StorageSettings,
)
from dcmrecv.errors import (
    ConfigurationError,
    DcmrecvError,
    ExitCode,
    ListenError,
)
from dcmrecv.server.scoreboard import Counters
from tests.builders.pdu import ProposedContext
from tests.peers.program import is_listening
from tests.peers.scu import RawScu
from tests.peers.waiting import wait_until

VERIFICATION = (ProposedContext(1, "1.2.840.10008.1.1"),)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        network=NetworkSettings(port=0, host="127.0.0.1", host_lookup=False),
        storage=StorageSettings(
            output_directory=str(tmp_path), mode=StorageMode.BIT_PRESERVING
        ),
        pool=PoolSettings(max_associations=4, drain_timeout_s=5),
        log=LogSettings(level="off"),
    )


@pytest.fixture
def occupied() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_receiver_serves_while_the_block_runs(settings: Settings) -> None:
    with Receiver(settings) as receiver:
        port = receiver.port
        with RawScu(port) as scu:
            scu.associate(VERIFICATION)
            assert scu.echo().status == 0
            scu.release()
    assert receiver.exit_code == 0
    assert not is_listening(port)


def test_the_package_offers_it() -> None:
    assert dcmrecv.Receiver is Receiver
    assert dcmrecv.Settings is Settings


def test_the_counters_are_live_and_stay_after_the_end(settings: Settings) -> None:
    receiver = Receiver(settings)
    assert receiver.counters == Counters()
    with receiver, RawScu(receiver.port) as scu:
        scu.associate(VERIFICATION)
        scu.echo()
        wait_until(lambda: receiver.counters.echoes == 1, "the count")
        assert receiver.counters.associations == 1
        scu.release()
    assert receiver.counters == Counters(associations=1, echoes=1)


def test_an_object_arrives(settings: Settings, tmp_path: Path) -> None:
    network = replace(settings.network, promiscuous=True)
    with Receiver(replace(settings, network=network)) as receiver:
        with RawScu(receiver.port) as scu:
            scu.associate()
            data_set = b"\x10\x00\x10\x00\x04\x00\x00\x00A^B "
            assert scu.store(data_set, "1.2.3").status == 0
            scu.release()
        assert receiver.counters.objects == 1
    assert (tmp_path / "CT.1.2.3").read_bytes().endswith(b"A^B ")


def test_it_works_among_threads(settings: Settings) -> None:
    """Nothing is forked here, so no lock of a thread is copied in mid-flight."""
    until = threading.Event()
    threads = [threading.Thread(target=until.wait) for _ in range(4)]
    results: list[int] = []

    def run() -> None:
        with Receiver(settings) as receiver, RawScu(receiver.port) as scu:
            scu.associate(VERIFICATION)
            results.append(scu.echo().status)
            scu.release()

    threads += [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(results) == 2, "both receivers", deadline_s=60)
    until.set()
    for thread in threads:
        thread.join()
    assert results == [0, 0]


def test_a_bad_directory_is_an_error_here(settings: Settings) -> None:
    storage = replace(settings.storage, output_directory="/nonexistent")
    with pytest.raises(ConfigurationError, match="Directory does not exist") as caught:
        Receiver(replace(settings, storage=storage)).start()
    assert caught.value.exit_code == ExitCode.OUTPUT_DIRECTORY


def test_a_bad_profile_is_an_error_here(settings: Settings) -> None:
    network = replace(settings.network, profile_source=("/nonexistent", "Default"))
    with pytest.raises(ConfigurationError, match="unable to open") as caught:
        Receiver(replace(settings, network=network)).start()
    assert caught.value.exit_code == ExitCode.ASSOCIATION_CONFIGURATION
    assert len(caught.value.details) == 1


def test_a_busy_port_is_an_error_here(settings: Settings, occupied: int) -> None:
    network = replace(settings.network, port=occupied)
    receiver = Receiver(replace(settings, network=network))
    with pytest.raises(ListenError, match="Address already in use"):
        receiver.start()
    receiver.stop()
    assert receiver.exit_code is not None


def test_an_interpreter_that_does_not_start_is_an_error_here(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(DcmrecvError, match="ended at once, exit code 1"):
        Receiver(settings).start()


def test_a_receiver_that_does_not_get_ready_is_ended(settings: Settings) -> None:
    receiver = Receiver(settings, start_timeout_s=0)
    with pytest.raises(DcmrecvError, match="not ready in time"):
        receiver.start()
    assert receiver.exit_code is not None


def test_it_can_be_started_once_only(settings: Settings) -> None:
    with Receiver(settings) as receiver, pytest.raises(DcmrecvError, match="once"):
        receiver.start()
    receiver.stop()


def test_the_end_of_the_block_lets_associations_finish_or_aborts_them(
    settings: Settings,
) -> None:
    pool = replace(settings.pool, drain_timeout_s=0)
    with Receiver(replace(settings, pool=pool)) as receiver:
        scu = RawScu(receiver.port)
        scu.associate(VERIFICATION)
    with scu:
        assert scu.ending() == "abort 0,0"
    assert receiver.exit_code == 128 + signal.SIGTERM


def test_a_receiver_that_does_not_listen_any_more_is_killed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "STOP_MARGIN_S", 0)
    monkeypatch.setattr(api, "KILL_AFTER_NS", 0)
    pool = replace(settings.pool, drain_timeout_s=0)
    receiver = Receiver(replace(settings, pool=pool))
    receiver.start()
    assert receiver._process is not None
    group = receiver._process.pid
    os.killpg(group, signal.SIGSTOP)
    receiver.stop()
    assert receiver.exit_code == -signal.SIGKILL
    wait_until(lambda: not group_exists(group), "the end of all processes")


def group_exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_program_that_dies_leaves_no_receiver_behind() -> None:
    program = (
        "import os, sys\n"
        "from dcmrecv.api import Receiver\n"
        "from dcmrecv.config.settings import *\n"
        "network = NetworkSettings(port=0, host='127.0.0.1')\n"
        "receiver = Receiver(Settings(network=network))\n"
        "receiver.start()\n"
        "print(receiver.port, receiver._process.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        timeout=60,
        check=False,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL
    port, group = map(int, done.stdout.split())
    wait_until(lambda: not is_listening(port), "closed listeners")
    wait_until(lambda: not group_exists(group), "the end of all processes")
