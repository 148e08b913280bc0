"""What is measured: the works, their contenders and the targets.

Never starts anything. MB are 10**6 bytes, KiB and MiB powers of two.
"""

from dataclasses import dataclass, replace

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

PROFILE = "-xf /etc/dcmtk/storescp.cfg Default"
STORESCP = f"/usr/bin/storescp {PROFILE} +B --fork"
ORIGINAL = f"/usr/bin/dcmrecv {PROFILE} -od {{directory}} -pdu {{pdu}}"
OURS = f"{{python}} -m dcmrecv {PROFILE} -od {{directory}} -pdu {{pdu}}"
YARDSTICK = "{yardstick} --directory {directory} --max-pdu {pdu} --workers {workers}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A receiver in one mode.

    Attributes:
        command: arguments separated by blanks, with places for directory, port, pdu,
            workers, and the programs yardstick and python. The port comes last.
        environment: variables to set; without one nothing is changed.
        stores: files are to be found afterwards.
        rewrites: they hold data sets as normal mode writes them.
        forks: processes come and go while it works, so memory has to be sampled.
        slow: waits 44 ms an object; takes part once, with Work.slow_objects.
        original: the contender that ratios are taken against.
        yardstick: the same for the floor.
    """

    name: str
    command: str
    environment: tuple[tuple[str, str], ...] = ()
    stores: bool = True
    rewrites: bool = False
    forks: bool = False
    slow: bool = False
    original: str = "original"
    yardstick: str = "yardstick"


# Without TCP_NODELAY=1 the original is held up by Nagle's algorithm and delayed
# acknowledgements, whatever else is measured; it is set wherever that is not the point.
NODELAY = (("TCP_NODELAY", "1"),)

CONTENDERS = {
    contender.name: contender
    for contender in (
        Contender(
            name="original", command=ORIGINAL, environment=NODELAY, rewrites=True
        ),
        Contender(
            name="original+B",
            command=f"{ORIGINAL} +B",
            environment=NODELAY,
            original="original+B",
        ),
        Contender(
            name="original-ignore",
            command=f"{ORIGINAL} --ignore",
            environment=NODELAY,
            stores=False,
            original="original-ignore",
            yardstick="yardstick-discard",
        ),
        Contender(name="original-stock", command=ORIGINAL, rewrites=True, slow=True),
        Contender(
            name="storescp+B-fork",
            command=f"{STORESCP} -od {{directory}} -pdu {{pdu}}",
            environment=NODELAY,
            forks=True,
            original="original+B",
        ),
        Contender(name="yardstick", command=YARDSTICK, original="original+B"),
        Contender(
            name="yardstick-discard",
            command=f"{YARDSTICK} --discard",
            stores=False,
            original="original-ignore",
            yardstick="yardstick-discard",
        ),
        Contender(name="ours", command=OURS, rewrites=True),
        Contender(name="ours+B", command=f"{OURS} +B", original="original+B"),
        Contender(name="ours+B-v", command=f"{OURS} +B -v", original="original+B"),
        Contender(
            name="ours-ignore",
            command=f"{OURS} --ignore",
            stores=False,
            original="original-ignore",
            yardstick="yardstick-discard",
        ),
        Contender(
            name="ours-no-parse",
            command=f"{OURS} --ignore --no-parse",
            stores=False,
            original="original-ignore",
            yardstick="yardstick-discard",
        ),
    )
}

NORMAL = ("original", "yardstick", "ours")
BIT_PRESERVING = ("original+B", "yardstick", "ours+B")
IGNORE = ("original-ignore", "yardstick-discard", "ours-ignore")


@dataclass(frozen=True, slots=True)
class Target:
    """A bound on a figure of a contender, in parts of the same figure of another."""

    contender: str
    figure: str  # of Run
    reference: str
    at_most: float
    memory: str | None = None  # the state for which it holds; None: warm and cold


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One shape of load.

    Attributes:
        objects: messages of each association process.
        size: bytes of Pixel Data; 0 with `echo`. Of a `data_set` about all its bytes.
        data_set: what an object holds, of DATA_SETS; by default a CT image.
        pdu: announced by the receiver and used by the sender.
        associations: at the same time, a sender process each.
        per_association: a new association after so many messages; 0: never.
        delay_ms: from the sender to the receiver, and as long back.
        window: messages that may be under way, when the receiver agrees.
        dcmsend: DCMTK's sender with its defaults, instead of ours.
        repetitions: at most so many.
        slow_objects: instead of `objects` for a slow contender, but not with dcmsend.
        counts_calls: the system calls of an object are counted, too, with strace.
        flushed: at the end all is written to the disk, and that is timed by itself.
        original: overrides Contender.original.
    """

    name: str
    title: str
    objects: int
    size: int
    contenders: tuple[str, ...]
    data_set: str | None = None
    pdu: int = 16 * KIB
    associations: int = 1
    per_association: int = 0
    echo: bool = False
    delay_ms: int = 0
    window: int = 1
    dcmsend: bool = False
    repetitions: int = 100
    slow_objects: int = 50
    deadline_s: int = 120
    counts_calls: bool = False
    flushed: bool = False
    original: str | None = None
    targets: tuple[Target, ...] = ()

    def quick(self) -> "Work":
        """The same shape in a fraction of a second."""
        return replace(
            self,
            objects=min(self.objects, 12),
            size=min(self.size, 2 * MIB),
            associations=min(self.associations, 3),
            slow_objects=3,
            repetitions=1,
            deadline_s=30,
        )


def _merge(*groups: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in CONTENDERS if any(name in group for group in groups))


CPU, WALL = "cpu_us_per_object", "wall_us_per_object"
STORING = _merge(NORMAL, BIT_PRESERVING)
EVERY_MODE = _merge(NORMAL, BIT_PRESERVING, IGNORE)
LIKE_BIT_PRESERVING = Target("ours", CPU, "ours+B", 1.10)
FIFTH_OF_NORMAL = Target("ours", CPU, "original", 0.20)
OF_YARDSTICK = Target("ours+B", CPU, "yardstick", 1.15, "warm")
COLD = (
    Target("ours+B", CPU, "original+B", 0.20, "cold"),
    Target("ours+B", WALL, "original+B", 0.30, "cold"),
    Target("ours+B", CPU, "yardstick", 1.25, "cold"),
)


def _shape(
    name: str,
    title: str,
    objects: int,
    size: int,
    target: Target,
    data_set: str | None = None,
) -> Work:
    """Normal mode against bit preserving mode, ours and the original's."""
    return Work(
        name=f"normal-{name}",
        title=f"{title}, 16 KiB PDUs",
        objects=objects,
        size=size,
        data_set=data_set,
        contenders=STORING,
        targets=(target,),
    )


WORKS = {
    work.name: work
    for work in (
        Work(
            name="ct-16k",
            title="512 KiB objects, 16 KiB PDUs",
            objects=600,
            size=512 * KIB,
            contenders=(*EVERY_MODE, "original-stock"),
            targets=(
                Target("ours+B", CPU, "original+B", 0.50, "warm"),
                Target("ours+B", WALL, "original+B", 0.65, "warm"),
                OF_YARDSTICK,
                *COLD,
            ),
        ),
        Work(
            name="ct-128k",
            title="512 KiB objects, 128 KiB PDUs",
            objects=600,
            size=512 * KIB,
            pdu=128 * KIB,
            contenders=EVERY_MODE,
            targets=(
                Target("ours+B", CPU, "original+B", 0.67, "warm"),
                OF_YARDSTICK,
                *COLD,
            ),
        ),
        Work(
            name="small",
            title="8 KiB objects",
            objects=2000,
            size=8 * KIB,
            counts_calls=True,
            contenders=(*_merge(EVERY_MODE, ("ours+B-v",)), "original-stock"),
            targets=(
                Target("ours+B", CPU, "original+B", 0.55),
                Target("ours", CPU, "original", 0.40),
                Target("ours+B", CPU, "yardstick", 1.30),
                Target("ours+B-v", CPU, "ours+B", 1.05),
            ),
        ),
        Work(
            name="single",
            title="one 64 KiB object an association",
            objects=500,
            size=64 * KIB,
            per_association=1,
            contenders=_merge(STORING, ("storescp+B-fork",)),
            targets=(Target("ours+B", CPU, "original+B", 0.90),),
        ),
        Work(
            name="echo",
            title="association and one C-ECHO",
            objects=1000,
            size=0,
            per_association=1,
            echo=True,
            contenders=NORMAL,
            targets=(Target("ours", CPU, "original", 1.00),),
        ),
        Work(
            name="parallel-8",
            title="8 associations at once, 512 KiB objects",
            objects=75,
            size=512 * KIB,
            associations=8,
            contenders=_merge(STORING, ("storescp+B-fork",)),
            targets=(
                Target("ours+B", WALL, "original+B", 0.45),
                Target("ours+B", WALL, "storescp+B-fork", 0.80),
            ),
        ),
        *(
            Work(
                name=f"parallel-{associations}",
                title=f"{associations} associations at once, 512 KiB objects",
                objects=600 // associations,
                size=512 * KIB,
                associations=associations,
                contenders=("yardstick", "ours+B"),
            )
            for associations in (1, 2, 4, 32)
        ),
        _shape("ct", "CT images of 512 KiB", 400, 512 * KIB, LIKE_BIT_PRESERVING),
        _shape(
            *("changed", "CT images whose head changes", 400, 512 * KIB),
            *(LIKE_BIT_PRESERVING, "changed image"),
        ),
        _shape(
            *("frames", "2,000 frames with functional groups", 60, 1640 * KIB),
            *(FIFTH_OF_NORMAL, "multi-frame"),
        ),
        _shape(
            *("structures", "RT structure sets of 19 MB", 6, 19 * MIB),
            *(FIFTH_OF_NORMAL, "structure set"),
        ),
        _shape(
            *("report", "structured reports of 8 KB", 1500, 8 * KIB),
            *(FIFTH_OF_NORMAL, "report"),
        ),
        *(
            Work(
                name=f"distant-{window}",
                title=f"64 KiB objects, 20 ms round trip, {window} under way",
                objects=200,
                size=64 * KIB,
                delay_ms=10,
                window=window,
                repetitions=3,
                contenders=("original+B", "ours+B"),
            )
            for window in (1, 16)
        ),
        Work(
            name="huge-256m",
            title="256 MiB objects",
            objects=2,
            size=256 * MIB,
            repetitions=5,
            contenders=STORING,
            targets=(
                Target("ours+B", CPU, "original+B", 0.55, "warm"),
                Target("ours+B", CPU, "original+B", 0.20, "cold"),
                OF_YARDSTICK,
                Target("ours", CPU, "original", 0.20),
            ),
        ),
        Work(
            name="huge-1g",
            title="one 1 GiB object",
            objects=1,
            size=1024 * MIB,
            repetitions=3,
            contenders=STORING,
        ),
        Work(
            name="ignore-16m",
            title="16 MiB objects on 2 associations, not stored",
            objects=32,
            size=16 * MIB,
            associations=2,
            contenders=(*IGNORE, "ours-no-parse"),
            targets=(
                Target("ours-no-parse", WALL, "original-ignore", 1 / 3),
                Target("ours-no-parse", CPU, "yardstick-discard", 1.15),
            ),
        ),
        Work(
            name="dcmsend",
            title="8 KiB objects from an unmodified dcmsend",
            objects=2000,
            size=8 * KIB,
            dcmsend=True,
            deadline_s=300,
            original="original-stock",
            contenders=("original-stock", "yardstick", "ours", "ours+B"),
            targets=(Target("ours", WALL, "original-stock", 1 / 20),),
        ),
    )
}
