"""What a configuration accepts and why: the text of `--check-config`; pure.

Each line ends with the option that it comes from, or that would change it. Never reads
a file: what is in the files is given.
"""

from collections.abc import Iterator, Sequence

from dcmrecv.config.settings import AssociationProfile, Settings, StorageMode
from dcmrecv.config.uids import name_of

_COLUMN = 32

_MODES = {
    StorageMode.NORMAL: ("as DICOM files", "--normal"),
    StorageMode.BIT_PRESERVING: ("as DICOM files, byte for byte", "--bit-preserving"),
    StorageMode.IGNORE: ("not at all, answered with Success", "--ignore"),
}


def report(settings: Settings, profile: AssociationProfile, users: int | None) -> str:
    """The whole text.

    Args:
        settings: checked.
        profile: what `-xf` has loaded, or Verification only.
        users: how many the user file has; None without one.
    """
    lines = [
        "The configuration can be used. It accepts:",
        *_associations(settings, users),
        *_bounds(settings),
        *_contexts(settings, profile),
        *_storage(settings),
    ]
    return "\n".join([*lines, ""])


def _line(what: str, value: str, why: str) -> str:
    return f"  {what:<{_COLUMN}}{value}  ({why})"


def _listed(what: str, values: Sequence[str], every: str, option: str) -> str:
    if values:
        return _line(what, ", ".join(values), option)
    return _line(what, every, f"no {option}")


def _associations(settings: Settings, users: int | None) -> Iterator[str]:
    network, access, pool = settings.network, settings.access, settings.pool
    yield _listed("from addresses", access.hosts, "every address", "--accept-host")
    if access.proxies:
        shown = ", ".join(access.proxies)
        yield _line("  as told by the proxies", shown, "--proxy-protocol")
    title = () if network.ae_title is None else (network.ae_title,)
    option = "--accept-called" if access.called or not title else "--aetitle"
    if access.called and title:
        option += ", --aetitle"
    called = (*access.called, *title)
    yield _listed("to called AE titles", called, "every title", option)
    yield _listed(
        "from calling AE titles", access.calling, "every title", "--accept-calling"
    )
    if users is None:
        yield _line("from users", "everybody", "no --user-file")
    else:
        names = f"{users} of {access.user_file}, with their passcode"
        yield _line("from users", names, "--user-file")
    security = "TLS" if settings.tls is not None else "plain TCP"
    option = "--enable-tls" if settings.tls is not None else "no --enable-tls"
    yield _line("over", f"{security}, port {network.port}", option)
    for place in network.listen:
        security = "TLS" if place.secure else "plain TCP"
        where = "" if place.host is None else f" of {place.host}"
        yield _line("  and", f"{security}, port {place.port}{where}", "--listen")
    most = f"{pool.max_associations}"
    if pool.queue_associations:
        most += ", others wait"
    yield _line("associations at a time", most, "--max-associations")
    if access.max_per_host is None:
        yield _line("  of one host", "as many", "no --max-associations-per-host")
    else:
        most = str(access.max_per_host)
        yield _line("  of one host", most, "--max-associations-per-host")


def _bounds(settings: Settings) -> Iterator[str]:
    network, access = settings.network, settings.access
    odd = "refused" if access.strict else "read and counted"
    option = "--strict" if access.strict else "no --strict"
    yield _line("what is illegal but harmless", odd, option)
    yield _line("longest PDU announced", f"{network.max_pdu} bytes", "--max-pdu")
    waits = "any time" if network.dimse_timeout_s is None else ""
    waits = waits or f"{network.dimse_timeout_s} s"
    yield _line("silence inside", waits, "--dimse-timeout")
    yield _line("  before", f"{network.acse_timeout_s} s", "--acse-timeout")
    if access.min_rate is None:
        yield _line("pace of a message", "any", "no --min-rate")
    else:
        rate = f"{access.min_rate} bytes per second or more"
        yield _line("pace of a message", rate, "--min-rate")


def _contexts(settings: Settings, profile: AssociationProfile) -> Iterator[str]:
    network = settings.network
    if network.promiscuous:
        every = "every one, in every transfer syntax"
        yield _line("abstract syntaxes", every, "--promiscuous")
        if network.profile_source is None:
            return
    if network.profile_source is None:
        why = "no --config-file, no --promiscuous"
    else:
        file, name = network.profile_source
        why = f"--config-file {file} {name}"
    by_syntaxes: dict[tuple[str, ...], list[str]] = {}
    for context in profile.contexts:
        names = by_syntaxes.setdefault(context.transfer_syntaxes, [])
        names.append(context.abstract_syntax)
    for syntaxes, classes in by_syntaxes.items():
        yield _line("abstract syntaxes", str(len(classes)), why)
        yield from (f"    {_named(uid)}" for uid in classes)
        yield "  in transfer syntaxes, in this order"
        yield from (f"    {_named(uid)}" for uid in syntaxes)


def _storage(settings: Settings) -> Iterator[str]:
    storage = settings.storage
    how, option = _MODES[storage.mode]
    yield _line("objects are stored", how, option)
    if storage.mode is not StorageMode.IGNORE:
        where = storage.output_directory or "."
        yield _line("  in directory", where, "--output-directory")
        existing = storage.on_duplicate.value
        yield _line("  if the file exists", existing, "--on-duplicate")
        yield _line("  answered when safe by", storage.durability.value, "--durability")
        if storage.reserve is None:
            yield _line("  while the disk has", "any space", "no --reserve")
        else:
            yield _line("  while the disk has", str(storage.reserve), "--reserve")
    if storage.max_object_size is None:
        yield _line("  of a data set", "any length", "no --max-object-size")
    else:
        most = f"{storage.max_object_size} bytes at most"
        yield _line("  of a data set", most, "--max-object-size")


def _named(uid: str) -> str:
    name = name_of(uid)
    return uid if name is None else f"{uid} {name}"
