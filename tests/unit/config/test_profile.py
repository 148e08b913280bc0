"""Association configuration files: config/profile.py. Spec section 4."""

from itertools import combinations
from pathlib import Path

import pytest

from dcmrecv.config import profile as profile_module
from dcmrecv.config.profile import (
    SHIPPED_FILES,
    Section,
    load_profile,
    parse_profiles,
    read_sections,
)
from dcmrecv.config.settings import AssociationProfile, ProfileContext, Role
from dcmrecv.config.uids import name_of, uid_of
from dcmrecv.errors import ConfigurationError, ExitCode
from dcmrecv.storage.sop_class import PREFIXES
from tests.builders import uids
from tests.builders.configuration import (
    CONFIGURATION,
    MALFORMED,
    OTHER_MEANING,
    SAME_MEANING,
    changed,
    context_list,
)

PLAIN = (uids.EXPLICIT_LE, uids.IMPLICIT_LE)
PACKED = (uids.JPEG_BASELINE, uids.RLE_LOSSLESS)
CONTEXTS = (
    ProfileContext(uids.VERIFICATION, PLAIN),
    ProfileContext(uids.CT_IMAGE, PACKED),
    ProfileContext(uids.MR_IMAGE, PACKED),
)
ROLES = {uids.CT_IMAGE: Role.SCU, uids.MR_IMAGE: Role.BOTH}
NEGOTIATION = {uids.CT_IMAGE: b"\x01\x02\xaf"}
DEFAULT = AssociationProfile(CONTEXTS, ROLES, NEGOTIATION)


def load(
    directory: Path, content: bytes, profile: str = "Default"
) -> AssociationProfile:
    path = directory / "a.cfg"
    path.write_bytes(content)
    return load_profile(str(path), profile)


def refusal(file: str, profile: str) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        load_profile(file, profile)
    assert caught.value.exit_code is ExitCode.ASSOCIATION_CONFIGURATION
    return caught.value


@pytest.mark.parametrize("content", SAME_MEANING.values(), ids=SAME_MEANING)
def test_spellings_that_mean_the_same(tmp_path: Path, content: bytes) -> None:
    """Spec section 4.1; tests/parity shows that the original agrees."""
    assert load(tmp_path, content) == DEFAULT


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("no roles", AssociationProfile(CONTEXTS, {}, NEGOTIATION)),
        ("no extended negotiation", AssociationProfile(CONTEXTS, ROLES)),
        ("optional supersections missing", AssociationProfile(CONTEXTS)),
        (
            "role SCP",
            AssociationProfile(
                CONTEXTS, {**ROLES, uids.CT_IMAGE: Role.SCP}, NEGOTIATION
            ),
        ),
        (
            "repeated transfer syntax",
            AssociationProfile(
                (
                    ProfileContext(uids.VERIFICATION, (*PLAIN, uids.EXPLICIT_LE)),
                    *CONTEXTS[1:],
                ),
                ROLES,
                NEGOTIATION,
            ),
        ),
        ("gap", AssociationProfile(CONTEXTS[:1])),
        (
            "indented comment ends a list",
            AssociationProfile(
                (
                    ProfileContext(uids.VERIFICATION, (uids.EXPLICIT_LE,)),
                    *CONTEXTS[1:],
                ),
                ROLES,
                NEGOTIATION,
            ),
        ),
        (
            "dots",
            AssociationProfile(
                (
                    CONTEXTS[0],
                    ProfileContext(uids.CT_IMAGE, ("...", uids.RLE_LOSSLESS)),
                    ProfileContext(uids.MR_IMAGE, ("...", uids.RLE_LOSSLESS)),
                ),
                ROLES,
                NEGOTIATION,
            ),
        ),
    ],
)
def test_entries_mean_what_they_say(
    tmp_path: Path, case: str, expected: AssociationProfile
) -> None:
    """Spec section 4.2."""
    assert load(tmp_path, OTHER_MEANING[case]) == expected


@pytest.mark.parametrize(("content", "text"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_file_is_refused_in_the_words_of_the_original(
    tmp_path: Path, content: bytes, text: str
) -> None:
    """Spec section 4.4: one line at level E, one at level F, exit code 66."""
    path = tmp_path / "a.cfg"
    path.write_bytes(content)
    error = refusal(str(path), "Default")
    assert str(error) == f"cannot load association configuration: {text}"
    assert error.details == (
        f"Unable to parse association configuration file: {path}: {text}",
    )


@pytest.mark.parametrize(
    "content", [content for content, _ in MALFORMED.values()], ids=MALFORMED
)
def test_error_is_found_whichever_profile_is_wanted(
    tmp_path: Path, content: bytes
) -> None:
    """The whole file is read before the profile is looked up."""
    path = tmp_path / "a.cfg"
    path.write_bytes(content)
    wanted = refusal(str(path), "Default")
    assert str(refusal(str(path), "EchoOnly")) == str(wanted)
    assert str(refusal(str(path), "")) == str(wanted)


@pytest.mark.parametrize(
    "profile", ["Default", "default", " De fault ", "DEFAULT\t\n\v\f\r"]
)
def test_case_and_blanks_of_the_profile_name_do_not_count(
    tmp_path: Path, profile: str
) -> None:
    """The manual page itself writes `storescp.cfg default`."""
    assert load(tmp_path, CONFIGURATION, profile) == DEFAULT


def test_another_profile_of_the_file_can_be_chosen(tmp_path: Path) -> None:
    """Only its own lists count then."""
    expected = AssociationProfile((ProfileContext(uids.VERIFICATION, PLAIN),))
    assert load(tmp_path, CONFIGURATION, "echoonly") == expected


@pytest.mark.parametrize("profile", ["nosuch", " ", "Def.ault", "Default\0", "É"])
def test_unknown_profile_is_refused(tmp_path: Path, profile: str) -> None:
    """A dot is dropped from the heading but not from the name that is asked for."""
    path = tmp_path / "a.cfg"
    path.write_bytes(changed(b"[Default]", b"[Def.ault]"))
    error = refusal(str(path), profile)
    assert str(error) == (
        "cannot load association configuration: "
        "Invalid or non-existing SCP Association Profile"
    )
    assert error.details == (
        f'No association profile named "{profile}" in association configuration, '
        "did you forget to add presentation contexts?",
    )


def test_repeated_abstract_syntax_makes_its_profile_unfit(tmp_path: Path) -> None:
    """An acceptor could not tell which of two lists to take."""
    path = tmp_path / "a.cfg"
    path.write_bytes(
        changed(b"= MRImageStorage\\P", b"= 1.2.840.10008.1.1\\P").replace(
            b"SCPSCURoleSelection = Roles\n", b""
        )
    )
    error = refusal(str(path), "de fault")
    assert str(error) == (
        "cannot load association configuration: "
        "Invalid or non-existing SCP Association Profile"
    )
    assert error.details == (
        'The association profile named "de fault" is not a valid SCP association '
        "profile",
    )
    assert len(load_profile(str(path), "EchoOnly").contexts) == 1


def test_empty_profile_name_is_refused(tmp_path: Path) -> None:
    """No line at level E in this case."""
    path = tmp_path / "a.cfg"
    path.write_bytes(CONFIGURATION)
    error = refusal(str(path), "")
    assert str(error) == "cannot load association configuration: Illegal parameter"
    assert error.details == ()


@pytest.mark.parametrize("profile", ["Default", ""])
def test_empty_file_name_is_refused(profile: str) -> None:
    """No line at level E in this case."""
    error = refusal("", profile)
    assert str(error) == "cannot load association configuration: Invalid filename"
    assert error.details == ()


@pytest.mark.parametrize("name", ["none.cfg", "no/such/file", "a\0b"])
def test_file_that_cannot_be_opened_is_refused(tmp_path: Path, name: str) -> None:
    """The reason is not told, as in the original."""
    path = f"{tmp_path}/{name}"
    error = refusal(path, "Default")
    text = f"unable to open configuration file: {path}"
    assert str(error) == f"cannot load association configuration: {text}"
    assert error.details == (
        f"Unable to parse association configuration file: {path}: {text}",
    )


def test_directory_is_read_as_an_empty_file(tmp_path: Path) -> None:
    """The C library opens a directory and fails later."""
    assert str(refusal(str(tmp_path), "Default")) == (
        "cannot load association configuration: "
        "cannot find section [[TRANSFERSYNTAXES]] in config file"
    )


def test_list_may_have_more_contexts_than_an_association(tmp_path: Path) -> None:
    """Differs from 3.6.7, which refuses the 129th; later versions allow it."""
    content = changed(b"[[SCPSCU", b"[Many]\n" + context_list(300) + b"[[SCPSCU")
    profile = load(tmp_path, changed(b"= Echo\n", b"= Many\n", content), "EchoOnly")
    assert [context.abstract_syntax for context in profile.contexts] == [
        f"1.2.{number}" for number in range(1, 301)
    ]


def test_sections_of_one_name_are_kept_apart() -> None:
    """Numbering starts anew in each, so the entries must not be mixed."""
    content = b"[[A]]\n[b]\nc=1\n[b]\nc=2\nc=3\n[[a]]\n[x]\n"
    assert read_sections(content) == {
        b"A": [Section(b"B", {b"C": b"1"}), Section(b"B", {b"C": b"2"})]
    }


def test_value_keeps_trailing_blanks_and_joins_continuation_lines() -> None:
    """Spec section 4.1: blank lines in between vanish, the line end stays."""
    content = b"[[A]][B]k = \t v \t\n  w  \n \n\n\tx\n\n"
    assert read_sections(content) == {b"A": [Section(b"B", {b"K": b"v \t\nw  \nx"})]}


def test_value_at_the_end_of_the_file_has_no_line_end() -> None:
    """Lines of blanks after it are no continuation."""
    assert read_sections(b"[[A]][B]k=v\n  \n ") == {b"A": [Section(b"B", {b"K": b"v"})]}


def test_every_profile_is_read() -> None:
    """Names as they are compared: upper case, without other characters."""
    assert parse_profiles(CONFIGURATION) == {
        b"DEFAULT": DEFAULT,
        b"ECHOONLY": AssociationProfile((ProfileContext(uids.VERIFICATION, PLAIN),)),
    }


# The files that the package ships


def shipped(
    profile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AssociationProfile:
    monkeypatch.chdir(tmp_path)
    return load_profile("storescp.cfg", profile)


@pytest.mark.parametrize("name", ["storescp.cfg", "default", "default.cfg"])
def test_bare_name_is_looked_up_among_the_shipped_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The manual page's `--config-file storescp.cfg default` works anywhere."""
    monkeypatch.chdir(tmp_path)
    assert name in SHIPPED_FILES
    assert load_profile(name, "default").contexts[0].abstract_syntax == (
        uids.VERIFICATION
    )


@pytest.mark.parametrize("name", SHIPPED_FILES)
def test_file_in_the_current_directory_comes_before_a_shipped_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A script with a storescp.cfg of its own gets its own."""
    (tmp_path / name).write_bytes(CONFIGURATION)
    monkeypatch.chdir(tmp_path)
    assert load_profile(name, "Default") == DEFAULT


def test_dangling_link_in_the_current_directory_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operator meant that file, not ours."""
    (tmp_path / "storescp.cfg").symlink_to("gone.cfg")
    monkeypatch.chdir(tmp_path)
    assert str(refusal("storescp.cfg", "Default")) == (
        "cannot load association configuration: "
        "unable to open configuration file: storescp.cfg"
    )


@pytest.mark.parametrize("name", ["./storescp.cfg", "x/storescp.cfg", "other.cfg"])
def test_other_names_are_not_looked_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A directory part says which file is meant."""
    monkeypatch.chdir(tmp_path)
    assert "unable to open configuration file" in str(refusal(name, "Default"))


def named(uid: str) -> str:
    name = name_of(uid)
    assert name is not None
    return name


def test_shipped_default_accepts_every_storage_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And Verification, since loading a profile replaces the built-in one."""
    profile = shipped("Default", tmp_path, monkeypatch)
    accepted = {context.abstract_syntax for context in profile.contexts}
    assert accepted == {uids.VERIFICATION, *(uid for uid, _ in PREFIXES)}


def test_shipped_alldicom_leaves_out_what_is_not_in_the_standard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retired classes, drafts, DICOS and DICONDE are in Default only."""
    everything = shipped("Default", tmp_path, monkeypatch)
    present = shipped("AllDICOM", tmp_path, monkeypatch)
    kept = everything.contexts[: len(present.contexts)]
    assert present.contexts == kept
    left_out = {c.abstract_syntax for c in everything.contexts[len(kept) :]}
    outside = ("RETIRED_", "DRAFT_", "DICOS_", "DICONDE_")
    assert all(named(uid).startswith(outside) for uid in left_out)
    assert not any(named(c.abstract_syntax).startswith(outside) for c in kept)


@pytest.mark.parametrize("profile", ["Default", "AllDICOM"])
def test_shipped_profiles_accept_every_transfer_syntax_for_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, profile: str
) -> None:
    """All that store pixel data in the object; JPIP refers to it elsewhere."""
    contexts = shipped(profile, tmp_path, monkeypatch).contexts
    ct = next(c for c in contexts if c.abstract_syntax == uids.CT_IMAGE)
    root = "1.2.840.10008.1.2"
    fixed = {f"{root}{end}" for end in ("", ".1", ".1.98", ".1.99", ".2", ".5", ".8.1")}
    pixel = {*range(50, 67), 70, 80, 81, 90, 91, 92, 93, *range(100, 109)}
    pixel |= {110, 111, 112, 201, 202, 203}
    fragmentable = {f"{root}.4.{number}.1" for number in range(100, 107)}
    expected = fixed | fragmentable | {f"{root}.4.{number}" for number in pixel}
    assert set(ct.transfer_syntaxes) == expected
    assert len(ct.transfer_syntaxes) == len(expected)


def test_shipped_profiles_prefer_compressed_images_and_deflated_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order of preference of DCMTK's file: spec section 4.3."""
    contexts = {
        context.abstract_syntax: context.transfer_syntaxes
        for context in shipped("Default", tmp_path, monkeypatch).contexts
    }
    image = contexts[uids.CT_IMAGE]
    for compressed, plain in (
        (uids.JPEG_2000, uids.DEFLATED_LE),
        (uids.RLE_LOSSLESS, uids.EXPLICIT_LE),
        ("1.2.840.10008.1.2.4.201", uids.DEFLATED_LE),
    ):
        assert image.index(compressed) < image.index(plain)
    native = (uids.DEFLATED_LE, uids.EXPLICIT_LE, uids.EXPLICIT_BE, uids.IMPLICIT_LE)
    assert contexts[uids.BASIC_TEXT_SR] == native
    assert contexts[uids.VERIFICATION] == native[1:]
    segmentation = uid_of("SegmentationStorage")
    assert segmentation is not None
    assert contexts[segmentation][:4] == native
    assert uids.RLE_LOSSLESS in contexts[segmentation]
    assert uids.JPEG_BASELINE not in contexts[segmentation]


def test_no_list_of_the_shipped_profiles_stops_at_a_gap() -> None:
    """A wrong number would silently cut a list short."""
    path = Path(profile_module.__file__).parent / "data" / "storescp.cfg"
    for sections in read_sections(path.read_bytes()).values():
        for section in sections:
            numbers = [
                int(key.lstrip(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ") or b"1")
                for key in section.entries
            ]
            assert numbers == list(range(1, len(numbers) + 1)), section.name


def test_profiles_of_one_file_do_not_share_what_can_be_changed() -> None:
    """Values are frozen all the way down."""
    profile = parse_profiles(CONFIGURATION)[b"DEFAULT"]
    for mapping in (profile.roles, profile.extended_negotiation):
        with pytest.raises(TypeError):
            mapping["1.2"] = None  # type: ignore[index]


def test_cases_of_the_builder_are_all_different() -> None:
    """Two equal files would mean that one case does not say what it should."""
    for one, other in combinations(SAME_MEANING.items(), 2):
        assert one[1] != other[1], (one[0], other[0])
