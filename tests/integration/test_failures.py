"""Success is sacred: whatever fails, nobody is told that a lost object is stored.

After a failed store there is no file under a final name, an older copy is as it was, no
temporary file is left, and the status is not Success. DECISIONS.md, rows 2 to 5.
"""

import contextlib
import os
import random
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.builders.command import (
    CANNOT_UNDERSTAND,
    OUT_OF_RESOURCES,
    SUCCESS,
    Response,
    c_store_rq,
)
from tests.builders.conversations import CONTEXTS, DIFFERENT, SAME
from tests.builders.data_set import object_of
from tests.builders.part10 import parse_part10
from tests.builders.pdu import abort, associate_rq, message, release_rq
from tests.builders.resend import NAME, NEW, OLD, UID, WHOLE
from tests.peers.disks import small_disk, with_file_size_limit, without_privileges
from tests.peers.program import (
    Program,
    data_sets_below,
    files_below,
    storage_program,
)
from tests.peers.scu import PeerGone, RawScu, store_alone
from tests.peers.unfinished import all_but_the_last_byte
from tests.peers.waiting import wait_until

MODES = ("--normal", "--bit-preserving")


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """Each storage mode that stores."""
    return str(request.param)


@pytest.fixture
def receiver(tmp_path: Path, mode: str) -> Iterator[Program]:
    """A receiver into `tmp_path / "out"`."""
    with storage_program(tmp_path, mode) as program:
        yield program


def assert_refused(response: Response, status: int = OUT_OF_RESOURCES) -> None:
    """A failure status, and an Error Comment that a sender can show. PS3.7 Annex C."""
    assert response.status == status
    assert 0 < len(response.error_comment) <= 64


def assert_serves(port: int, out: Path) -> None:
    """The receiver stores another object now."""
    data_set = object_of("1.9.9")
    assert store_alone(port, data_set, "1.9.9").status == SUCCESS
    assert data_sets_below(out).pop("CT.1.9.9") == data_set


def cut_inside_a_pdv(scu: RawScu) -> None:
    """Half of the object, the end of the stream in the middle of a PDV."""
    scu.send(WHOLE[: len(WHOLE) // 2])
    scu.close()


def reset_inside_a_pdv(scu: RawScu) -> None:
    """Half of the object, then a RST."""
    scu.send(WHOLE[: len(WHOLE) // 2])
    scu.reset()


def cut_after_the_command(scu: RawScu) -> None:
    """The command set alone."""
    scu.send(message(1, c_store_rq(UID)))
    scu.close()


def cut_before_the_last_byte(scu: RawScu) -> None:
    """All but one byte."""
    scu.send(WHOLE[:-1])
    scu.close()


def abort_before_the_last_pdu(scu: RawScu) -> None:
    """An A-ABORT between two PDUs of the data set."""
    last_pdu = WHOLE.rindex(b"\x04\x00\x00\x00")
    scu.send(WHOLE[:last_pdu] + abort())
    scu.close()


def release_before_the_last_pdu(scu: RawScu) -> None:
    """An A-RELEASE-RQ between two PDUs of the data set; spec 6.5."""
    last_pdu = WHOLE.rindex(b"\x04\x00\x00\x00")
    scu.send(WHOLE[:last_pdu] + release_rq())
    assert scu.ending() == "release"


def garbage_within_the_data_set(scu: RawScu) -> None:
    """A PDU of an unknown type where the data set goes on."""
    scu.send(WHOLE[: WHOLE.rindex(b"\x04\x00\x00\x00")] + b"\x55" * 1_000)
    assert scu.ending() == "abort 2,1"


LOSSES = (
    cut_inside_a_pdv,
    reset_inside_a_pdv,
    cut_after_the_command,
    cut_before_the_last_byte,
    abort_before_the_last_pdu,
    release_before_the_last_pdu,
    garbage_within_the_data_set,
)


@pytest.mark.parametrize("lose", LOSSES, ids=lambda f: f.__name__)
def test_a_lost_sender_leaves_nothing(
    receiver: Program, tmp_path: Path, lose: Callable[[RawScu], None]
) -> None:
    """No trace of an object that did not come whole; the older copy stays."""
    out = tmp_path / "out"
    assert store_alone(receiver.port, OLD, UID).status == SUCCESS
    with RawScu(receiver.port) as scu:
        scu.associate()
        lose(scu)
    receiver.wait_for_log("Unable to receive C-STORE dataset")
    wait_until(lambda: len(files_below(out)) == 1, "the unfinished file to go")
    assert data_sets_below(out) == {NAME: OLD}
    assert_serves(receiver.port, out)


def test_nothing_is_visible_before_it_is_whole(
    receiver: Program, tmp_path: Path
) -> None:
    """While an object arrives, readers see the older copy or no file at all."""
    out = tmp_path / "out"
    store_alone(receiver.port, OLD, UID)
    with all_but_the_last_byte(receiver.port, out) as scu:
        visible = [path.name for path in out.iterdir() if path.name[0] != "."]
        assert visible == [NAME]
        assert parse_part10((out / NAME).read_bytes()).data_set == OLD
        scu.send(WHOLE[-1:])
        assert scu.read_response().status == SUCCESS
        assert data_sets_below(out) == {NAME: NEW}
        scu.release()


def test_broken_data_set_is_refused_and_the_association_goes_on(
    tmp_path: Path,
) -> None:
    """DECISIONS row 4: C000H with an Error Comment in normal mode."""
    out = tmp_path / "out"
    with storage_program(tmp_path, "--normal") as program, RawScu(program.port) as scu:
        scu.associate()
        assert scu.store(OLD, UID).status == SUCCESS
        for broken in (NEW[:-1_000], NEW[:-1], b"\xff" * 4_000, OLD[4:]):
            assert_refused(scu.store(broken, UID), CANNOT_UNDERSTAND)
            assert data_sets_below(out) == {NAME: OLD}
        assert scu.store(NEW, UID).status == SUCCESS
        assert data_sets_below(out) == {NAME: NEW}
        scu.release()


def test_full_disk_is_refused_until_there_is_room(tmp_path: Path, mode: str) -> None:
    """A700H, the association goes on, and it works again when the disk does."""
    with small_disk(tmp_path / "out") as disk:
        program = storage_program(tmp_path, mode)
        program.before_exec = disk.before_exec
        fitting = object_of(UID, pixel_bytes=disk.size // 4)
        with program, RawScu(program.port) as scu:
            scu.associate()
            assert scu.store(fitting, UID).status == SUCCESS
            for _ in range(3):
                assert_refused(scu.store(NEW, UID))
                assert data_sets_below(disk.directory) == {NAME: fitting}
            (disk.directory / NAME).unlink()
            assert scu.store(fitting, UID).status == SUCCESS
            assert data_sets_below(disk.directory) == {NAME: fitting}
            scu.release()


def test_many_small_objects_on_a_disk_that_fills_up(tmp_path: Path, mode: str) -> None:
    """Each Success is a whole file, also when the last pages are fought for.

    The original says Success for files of 0 bytes here (DECISIONS row 2).
    """
    with small_disk(tmp_path / "out") as disk:
        program = storage_program(tmp_path, mode)
        program.before_exec = disk.before_exec
        kept = {}
        with program, RawScu(program.port) as scu:
            scu.associate()
            for number in range(1, 301):
                uid = f"1.2.{number}"
                data_set = object_of(uid, pixel_bytes=6_000)
                response = scu.store(data_set, uid)
                if response.status == SUCCESS:
                    kept[f"CT.{uid}"] = data_set
                else:
                    assert_refused(response)
            scu.release()
        assert len(kept) > 50
        assert data_sets_below(disk.directory) == kept


def test_file_size_limit_is_refused(tmp_path: Path, mode: str) -> None:
    """EFBIG instead of ENOSPC, within an object of many windows."""
    program = storage_program(tmp_path, mode)
    program.before_exec = with_file_size_limit(1_500_000)
    with program, RawScu(program.port) as scu:
        scu.associate()
        assert scu.store(OLD, UID).status == SUCCESS
        assert_refused(scu.store(NEW, UID))
        assert data_sets_below(tmp_path / "out") == {NAME: OLD}
        assert scu.echo().status == SUCCESS
        scu.release()


def test_read_only_directory_is_refused_until_it_is_writable(
    tmp_path: Path, mode: str
) -> None:
    """EACCES when the file is made."""
    out = tmp_path / "out"
    program = storage_program(tmp_path, mode)
    program.before_exec = without_privileges
    with program, RawScu(program.port) as scu:
        scu.associate()
        assert scu.store(OLD, UID).status == SUCCESS
        out.chmod(0o555)
        assert_refused(scu.store(NEW, UID))
        assert_refused(scu.store(object_of("1.7"), "1.7"))
        assert data_sets_below(out) == {NAME: OLD}
        out.chmod(0o755)
        assert scu.store(NEW, UID).status == SUCCESS
        assert data_sets_below(out) == {NAME: NEW}
        scu.release()


def test_vanished_directory_is_made_again(receiver: Program, tmp_path: Path) -> None:
    """Spec 7.3, within one association and for the next one."""
    out = tmp_path / "out"
    with RawScu(receiver.port) as scu:
        scu.associate()
        assert scu.store(OLD, UID).status == SUCCESS
        shutil.rmtree(out)
        assert scu.store(NEW, UID).status == SUCCESS
        assert data_sets_below(out) == {NAME: NEW}
        scu.release()
    shutil.rmtree(out)
    assert_serves(receiver.port, out)


@pytest.mark.parametrize("in_the_way", [False, True], ids=["missing", "a file"])
def test_workers_start_while_the_directory_is_missing(
    receiver: Program, tmp_path: Path, in_the_way: bool
) -> None:
    """More associations than spare workers: new ones start, the service goes on."""
    out = tmp_path / "out"
    with contextlib.ExitStack() as stack:
        shutil.rmtree(out)
        if in_the_way:
            out.write_bytes(b"in the way")
        scus = [stack.enter_context(RawScu(receiver.port)) for _ in range(8)]
        for scu in scus:
            scu.associate()
        if in_the_way:
            for scu in scus:
                assert_refused(scu.store(OLD, UID))
            out.unlink()
        for number, scu in enumerate(scus):
            assert scu.store(OLD, f"1.2.{number}").status == SUCCESS
            scu.release()
    assert data_sets_below(out) == {f"CT.1.2.{number}": OLD for number in range(8)}


def test_file_in_the_place_of_the_directory_is_refused(
    receiver: Program, tmp_path: Path
) -> None:
    """The directory cannot be made again; it works when the file has gone."""
    out = tmp_path / "out"
    with RawScu(receiver.port) as scu:
        scu.associate()
        shutil.rmtree(out)
        out.write_bytes(b"in the way")
        assert_refused(scu.store(NEW, UID))
        assert out.read_bytes() == b"in the way"
        out.unlink()
        assert scu.store(NEW, UID).status == SUCCESS
        assert data_sets_below(out) == {NAME: NEW}
        scu.release()


def test_directory_under_the_final_name_is_refused(
    receiver: Program, tmp_path: Path
) -> None:
    """Spec 7.4: A700H, "Is a directory"."""
    out = tmp_path / "out"
    (out / NAME).mkdir()
    with RawScu(receiver.port) as scu:
        scu.associate()
        response = scu.store(NEW, UID)
        assert_refused(response)
        assert "directory" in response.error_comment
        assert files_below(out) == {}
        assert scu.echo().status == SUCCESS
        scu.release()


def test_file_in_the_place_of_a_subdirectory_is_refused(tmp_path: Path) -> None:
    """`data/` of +ssd cannot be made."""
    out = tmp_path / "out"
    with storage_program(tmp_path, "+ssd") as program, RawScu(program.port) as scu:
        scu.associate()
        (out / "data").write_bytes(b"in the way")
        data_set = object_of(UID, series_date="20200102")
        assert_refused(scu.store(data_set, UID))
        assert files_below(out) == {"data": b"in the way"}
        (out / "data").unlink()
        assert scu.store(data_set, UID).status == SUCCESS
        assert data_sets_below(out) == {f"data/2020/01/02/{NAME}": data_set}
        scu.release()


def test_symbolic_link_under_the_final_name_is_replaced_not_followed(
    receiver: Program, tmp_path: Path
) -> None:
    """What the link points to is not ours to write."""
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    elsewhere.write_bytes(b"untouched")
    (out / NAME).symlink_to(elsewhere)
    assert store_alone(receiver.port, NEW, UID).status == SUCCESS
    assert elsewhere.read_bytes() == b"untouched"
    assert not (out / NAME).is_symlink()
    assert data_sets_below(out) == {NAME: NEW}


def test_senders_of_one_uid_never_see_a_mixture(
    receiver: Program, tmp_path: Path
) -> None:
    """Eight associations replace the same object again and again."""
    versions = [object_of(UID, pixel_bytes=200_000 + 2 * n) for n in range(8)]
    statuses: list[int] = []

    def resend(data_set: bytes) -> None:
        with RawScu(receiver.port) as scu:
            scu.associate()
            for _ in range(5):
                try:
                    statuses.append(scu.store(data_set, UID).status)
                except PeerGone:
                    statuses.append(-1)
            scu.release()

    threads = [threading.Thread(target=resend, args=(v,)) for v in versions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert statuses == [SUCCESS] * 40
    files = data_sets_below(tmp_path / "out")
    assert list(files) == [NAME]
    assert files[NAME] in versions


def mutated(wire: bytes, chance: random.Random) -> bytes:
    """The bytes with one to four changes: flipped, cut out, doubled, overwritten."""
    data = bytearray(wire)
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(data))
        size = chance.choice((1, 2, 4, 30))
        kind = chance.randrange(4)
        if kind == 0:
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del data[at : at + size]
        elif kind == 2:
            data[at:at] = data[at : at + size]
        else:
            data[at : at + size] = chance.choice((b"\0", b"\xff")) * size
    return bytes(data)


def test_mutated_conversations_hurt_nobody(receiver: Program, tmp_path: Path) -> None:
    """Six hundred conversations with errors in them: no worker dies of one."""
    chance = random.Random(600)
    wires = [
        associate_rq(CONTEXTS) + conversation.wire
        for conversation in (*SAME.values(), *DIFFERENT.values())
        if len(conversation.wire) < 4_000
    ]
    for _ in range(600):
        with RawScu(receiver.port) as scu, contextlib.suppress(PeerGone, OSError):
            scu.send(mutated(chance.choice(wires), chance))
            scu.finish_sending()
            assert scu.is_closed()
    for fault in ("internal error", "unexpectedly", "Traceback"):
        assert fault not in receiver.log()
    out = tmp_path / "out"
    wait_until(
        lambda: not any(path.name.startswith(".dcmrecv") for path in out.iterdir()),
        "temporary files to go",
    )
    for content in files_below(out).values():
        assert parse_part10(content).preamble == bytes(128)
    assert_serves(receiver.port, out)


def descriptor_counts(receiver: Program) -> dict[int, int]:
    """Open descriptors of each of the receiver's processes, by process id."""
    return {pid: len(os.listdir(f"/proc/{pid}/fd")) for pid in receiver.processes()}


def test_no_descriptor_is_leaked(tmp_path: Path) -> None:
    """Hundreds of associations, most of which end badly, and none leaves one."""
    names = ("store", "abort within a data set", "C-FIND", "UID of 65", "release")
    options = ("--max-associations", "1", "--queue-associations")
    with storage_program(tmp_path, *options) as program:
        counts = []
        for _ in range(2):
            for name in names * 60:
                with RawScu(program.port) as scu, contextlib.suppress(PeerGone):
                    scu.associate(CONTEXTS)
                    scu.send(SAME[name].wire)
                    scu.transcript()
            # The next association tells that the worker has done with the last one.
            with RawScu(program.port) as scu:
                scu.associate(CONTEXTS)
                counts.append(descriptor_counts(program))
                scu.release()
    assert counts[1] == counts[0]
