"""Senders as they are in the field: DCMTK's tools and pynetdicom.

Each runner returns when the sender is done and fails the test when it is not done in
time; whether it succeeded is for the caller to say.
"""

import subprocess
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import pynetdicom
from pydicom.uid import UID
from pynetdicom import AE
from pynetdicom.association import Association

from tests.builders.samples import Sample
from tests.peers.waiting import wait_until

DEADLINE_S = 60.0
ANSWER_S = 15.0

# The original's tools and ours wait 40 ms for each other without it.
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "TCP_NODELAY": "1"}


def run_tool(
    arguments: Sequence[str], deadline_s: float = DEADLINE_S
) -> subprocess.CompletedProcess[str]:
    """Run one of DCMTK's tools.

    Raises:
        subprocess.TimeoutExpired: still running at the deadline; it is killed.
    """
    return subprocess.run(
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=ENVIRONMENT,
        timeout=deadline_s,
        check=False,
        text=True,
        errors="replace",
    )


def echoscu(port: int, *options: str) -> subprocess.CompletedProcess[str]:
    """One C-ECHO by DCMTK's `echoscu`."""
    return run_tool(["/usr/bin/echoscu", *options, "127.0.0.1", str(port)])


def storescu(
    port: int, samples: Iterable[Sample], scratch: Path, *options: str
) -> subprocess.CompletedProcess[str]:
    """Send files by DCMTK's `storescu`, each in its own transfer syntax.

    `scratch` takes the configuration file that proposes exactly what is needed.
    """
    wanted = tuple(samples)
    configuration = scratch / "storescu.cfg"
    configuration.write_text(_proposal(wanted))
    return run_tool(
        [
            "/usr/bin/storescu",
            *("-xf", str(configuration), "Default", *options),
            *("127.0.0.1", str(port)),
            *(str(sample.path) for sample in wanted),
        ]
    )


def dcmsend(
    port: int, samples: Iterable[Sample], *options: str
) -> subprocess.CompletedProcess[str]:
    """Send files by DCMTK's `dcmsend`, each in its own transfer syntax."""
    return run_tool(
        [
            "/usr/bin/dcmsend",
            *("--decompress-never", "--no-uid-checks", *options),
            *("127.0.0.1", str(port)),
            *(str(sample.path) for sample in samples),
        ]
    )


def pynetdicom_send(port: int, samples: Iterable[Sample]) -> dict[str, int]:
    """Send files by pynetdicom over one association, their bytes as they are.

    Returns:
        SOP Instance UID to status, -1 when no answer came.

    Raises:
        ConnectionError: the association was not accepted, or aborted on the way.
    """
    wanted = tuple(samples)
    entity = AE(ae_title="PYNETDICOM")
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = ANSWER_S
    for sop_class_uid, syntax in sorted(_needed_contexts(wanted)):
        entity.add_requested_context(sop_class_uid, syntax)
    chunked = pynetdicom._config.STORE_SEND_CHUNKED_DATASET
    pynetdicom._config.STORE_SEND_CHUNKED_DATASET = True
    association = entity.associate("127.0.0.1", port)
    try:
        if not association.is_established:
            raise ConnectionError("pynetdicom's association was not accepted")
        statuses = {}
        for number, sample in enumerate(wanted, 1):
            if not association.is_established:
                raise ConnectionError(f"association lost after {number - 1} objects")
            _pause_reactor(association)
            answer = association.send_c_store(sample.path, msg_id=number)
            statuses[sample.sop_instance_uid] = answer.Status if answer else -1
        association.release()
    finally:
        association.abort()
        pynetdicom._config.STORE_SEND_CHUNKED_DATASET = chunked
    return statuses


def _pause_reactor(association: Association) -> None:
    """Keep pynetdicom's own thread from taking the answer away from the sender.

    `send_c_store()` pauses that thread, too, but may believe that it has when the
    thread is about to go on; an answer that comes at once is then lost.
    """
    checkpoint = association._reactor_checkpoint
    checkpoint.clear()
    wait_until(lambda: checkpoint._cond._waiters, "pynetdicom's thread to pause")


def _needed_contexts(samples: Iterable[Sample]) -> set[tuple[UID, UID]]:
    return {(UID(s.sop_class_uid), UID(s.transfer_syntax)) for s in samples}


def _proposal(samples: Sequence[Sample]) -> str:
    """A configuration of `storescu -xf`: one context per class and transfer syntax."""
    lists = defaultdict(list)
    for sop_class_uid, syntax in sorted(_needed_contexts(samples)):
        lists[syntax].append(sop_class_uid)
    lines = ["[[TransferSyntaxes]]"]
    for number, syntax in enumerate(lists):
        lines += [f"[T{number}]", f"TransferSyntax1 = {syntax}"]
    lines += ["[[PresentationContexts]]", "[All]"]
    pairs = [(uid, n) for n, uids in enumerate(lists.values()) for uid in uids]
    for number, (uid, syntax_number) in enumerate(pairs, 1):
        lines.append(f"PresentationContext{number} = {uid}\\T{syntax_number}")
    lines += ["[[Profiles]]", "[Default]", "PresentationContexts = All"]
    return "\n".join(lines) + "\n"
