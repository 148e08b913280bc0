"""What a peer can influence is bounded: pace, associations, descriptors, memory."""

import resource
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from dcmrecv.config.settings import AccessSettings
from dcmrecv.errors import ConfigurationError
from tests.builders import pdu
from tests.builders.command import c_store_rq
from tests.builders.data_set import object_of
from tests.builders.pdu import ProposedContext
from tests.builders.uids import CT_IMAGE, DEFLATED_LE
from tests.peers.program import Program, data_sets_below, storage_program
from tests.peers.scu import PeerGone, RawScu, store_alone
from tests.peers.waiting import wait_until

RATE_WINDOW_S = 10
WIRE = pdu.message(1, c_store_rq(), object_of(pixel_bytes=40_000))
OUT_OF_RESOURCES = 0xA700
MEBIBYTE = 1 << 20


def open_descriptors(program: Program) -> dict[int, int]:
    """How many descriptors each process has."""
    return {
        pid: len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in program.processes()
    }


def test_an_association_that_trickles_is_ended_one_that_pauses_is_not() -> None:
    """--min-rate looks at the time inside messages only; PS3.8 has no such time-out."""
    options = ["-v", "--promiscuous", "--ignore", "--min-rate", "1000"]
    with (
        Program(options) as program,
        RawScu(program.port) as idle,
        RawScu(program.port) as slow,
        RawScu(program.port) as stuck,
        RawScu(program.port) as brisk,
    ):
        for scu in (idle, slow, stuck, brisk):
            scu.associate()
        begun_s = time.monotonic()
        stuck.send(WIRE[:5_000])
        at = 0
        ended: dict[str, float] = {}
        while len(ended) < 2 and time.monotonic() < begun_s + 4 * RATE_WINDOW_S:
            # Some 200 bytes a second, and 4,000.
            if "slow" not in ended:
                slow.send(WIRE[at // 20 : at // 20 + 20])
            brisk.send(WIRE[at : at + 400])
            at += 400
            for name, scu in (("slow", slow), ("stuck", stuck)):
                if name not in ended and scu.has_news(0.05):
                    assert scu.ending() == "abort 0,0"
                    ended[name] = time.monotonic() - begun_s
        for after_s in (ended["slow"], ended["stuck"]):
            assert RATE_WINDOW_S - 1 < after_s < 2 * RATE_WINDOW_S
        brisk.send(WIRE[at:])
        assert brisk.read_response().status == 0
        brisk.release()
        assert idle.store(object_of()).status == 0
        idle.release()
    text = "Association with RAW at 127.0.0.1 aborted: Peer sends more slowly than"
    assert program.log().count(text) == 2


@pytest.mark.parametrize("rate", [0, 2**32])
def test_a_rate_that_no_peer_can_have_is_refused(rate: int) -> None:
    with pytest.raises(ConfigurationError, match="min_rate"):
        AccessSettings(min_rate=rate)


# Many at once


def test_two_hundred_associations_at_once(tmp_path: Path) -> None:
    """All of them stand together, and each has its object stored whole."""
    many = 200
    options = ["+B", "-v", "--max-associations", str(many), "-ta", "60"]
    objects = {f"CT.1.2.{n}": object_of(f"1.2.{n}") for n in range(1, many + 1)}
    with storage_program(tmp_path, *options) as program:
        before = program.processes()[0], open_descriptors(program)
        with ExitStack() as stack:
            scus = [
                stack.enter_context(RawScu(program.port, deadline_s=60))
                for _ in range(many)
            ]
            for scu in scus:
                scu.send(pdu.associate_rq())
            for scu in scus:
                assert scu.read_pdu().kind == pdu.A_ASSOCIATE_AC
            for name, scu in zip(objects, scus, strict=True):
                command = c_store_rq(name.removeprefix("CT."))
                scu.send(pdu.message(1, command, objects[name]))
            for scu in scus:
                assert scu.read_response().status == 0
            for scu in scus:
                scu.release()
        assert store_alone(program.port, object_of("1.9"), "1.9").status == 0
        supervisor, descriptors = before
        now = open_descriptors(program)
        assert now[supervisor] == descriptors[supervisor]
    assert program.exit_code == 0
    assert f"Served {many + 1} associations (0 refused, 0 aborted)" in program.log()
    assert data_sets_below(tmp_path / "out") == objects | {"CT.1.9": object_of("1.9")}


# Descriptors


def test_an_object_without_a_descriptor_fails_and_the_next_one_is_stored(
    tmp_path: Path,
) -> None:
    """A700H, and nothing is left of it, neither a file nor a descriptor."""
    with (
        storage_program(tmp_path, "--max-associations", "1") as program,
        RawScu(program.port) as scu,
    ):
        scu.associate()
        workers = program.processes()[1:]
        before = open_descriptors(program)
        limits = resource.prlimit(workers[0], resource.RLIMIT_NOFILE)
        for worker in workers:
            resource.prlimit(worker, resource.RLIMIT_NOFILE, (3, limits[1]))
        for number in range(3):
            uid = f"1.2.{number}"
            assert scu.store(object_of(uid), uid).status == OUT_OF_RESOURCES
        assert data_sets_below(tmp_path / "out") == {}
        for worker in workers:
            resource.prlimit(worker, resource.RLIMIT_NOFILE, limits)
        assert scu.store(object_of("1.3"), "1.3").status == 0
        now = open_descriptors(program)
        assert {pid: now[pid] for pid in before} == before
        scu.release()
    assert data_sets_below(tmp_path / "out") == {"CT.1.3": object_of("1.3")}


def test_silent_connections_that_take_every_descriptor_stop_nobody(
    tmp_path: Path,
) -> None:
    """The supervisor closes the oldest of them; all descriptors come back."""

    def few_descriptors() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))

    program = storage_program(tmp_path)
    program.before_exec = few_descriptors
    with program:
        assert store_alone(program.port, object_of("1.1"), "1.1").status == 0
        supervisor = program.processes()[0]
        before = open_descriptors(program)[supervisor]
        with ExitStack() as stack:
            for _ in range(400):
                scu = stack.enter_context(RawScu(program.port))
                scu.send(pdu.associate_rq()[:3])
            for number in range(2, 6):
                uid = f"1.{number}"
                assert store_alone(program.port, object_of(uid), uid).status == 0
        wait_until(
            lambda: open_descriptors(program)[supervisor] <= before,
            "the descriptors",
        )
    assert len(data_sets_below(tmp_path / "out")) == 5


# Memory


def hostile_streams() -> Iterator[bytes]:
    """What claims to be large, or is: after an A-ASSOCIATE-AC for CT Image Storage."""
    huge = struct.pack("<HHI", 0x7FE0, 0x0010, 0xFFFFFFFE)
    yield pdu.message(1, c_store_rq(), object_of() + huge + bytes(MEBIBYTE))
    nested = struct.pack("<HHI", 0x0008, 0x1140, 0xFFFFFFFF)
    nested += struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    yield pdu.message(1, c_store_rq(), nested * 100_000)
    elements = struct.pack("<HHI", 0x0009, 0x1010, 0) * 500_000
    yield pdu.message(1, c_store_rq(), elements)
    bomb = object_of(pixel_bytes=256 * MEBIBYTE, transfer_syntax=DEFLATED_LE)
    yield pdu.message(3, c_store_rq(), bomb)
    yield pdu.p_data_tf() * 100_000
    command = pdu.pdv(1, bytes(60_000), command=True, last=False)
    yield pdu.p_data_tf(command) * 10


def test_no_process_grows_whatever_is_sent() -> None:
    """64 MiB for each: what is large is passed through or refused."""
    contexts = [
        ProposedContext(1),
        ProposedContext(3, CT_IMAGE, (DEFLATED_LE,)),
    ]
    options = ["--promiscuous", "+ssd", "-od", "."]
    largest = pdu.associate_rq(further_items=[pdu.item(0x99, bytes(65_000))] * 16)
    with Program(options) as program:
        for stream in hostile_streams():
            with RawScu(program.port) as scu:
                scu.associate(contexts)
                try:
                    scu.send(stream)
                    scu.transcript(1)
                except PeerGone:
                    pass
        with ExitStack() as stack:
            for _ in range(60):
                scu = stack.enter_context(RawScu(program.port))
                scu.send(largest[:-1])
            assert store_alone(program.port, object_of(), "1.2.3.4.5").status == 0
        peaks = program.peak_memory_bytes()
        supervisor = program.processes()[0]
        for pid, peak in peaks.items():
            # The supervisor keeps unfinished requests, 64 MiB of them at most.
            allowed = 128 if pid == supervisor else 64
            assert peak < allowed * MEBIBYTE, (pid, peak)


def test_requests_of_nothing_but_items_do_not_add_up() -> None:
    """What is remembered of requests has a bound, and so has one that is decoded."""
    syntaxes = pdu.item(0x40, b"12") * 2
    context = pdu.item(0x20, bytes(4) + syntaxes)
    with Program(["--promiscuous", "--max-associations", "1"]) as program:
        for size, times in ((20_000, 70), (65_000, 70), (100_000, 3)):
            items = [context] * (size // len(context))
            for number in range(times):
                request = pdu.associate_rq(
                    (), calling=f"C{size}N{number}", further_items=items
                )
                with RawScu(program.port) as scu:
                    scu.send(request)
                    assert scu.read_pdu().kind == pdu.A_ASSOCIATE_RJ
        peaks = program.peak_memory_bytes()
    workers = [peak for pid, peak in peaks.items() if pid != program.process.pid]
    # 16 MiB are for a passcode and for the elements of a data set in disorder.
    assert max(workers) < (64 - 16) * MEBIBYTE, peaks


def test_a_worker_that_tells_everything_does_not_grow_either() -> None:
    """At level debug a request is dumped, and written out."""
    with Program(["-d", "--promiscuous", "--max-associations", "1"]) as program:
        for size in (52, 60_000):
            negotiation = pdu.extended_negotiation("1.2.3", bytes(size))
            user = pdu.item(0x50, negotiation * (65_000 // len(negotiation)))
            request = pdu.associate_rq(further_items=[user] * 15)
            assert len(request) > 900_000
            with RawScu(program.port) as scu:
                scu.send(request)
                assert scu.read_pdu().kind == pdu.A_ASSOCIATE_AC
        peaks = program.peak_memory_bytes()
    workers = [peak for pid, peak in peaks.items() if pid != program.process.pid]
    assert max(workers) < 64 * MEBIBYTE, peaks


def test_connections_without_a_word_do_not_add_up() -> None:
    """A health check every millisecond for an hour would be 3.6 million of them."""
    with Program(["--promiscuous"]) as program:

        def memory() -> int:
            status = Path(f"/proc/{program.process.pid}/status").read_text()
            return int(status.partition("VmRSS:")[2].split()[0])

        def connect(times: int) -> None:
            for _ in range(times):
                RawScu(program.port).close()

        connect(500)
        before = memory()
        connect(5_000)
        assert memory() < before + 512
        assert store_alone(program.port, object_of(), "1.2").status == 0


# The clock


JUMPING_CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
#include <sys/time.h>

/* Every look at the wall clock is a day away from the one before. */
static long jump(void)
{
    static unsigned int looks;
    return (++looks % 2 ? 86400 : -86400) * (long)(looks % 7);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static int (*next)(clockid_t, struct timespec *);
    if (!next) next = dlsym(RTLD_NEXT, "clock_gettime");
    int result = next(clock, now);
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
        now->tv_sec += jump();
    return result;
}

int gettimeofday(struct timeval *now, void *zone)
{
    struct timespec real;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &real);
    now->tv_sec = real.tv_sec;
    now->tv_usec = real.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out)
{
    struct timespec real;
    clock_gettime(CLOCK_REALTIME, &real);
    if (out) *out = real.tv_sec;
    return real.tv_sec;
}
"""


@contextmanager
def jumping_clock(directory: Path) -> Iterator[str]:
    """A library to preload, by which the wall clock jumps whenever it is looked at."""
    source, library = directory / "clock.c", directory / "clock.so"
    source.write_text(JUMPING_CLOCK)
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"],
        check=True,
        timeout=60,
    )
    yield str(library)


def test_a_wall_clock_that_jumps_disturbs_nothing(tmp_path: Path) -> None:
    """Time-outs, the pool and patience go by the monotonic clock."""
    with jumping_clock(tmp_path) as library:
        program = storage_program(tmp_path, "+fst", "-v", "-ta", "1", "-td", "2")
        program.environment = {"LD_PRELOAD": library}
        with program:
            for number in range(1, 6):
                uid = f"1.2.{number}"
                assert store_alone(program.port, object_of(uid), uid).status == 0
            with RawScu(program.port) as silent, RawScu(program.port) as idle:
                idle.associate()
                silent.send(pdu.associate_rq()[:20])
                # ARTIM and the DIMSE time-out end them, neither at once nor never.
                assert not silent.has_news(0.3)
                assert silent.ending(5) == "closed"
                assert idle.ending(5) == "abort 0,0"
        assert program.exit_code == 0
        days = {line.split()[0] for line in files_by_day(tmp_path / "out")}
    assert len(data_sets_below(tmp_path / "out")) == 5
    assert len(days) > 1, "the clock did not jump"


def files_by_day(directory: Path) -> list[str]:
    """The day in the name of each file."""
    return [path.name[:8] for path in directory.iterdir()]
