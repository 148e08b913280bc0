"""The k-th system call fails, for every k: a Success is always a whole file.

The real program runs with the faulty table of `faultio.pyx`. Each case is one sweep:
the fault moves from the first call of its kind to the last one that four C-STOREs and
a release make, until nothing is hit any more. After each fault the next sender is
served; with `-s` it is printed how long the slowest one took. DCMRECV_SERVED_WITHIN_S
sets another bound than one that a busy machine can keep.
"""

import contextlib
import errno
import os
import shutil
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.builders.command import OUT_OF_RESOURCES, SUCCESS
from tests.builders.data_set import object_of
from tests.builders.part10 import parse_part10
from tests.faults.script import SHORT, Call, FaultScript, compile_table
from tests.peers.program import Program, files_below, storage_program
from tests.peers.scu import PeerGone, RawScu
from tests.peers.waiting import wait_until

LAUNCHER = str(Path(__file__).with_name("launcher.py"))
SERVED_WITHIN_S = float(os.environ.get("DCMRECV_SERVED_WITHIN_S", "30"))
CALLS_AT_MOST = 400  # of one kind, for the work of one association

DATE = "20200102"


@dataclass(frozen=True, slots=True)
class Item:
    """One object of the work, and what was stored under its UID before."""

    data_set: bytes
    before: bytes | None = None


def nameless(data_set: bytes) -> bytes:
    """Without SOP Instance UID: normal mode makes one, when all has been written."""
    begin = data_set.index(struct.pack("<HH", 0x0008, 0x0018))
    (length,) = struct.unpack_from("<I", data_set, begin + 4)
    return data_set[:begin] + data_set[begin + 8 + length :]


# By the SOP Instance UID of the command, which names the file: an object of more than a
# window, the only one of its date; two for which normal mode makes a UID of another
# length, so that it has to move what it has written already, up or down; and one that
# replaces an older copy.
LONG_UID = f"1.2.{'3' * 60}"
SMALL_UID = "1.2.20"
OLD = object_of(SMALL_UID, pixel_bytes=10, series_date=DATE)
SMALL = object_of(SMALL_UID, pixel_bytes=5_000, series_date=DATE)
WORK = {
    "1.2.10": Item(object_of("1.2.10", pixel_bytes=1_200_000, series_date="20210304")),
    "1.2.30": Item(nameless(object_of(pixel_bytes=1_100_000, series_date=DATE))),
    LONG_UID: Item(nameless(object_of(pixel_bytes=1_100_000, series_date=DATE))),
    SMALL_UID: Item(SMALL, before=OLD),
}
ALL_WELL = dict.fromkeys(WORK, SUCCESS)

BIT_PRESERVING = "--bit-preserving"
NORMAL = "--normal"
BY_DATE = "--series-date-subdir"
MODES = (BIT_PRESERVING, NORMAL, BY_DATE)
DONTCACHE = "--bit-preserving --write-mode dontcache"
DIRECT = "--bit-preserving --write-mode direct"
FULL = "--series-date-subdir --durability full"
GROUP = "--bit-preserving --durability group"
VERBOSE = "--bit-preserving --verbose"

# Faults that a receiver has to live with as if they had not happened.
HARMLESS = [
    (MODES, Call.RECVV, (errno.EINTR, errno.EAGAIN, SHORT)),
    (MODES, Call.SEND, (errno.EINTR, errno.EAGAIN, SHORT)),
    (MODES, Call.POLL, (errno.EINTR,)),
    (MODES, Call.OPENAT, (errno.EINTR,)),
    ((BY_DATE, FULL), Call.OPEN_BENEATH, (errno.EINTR, errno.EAGAIN)),
    (MODES, Call.PWRITE, (errno.EINTR, SHORT)),
    (MODES, Call.RENAMEAT, (errno.EINTR,)),
    ((NORMAL, BY_DATE), Call.PREAD, (errno.EINTR, SHORT)),
    ((NORMAL, BY_DATE), Call.FTRUNCATE, (errno.EINTR,)),
    ((DONTCACHE, GROUP), Call.PWRITE_DONTCACHE, (errno.EINTR, SHORT)),
    ((DIRECT,), Call.PWRITE, (errno.EINTR, SHORT)),
    ((FULL,), Call.FDATASYNC, (errno.EINTR,)),
    ((FULL,), Call.FSYNC, (errno.EINTR,)),
    ((FULL, GROUP), Call.START_WRITE_BACK, (errno.EINTR,)),
    ((GROUP,), Call.WRITE_BACK, (errno.EINTR,)),
    ((VERBOSE,), Call.WRITE, (errno.EINTR, errno.EAGAIN, errno.EIO, SHORT)),
]
# What a file system may say to any step that changes it.
FULL_OR_BROKEN = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)
# Faults of the disk: the object is refused, the association goes on.
DISK = [
    (MODES, Call.OPENAT, (errno.EMFILE, *FULL_OR_BROKEN)),
    (MODES, Call.PWRITE, FULL_OR_BROKEN),
    (MODES, Call.CLOSE, (errno.EINTR, errno.EIO, errno.ENOSPC, errno.EDQUOT)),
    (MODES, Call.RENAMEAT, FULL_OR_BROKEN),
    ((NORMAL, BY_DATE), Call.PREAD, (errno.EIO,)),
    ((NORMAL, BY_DATE), Call.FTRUNCATE, (errno.EIO, errno.EROFS)),
    ((BY_DATE,), Call.MKDIRAT, (errno.EACCES, *FULL_OR_BROKEN)),
    ((DONTCACHE, GROUP), Call.PWRITE_DONTCACHE, (errno.ENOSPC, errno.EIO)),
    ((DIRECT,), Call.PWRITE, (errno.ENOSPC, errno.EIO)),
    ((DIRECT,), Call.SET_DIRECT, (errno.EIO,)),
    ((FULL,), Call.FDATASYNC, (errno.EIO, errno.ENOSPC, errno.EDQUOT)),
    ((FULL, GROUP), Call.START_WRITE_BACK, (errno.EIO, errno.ENOSPC)),
    ((GROUP,), Call.WRITE_BACK, (errno.EIO, errno.ENOSPC, errno.EDQUOT)),
]
# Faults of the connection: the association may end.
CONNECTION = [
    (MODES, Call.RECVV, (errno.ECONNRESET, errno.ENOMEM)),
    (MODES, Call.SEND, (errno.EPIPE, errno.ENOBUFS)),
    (MODES, Call.POLL, (errno.ENOMEM,)),
]


def cases(
    table: list[tuple[tuple[str, ...], Call, tuple[int, ...]]],
) -> pytest.MarkDecorator:
    """One test for each mode, call and errno; one receiver for each mode."""
    rows = [
        pytest.param(
            mode, call, number, id=f"{mode_name(mode)}-{fault_name(call, number)}"
        )
        for modes, call, numbers in table
        for mode in modes
        for number in numbers
    ]
    names = ("patient", "call", "os_errno")
    return pytest.mark.parametrize(names, rows, indirect=["patient"])


def mode_name(mode: str) -> str:
    """For the test's id."""
    return mode.replace("--", "").replace(" ", "-")


def fault_name(call: Call, number: int) -> str:
    """For the test's id."""
    kind = "short" if number == SHORT else errno.errorcode[number]
    return f"{call.name.lower()}-{kind}"


@dataclass(frozen=True, slots=True)
class Patient:
    """A receiver whose system calls can be made to fail."""

    program: Program
    script: FaultScript
    output: Path
    served_s: list[float] = field(default_factory=list)  # next senders after a fault

    def files(self) -> dict[str, bytes]:
        """Data set by SOP Instance UID of what is visible; hidden files by name."""
        return {
            Path(name).name.removeprefix("CT."): parse_part10(content).data_set
            for name, content in files_below(self.output).items()
        }

    def begin(self) -> None:
        """Nothing fails, and the older copies are there and nothing else."""
        self.script.clear()
        for path in sorted(self.output.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        older = {u: i.before for u, i in WORK.items() if i.before is not None}
        assert self.store(older) == dict.fromkeys(older, SUCCESS)
        assert self.files() == older

    def serve_the_next_sender(self) -> None:
        """Whatever has happened to the one before."""
        begin_s = time.monotonic()
        with RawScu(self.program.port, deadline_s=SERVED_WITHIN_S) as scu:
            scu.associate()
            assert scu.echo().status == SUCCESS
            self.served_s.append(time.monotonic() - begin_s)
            scu.release()
        assert self.served_s[-1] < SERVED_WITHIN_S

    def work(self) -> dict[str, int]:
        """Store all objects of `WORK` over one association."""
        return self.store({uid: item.data_set for uid, item in WORK.items()})

    def store(self, data_sets: dict[str, bytes]) -> dict[str, int]:
        """Store objects over one association.

        Returns:
            The statuses that came back; less than all when the association was lost.
        """
        statuses: dict[str, int] = {}
        with RawScu(self.program.port) as scu:
            try:
                scu.associate()
                for uid, data_set in data_sets.items():
                    statuses[uid] = scu.store(data_set, uid).status
                scu.release()
            except (PeerGone, ValueError):
                return statuses
        return statuses


@pytest.fixture(scope="module")
def faultio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the compiled table of faulty calls."""
    directory = tmp_path_factory.mktemp("faultio")
    compile_table("faultio", directory)
    return directory


@contextlib.contextmanager
def patient_for(mode: str, faultio: Path, base: Path) -> Iterator[Patient]:
    """A receiver with one worker, so that calls come in their order."""
    with FaultScript(base / "script") as script:
        command = (sys.executable, LAUNCHER, str(faultio), "faultio", str(script.path))
        options = (*mode.split(), "--max-associations", "1", "--queue-associations")
        with storage_program(base, *options, command=command) as program:
            yield Patient(program, script, base / "out")


@pytest.fixture(scope="module")
def patients(
    faultio: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Patient]]:
    """A receiver for each mode."""
    with contextlib.ExitStack() as stack:
        found = {
            mode: stack.enter_context(
                patient_for(mode, faultio, tmp_path_factory.mktemp("faults"))
            )
            for mode in (*MODES, DONTCACHE, DIRECT, FULL, GROUP, VERBOSE)
        }
        yield found
    served_s = [taken_s for patient in found.values() for taken_s in patient.served_s]
    print(
        f"\n{len(served_s)} senders were served after a fault, the slowest within "
        f"{1000 * max(served_s, default=0):.0f} ms"
    )


@pytest.fixture
def patient(request: pytest.FixtureRequest, patients: dict[str, Patient]) -> Patient:
    """The receiver for one mode."""
    return patients[request.param]


def sweep(
    patient: Patient, call: Call, os_errno: int, *, lasting: bool
) -> Iterator[dict[str, int]]:
    """Do the work with the fault at the first call, the second, ... until it has none.

    Yields:
        The statuses of each round that was hit.
    """
    for nth in range(1, CALLS_AT_MOST):
        patient.begin()
        patient.script.fail(call, nth, os_errno, lasting=lasting)
        statuses = patient.work()
        hits = patient.script.hits
        patient.script.clear()
        if hits == 0:
            assert nth > 1, f"{call.name} is never called"
            assert statuses == ALL_WELL
            return
        patient.serve_the_next_sender()
        yield statuses
    raise AssertionError(f"{call.name} is called without end")


def assert_sacred(patient: Patient, statuses: dict[str, int]) -> None:
    """What was answered with Success is whole, what was refused left no trace."""
    wait_until(
        lambda: not any(name.startswith(".") for name in patient.files()),
        "temporary files to go",
    )
    files = patient.files()
    for uid, item in WORK.items():
        found = files.pop(uid, None)
        if uid not in statuses:  # the answer got lost: before or after storing
            assert found in (item.data_set, item.before)
        elif statuses[uid] == SUCCESS:
            assert found == item.data_set
        else:
            assert found == item.before
    assert files == {}


@cases(HARMLESS)
def test_interrupted_and_short_calls_are_repeated(
    patient: Patient, call: Call, os_errno: int
) -> None:
    """EINTR, EAGAIN and short counts change nothing, nor does a log that fails."""
    for statuses in sweep(patient, call, os_errno, lasting=False):
        assert statuses == ALL_WELL
        assert_sacred(patient, statuses)


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
@cases(DISK)
def test_disk_faults_refuse_the_object_only(
    patient: Patient, call: Call, os_errno: int, lasting: bool
) -> None:
    """A700H for what is hit, Success for the others, nothing partial."""
    refused = 0
    for statuses in sweep(patient, call, os_errno, lasting=lasting):
        assert set(statuses) == set(WORK)
        assert set(statuses.values()) <= {SUCCESS, OUT_OF_RESOURCES}
        assert_sacred(patient, statuses)
        refused += OUT_OF_RESOURCES in statuses.values()
    assert refused > 0


@cases(CONNECTION)
def test_connection_faults_never_break_a_promise(
    patient: Patient, call: Call, os_errno: int
) -> None:
    """The association may be lost; the receiver and its files are not."""
    for statuses in sweep(patient, call, os_errno, lasting=False):
        assert_sacred(patient, statuses)


@pytest.mark.parametrize(
    ("patient", "call"),
    [(FULL, Call.FSYNC), (GROUP, Call.SYNCFS)],
    indirect=["patient"],
)
@pytest.mark.parametrize("os_errno", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
def test_name_that_may_not_be_on_disk_is_not_acknowledged(
    patient: Patient, call: Call, os_errno: int, lasting: bool
) -> None:
    """The file has its name then, and is whole; its sender will come again."""
    refused = 0
    for statuses in sweep(patient, call, os_errno, lasting=lasting):
        assert set(statuses) == set(WORK)
        refused += OUT_OF_RESOURCES in statuses.values()
        assert patient.files() == {uid: item.data_set for uid, item in WORK.items()}
    assert refused > 0


@pytest.mark.parametrize("patient", MODES, indirect=True)
@pytest.mark.parametrize("call", [Call.START_WRITE_BACK, Call.WRITE_BACK, Call.SYNCFS])
def test_nothing_is_forced_to_the_disk_by_default(patient: Patient, call: Call) -> None:
    """`--durability close`: the system writes when it likes."""
    patient.begin()
    patient.script.fail(call, 1, errno.EIO, lasting=True)
    assert patient.work() == ALL_WELL
    assert patient.script.hits == 0


@pytest.mark.parametrize("patient", MODES, indirect=True)
@pytest.mark.parametrize("space", [0, 1, 300, 4_096, 100_000, 1_100_000, 1_200_300])
def test_full_disk_at_any_point_refuses_and_recovers(
    patient: Patient, space: int
) -> None:
    """ENOSPC after so many bytes, then room again."""
    patient.begin()
    patient.script.limit_space(space)
    statuses = patient.work()
    patient.script.clear()
    assert set(statuses) == set(WORK)
    assert OUT_OF_RESOURCES in statuses.values()
    assert_sacred(patient, statuses)
    assert patient.work() == ALL_WELL
    assert_sacred(patient, ALL_WELL)


@pytest.mark.parametrize("patient", MODES, indirect=True)
def test_temporary_file_that_cannot_be_removed_stays_hidden(patient: Patient) -> None:
    """A fault after the fault: what is visible is as it was all the same."""
    patient.begin()
    patient.script.fail(Call.UNLINKAT, 1, errno.EIO, lasting=True, space=100)
    statuses = patient.work()
    assert patient.script.hits > 1
    patient.script.clear()
    assert set(statuses.values()) == {OUT_OF_RESOURCES}
    files = files_below(patient.output)
    visible = [name for name in files if not Path(name).name.startswith(".")]
    assert [Path(name).name for name in visible] == [f"CT.{SMALL_UID}"]
    assert parse_part10(files[visible[0]]).data_set == OLD
    assert patient.work() == ALL_WELL


@pytest.mark.parametrize("patient", MODES, indirect=True)
def test_every_read_of_one_byte(patient: Patient) -> None:
    """The slowest network there is changes nothing."""
    patient.begin()
    patient.script.fail(Call.RECVV, 1, SHORT, lasting=True)
    assert patient.store({SMALL_UID: SMALL}) == {SMALL_UID: SUCCESS}
    patient.script.clear()
    assert patient.files() == {SMALL_UID: SMALL}


@pytest.mark.parametrize("patient", MODES, indirect=True)
def test_directory_that_cannot_be_made_again_refuses(patient: Patient) -> None:
    """The output directory has vanished and mkdir fails; then it works again."""
    patient.begin()
    shutil.rmtree(patient.output)
    patient.script.fail(Call.MKDIRAT, 1, errno.ENOSPC, lasting=True)
    assert set(patient.work().values()) == {OUT_OF_RESOURCES}
    patient.script.clear()
    assert not patient.output.exists()
    assert patient.work() == ALL_WELL
    assert_sacred(patient, ALL_WELL)


@pytest.mark.parametrize("patient", MODES, indirect=True)
def test_file_system_that_cannot_rename_without_replacing(patient: Patient) -> None:
    """NFS answers EINVAL to RENAME_NOREPLACE; the file gets its name by a link."""
    patient.begin()
    patient.script.fail(Call.RENAMEAT, 1, errno.EINVAL)
    assert patient.work() == ALL_WELL
    assert patient.script.hits == 1
    patient.script.clear()
    assert_sacred(patient, ALL_WELL)


@pytest.mark.parametrize("patient", [BY_DATE], indirect=True)
@pytest.mark.parametrize("os_errno", [errno.EMFILE, errno.EIO])
def test_directory_that_cannot_be_entered_refuses(
    patient: Patient, os_errno: int
) -> None:
    """Once: a temporary file that cannot be removed then goes with the next object."""
    refused = 0
    for statuses in sweep(patient, Call.OPEN_BENEATH, os_errno, lasting=False):
        assert set(statuses) == set(WORK)
        visible = {n: c for n, c in patient.files().items() if not n.startswith(".")}
        for uid, item in WORK.items():
            stored = statuses[uid] == SUCCESS
            assert visible.get(uid) == (item.data_set if stored else item.before)
        assert patient.store({SMALL_UID: SMALL}) == {SMALL_UID: SUCCESS}
        assert not any(name.startswith(".") for name in patient.files())
        refused += OUT_OF_RESOURCES in statuses.values()
    assert refused > 0


@pytest.mark.parametrize("os_errno", [errno.ENOSYS, errno.EPERM])
def test_older_kernel_enters_directories_step_by_step(
    faultio: Path, tmp_path: Path, os_errno: int
) -> None:
    """No openat2(2); a planted link is not followed all the same."""
    with patient_for(BY_DATE, faultio, tmp_path) as patient:
        patient.begin()
        patient.script.fail(Call.OPEN_BENEATH, 1, os_errno, lasting=True)
        assert patient.work() == ALL_WELL
        assert patient.script.hits == 1
        assert_sacred(patient, ALL_WELL)
        outside = (patient.output / "data").rename(tmp_path / "outside")
        (patient.output / "data").symlink_to(outside)
        before = files_below(outside)
        assert set(patient.work().values()) == {OUT_OF_RESOURCES}
        assert files_below(outside) == before


@pytest.mark.parametrize("mode", [NORMAL, BIT_PRESERVING])
def test_object_that_is_there_is_verified_without_a_write(
    faultio: Path, tmp_path: Path, mode: str
) -> None:
    """Success although nothing can be written; any difference shows that."""
    verify = f"{mode} --on-duplicate verify"
    work = {"1.2.10": WORK["1.2.10"].data_set, SMALL_UID: SMALL}
    other = {"1.2.10": work["1.2.10"][:-1] + b"\x99"}
    with patient_for(verify, faultio, tmp_path) as patient:
        assert set(patient.store(work).values()) == {SUCCESS}
        patient.script.fail(Call.PWRITE, 1, errno.EIO, lasting=True)
        assert set(patient.store(work).values()) == {SUCCESS}
        assert patient.script.hits == 0
        assert set(patient.store(other).values()) == {OUT_OF_RESOURCES}
        patient.script.clear()
        assert patient.files() == work


@pytest.mark.parametrize(
    ("mode", "refused", "os_errno", "sign"),
    [
        (DONTCACHE, Call.PWRITE_DONTCACHE, errno.EOPNOTSUPP, Call.PWRITE_DONTCACHE),
        (DONTCACHE, Call.PWRITE_DONTCACHE, errno.ENOSYS, Call.PWRITE_DONTCACHE),
        (GROUP, Call.PWRITE_DONTCACHE, errno.EOPNOTSUPP, Call.PWRITE_DONTCACHE),
        (DIRECT, Call.SET_DIRECT, errno.EINVAL, Call.SET_DIRECT),
        (DIRECT, Call.PWRITE, errno.EINVAL, Call.SET_DIRECT),
    ],
)
def test_way_of_writing_that_is_refused_is_not_tried_again(
    faultio: Path, tmp_path: Path, mode: str, refused: Call, os_errno: int, sign: Call
) -> None:
    """The object is stored all the same, the next one without a detour.

    `sign` is the call without which nothing is written in the way that was refused.
    """
    with patient_for(mode, faultio, tmp_path) as patient:
        patient.begin()
        patient.script.fail(refused, 1, os_errno)
        assert patient.work() == ALL_WELL
        assert patient.script.hits == 1
        assert_sacred(patient, ALL_WELL)
        patient.begin()
        patient.script.fail(sign, 1, errno.EIO, lasting=True)
        assert patient.work() == ALL_WELL
        assert patient.script.hits == 0
        assert_sacred(patient, ALL_WELL)
