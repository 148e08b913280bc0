"""`--on-duplicate` from the outside: many senders of one UID at the same moment."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.builders.command import SUCCESS
from tests.builders.data_set import object_of
from tests.peers.program import Program, data_sets_below, storage_program
from tests.peers.scu import RawScu
from tests.peers.waiting import wait_until

UID = "1.2.3"
NAME = f"CT.{UID}"
SENDERS = 16
DUPLICATE_SOP_INSTANCE = 0x0111

# One window, and several.
SIZES = (40_000, 1_500_000)


def in_parallel(work: Callable[[int], None]) -> None:
    """Run `work(0)`, `work(1)`, ... in a thread each, raise what one of them raised."""
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def send_at_once(program: Program, data_sets: list[bytes]) -> list[int]:
    """All senders store an object of one UID at the same moment; their statuses."""
    statuses = [-1] * SENDERS
    together = threading.Barrier(SENDERS)

    def send(number: int) -> None:
        with RawScu(program.port) as scu:
            scu.associate()
            together.wait(20)
            statuses[number] = scu.store(data_sets[number], UID).status
            scu.release()

    in_parallel(send)
    return statuses


@pytest.mark.parametrize("mode", ["--normal", "--bit-preserving"])
@pytest.mark.parametrize("pixel_bytes", SIZES)
@pytest.mark.parametrize("what", ["overwrite", "keep", "verify", "version", "reject"])
def test_senders_of_one_uid_leave_whole_objects_only(
    tmp_path: Path, mode: str, what: str, pixel_bytes: int
) -> None:
    """Four different objects, each sent four times at once."""
    kinds = [object_of(UID, pixel_bytes=pixel_bytes + 2 * n) for n in range(4)]
    with storage_program(tmp_path, mode, "--on-duplicate", what) as program:
        statuses = send_at_once(program, kinds * 4)
    found = data_sets_below(tmp_path / "out")
    assert set(found.values()) <= set(kinds)
    if what == "reject":
        assert sorted(statuses) == [SUCCESS] + [DUPLICATE_SOP_INSTANCE] * 15
    else:
        assert set(statuses) == {SUCCESS}
    if what == "verify":
        assert sorted(found.values()) == sorted(kinds)
        assert set(found) == {NAME, *(f"{NAME}_v{n}" for n in (2, 3, 4))}
    elif what == "version":
        assert sorted(found.values()) == sorted(kinds * 4)
        assert set(found) == {NAME, *(f"{NAME}_v{n}" for n in range(2, 17))}
    else:
        assert set(found) == {NAME}


def test_the_log_tells_what_became_of_a_duplicate(tmp_path: Path) -> None:
    """At the level of the original's own line about overwriting."""
    first, second = object_of(UID), object_of(UID, pixel_bytes=100)
    path = tmp_path / "out" / NAME
    with storage_program(tmp_path, "--on-duplicate", "verify") as program:
        with RawScu(program.port) as scu:
            scu.associate()
            for data_set in (first, first, second):
                assert scu.store(data_set, UID).status == SUCCESS
            scu.release()
        line = f"W: file already holds another object, stored beside it: {path}_v2"
        wait_until(lambda: line in program.log_lines(), line)
        assert "same object" not in program.log()


def test_a_refused_duplicate_says_why(tmp_path: Path) -> None:
    """PS3.7 section C.5.7; the association goes on."""
    with (
        storage_program(tmp_path, "--on-duplicate", "reject") as program,
        RawScu(program.port) as scu,
    ):
        scu.associate()
        assert scu.store(object_of(UID), UID).status == SUCCESS
        assert scu.store(object_of(UID), UID).status == DUPLICATE_SOP_INSTANCE
        assert scu.store(object_of("1.2.4"), "1.2.4").status == SUCCESS
        scu.release()
        program.wait_for_log(
            "answered with 0x0111 (Refused: DuplicateSOPInstance): "
            "SOP instance is stored already"
        )
