"""service.hosts: host names of peers, without ever waiting long for a name server."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from dcmrecv.service.hosts import HostNames


def answering(name: str) -> tuple[Callable[[str], str], list[str]]:
    """A name server with one answer, and the list of what it was asked."""
    asked: list[str] = []

    def reverse(address: str) -> str:
        asked.append(address)
        return name

    return reverse, asked


@contextmanager
def silent() -> Iterator[tuple[Callable[[str], str], list[str]]]:
    """A name server that does not answer, and the list of what it was asked."""
    asked: list[str] = []
    over = threading.Event()

    def reverse(address: str) -> str:
        asked.append(address)
        over.wait(30)
        return "late.example"

    try:
        yield reverse, asked
    finally:
        over.set()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("modality.hospital.example", "modality"),
        ("localhost", "localhost"),
        ("", "192.0.2.1"),
        (".example", "192.0.2.1"),
    ],
)
def test_a_name_is_cut_at_its_first_dot(name: str, shown: str) -> None:
    """Spec section 2.2."""
    reverse, _ = answering(name)
    assert HostNames(reverse).shown("192.0.2.1") == shown


def test_a_host_without_a_name_is_shown_by_its_address() -> None:
    def reverse(address: str) -> str:
        raise socket.herror(1, "Unknown host")

    assert HostNames(reverse).shown("192.0.2.1") == "192.0.2.1"


def test_a_name_that_is_no_text_is_shown_by_its_address() -> None:
    def reverse(address: str) -> str:
        raise UnicodeDecodeError("idna", b"\xff", 0, 1, "bad")

    assert HostNames(reverse).shown("192.0.2.1") == "192.0.2.1"


def test_the_loopback_address_has_a_name() -> None:
    """The one look-up that works without a network."""
    assert HostNames().shown("127.0.0.1") == "localhost"


def test_a_host_is_looked_up_once() -> None:
    reverse, asked = answering("modality.example")
    hosts = HostNames(reverse)
    assert [hosts.shown(f"192.0.2.{n}") for n in (1, 1, 2, 1)] == ["modality"] * 4
    assert asked == ["192.0.2.1", "192.0.2.2"]


def test_the_cache_is_bounded() -> None:
    """The oldest name makes room."""
    reverse, asked = answering("modality.example")
    hosts = HostNames(reverse)
    for number in range(1_025):
        hosts.shown(str(number))
    hosts.shown("1024")
    assert len(asked) == 1_025
    hosts.shown("0")
    assert len(asked) == 1_026


def test_a_silent_name_server_costs_one_wait() -> None:
    """The fallback is remembered."""
    with silent() as (reverse, asked):
        hosts = HostNames(reverse, wait_s=0.01)
        assert [hosts.shown("192.0.2.1") for _ in range(3)] == ["192.0.2.1"] * 3
        assert asked == ["192.0.2.1"]


def test_look_ups_under_way_are_bounded() -> None:
    with silent() as (reverse, asked):
        hosts = HostNames(reverse, wait_s=0.01)
        for number in range(10):
            assert hosts.shown(str(number)) == str(number)
        assert len(asked) == 4
